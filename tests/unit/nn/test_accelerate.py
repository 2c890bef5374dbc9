"""`accelerate` on whole models."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from gatewise.nn import LSTM, LSTMCell, accelerate


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.lstm = nn.LSTM(8, 16, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(32, 5)

    def forward(self, words):
        return self.head(self.lstm(self.embedding(words))[0])


@pytest.fixture
def words():
    return torch.randint(0, 20, (6, 11), generator=torch.Generator().manual_seed(0))


def train(model, words, steps=30):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(words).flatten(0, 1), words.flatten() % 5)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_a_tagger_gives_the_same_outputs_and_trains_alike(words):
    torch.manual_seed(0)
    plain = Tagger()
    fast = copy.deepcopy(plain)
    lstm, weights = fast.lstm, [*fast.parameters()]
    assert accelerate(fast) is fast
    assert fast.lstm is lstm
    assert type(lstm) is LSTM
    assert all(a is b for a, b in zip(weights, fast.parameters(), strict=True))
    torch.testing.assert_close(fast(words), plain(words), rtol=0, atol=1e-5)
    slow_losses, fast_losses = train(plain, words), train(fast, words)
    assert fast_losses[-1] < 0.5 * fast_losses[0]
    assert fast_losses == pytest.approx(slow_losses, rel=1e-2, abs=1e-3)


def test_a_tagger_is_saved_and_loaded(words, tmp_path):
    model = accelerate(Tagger())
    train(model, words, steps=2)
    torch.save(model.state_dict(), tmp_path / "m.pt")
    state = torch.load(tmp_path / "m.pt", weights_only=True)
    plain, other = Tagger(), accelerate(Tagger())
    for target in (plain, other):
        target.load_state_dict(state, strict=True)
    torch.testing.assert_close(plain(words), model(words), rtol=0, atol=1e-5)
    assert torch.equal(other(words), model(words))
    torch.save(model, tmp_path / "whole.pt")
    whole = torch.load(tmp_path / "whole.pt", weights_only=False)
    assert type(whole.lstm) is LSTM
    assert torch.equal(whole(words), model(words))


def test_an_optimizer_made_before_goes_on_training(words):
    model = Tagger()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    accelerate(model)
    before = model.lstm.weight_hh_l0.detach().clone()
    model(words).sum().backward()
    optimizer.step()
    assert not torch.equal(model.lstm.weight_hh_l0, before)


def test_a_bare_lstm_and_a_bare_cell_are_accelerated_themselves():
    lstm, cell = nn.LSTM(3, 4), nn.LSTMCell(3, 4)
    x = torch.randn(5, 2, 3)
    expected = lstm(x)[0], cell(x[0])[0]
    assert accelerate(lstm) is lstm
    assert accelerate(cell) is cell
    assert (type(lstm), type(cell)) == (LSTM, LSTMCell)
    torch.testing.assert_close((lstm(x)[0], cell(x[0])[0]), expected)


def test_a_shared_lstm_stays_shared():
    shared = nn.LSTM(3, 3)
    model = accelerate(nn.ModuleDict({"a": shared, "b": nn.ModuleList([shared])}))
    assert model["a"] is shared is model["b"][0]
    assert type(shared) is LSTM


def test_hooks_mode_and_twice_are_kept():
    lstm, seen = nn.LSTM(3, 4, num_layers=2, dropout=0.5).eval(), []
    lstm.register_forward_hook(lambda *a: seen.append(1))
    accelerate(accelerate(lstm))
    lstm(torch.zeros(2, 1, 3))
    assert seen == [1]
    assert not lstm.training


def test_subclasses_other_modules_and_parametrized_ones_are_left_alone():
    class Own(nn.LSTM):
        pass

    parametrized = nn.LSTM(3, 4)
    parametrizations.weight_norm(parametrized, "weight_hh_l0")
    ours = LSTM(3, 4)
    model = nn.ModuleList([Own(3, 4), nn.GRU(3, 4), nn.Linear(3, 4), parametrized, ours])
    before = [type(m) for m in model]
    accelerate(model)
    assert [type(m) for m in model] == before
    assert model[4] is ours


def test_a_variant_of_ours_keeps_its_cell():
    from gatewise import Cell

    model = nn.Sequential(LSTM(3, 4, cell=Cell(peephole=True)))
    assert accelerate(model)[0].cell == Cell(peephole=True)
