"""Learnable initial states: parameters, their start, who wins."""

import pytest
import torch
from twins import assert_same

from gatewise import Cell
from gatewise.nn import LSTM, accelerate

X = torch.linspace(-1, 1, 60).reshape(5, 3, 4)
OPTIONS = [
    {},
    {"num_layers": 2, "bidirectional": True, "proj_size": 2, "cell": Cell(coupled=True)},
    {"cell": Cell(layer_norm=True), "num_layers": 3},
    {"batch_first": True, "recurrent_dropout": 0.3},
]


@pytest.mark.parametrize("kw", OPTIONS, ids=repr)
def test_states_start_at_zero_and_so_does_the_output(kw):
    torch.manual_seed(0)
    lstm = LSTM(4, 6, learn_initial_state=True, **kw)
    torch.manual_seed(0)
    plain = LSTM(4, 6, **kw)
    k, P = lstm.num_layers * lstm.directions, lstm.proj_size or 6
    assert lstm.h_0.shape == (k, 1, P)
    assert lstm.c_0.shape == (k, 1, 6)
    names = [n for n, _ in lstm.named_parameters()]
    assert names == [*(n for n, _ in plain.named_parameters()), "h_0", "c_0"]
    assert list(lstm.state_dict()) == names
    torch.manual_seed(1)
    y = lstm(X)
    torch.manual_seed(1)
    assert_same(y, plain(X), rtol=0, atol=0)
    (y[0].sum() + y[1][1].sum()).backward()
    assert lstm.h_0.grad.any()
    assert lstm.c_0.grad.any()


@pytest.mark.parametrize("kw", OPTIONS, ids=repr)
def test_a_reset_draws_the_others_alone(kw):
    lstm, plain = LSTM(4, 6, learn_initial_state=True, **kw), LSTM(4, 6, **kw)
    with torch.no_grad():
        lstm.h_0.fill_(1)
        lstm.c_0.fill_(1)
    for module in (lstm, plain):
        torch.manual_seed(5)
        module.reset_parameters()
    assert not lstm.h_0.any()
    assert not lstm.c_0.any()
    for name, parameter in plain.named_parameters():
        assert torch.equal(lstm.get_parameter(name), parameter), name


@pytest.mark.parametrize("kw", OPTIONS, ids=repr)
def test_a_state_given_wins(kw):
    lstm = LSTM(4, 6, learn_initial_state=True, **kw).eval()
    with torch.no_grad():
        lstm.h_0.normal_()
        lstm.c_0.normal_()
    k, B = lstm.h_0.shape[0], X.shape[0 if lstm.batch_first else 1]
    zeros = torch.zeros(k, B, lstm.h_0.shape[2]), torch.zeros(k, B, 6)
    plain = LSTM(4, 6, **kw).eval()
    plain.load_state_dict(lstm.state_dict(), strict=False)
    assert_same(lstm(X, zeros), plain(X), rtol=0, atol=0)
    assert not torch.equal(lstm(X)[0], plain(X)[0])


def test_states_are_learnt():
    torch.manual_seed(0)
    lstm = LSTM(4, 6, learn_initial_state=True)
    optimizer = torch.optim.Adam(lstm.parameters(), lr=0.05)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (lstm(X)[0][0] - 0.5).square().sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    assert lstm.c_0.abs().max() > 0.1


def test_what_pytorch_refuses_is_refused_alike():
    lstm, plain = LSTM(4, 6, learn_initial_state=True), torch.nn.LSTM(4, 6)
    for x in (X[..., :3], X[:0], X[None], X[0, 0], X.double()):
        with pytest.raises((RuntimeError, ValueError)) as expected:
            plain(x)
        with pytest.raises(type(expected.value)):
            lstm(x)


def test_an_accelerated_lstm_has_none():
    lstm = accelerate(torch.nn.LSTM(4, 6))
    assert not lstm.learn_initial_state
    assert not hasattr(lstm, "h_0")


@pytest.mark.parametrize("wrong", [1, None, "yes"])
def test_a_switch_that_is_no_bool_is_refused(wrong):
    with pytest.raises(ValueError, match=r"learn_initial_state is .*: expected True or False"):
        LSTM(4, 6, learn_initial_state=wrong)
