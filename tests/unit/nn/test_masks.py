"""What the regularisers of `gatewise.nn.LSTM` draw: order, statistics, seeds, evaluation."""

import copy

import pytest
import torch
from twins import assert_same

from gatewise import Cell
from gatewise.errors import ConfigError
from gatewise.nn import LSTM, masks

T, B, I, H = 6, 4, 3, 8
ALL = {"recurrent_dropout": 0.3, "zoneout": (0.2, 0.5), "weight_dropout": 0.4}
LIKE = torch.zeros(1)


def lstm_of(cell=Cell(), **kw):  # noqa: B008
    torch.manual_seed(0)
    return LSTM(I, H, cell=cell, **kw)


def after(seed, do):
    torch.manual_seed(seed)
    return do()


def test_masks_are_drawn_in_the_documented_order():
    lstm = lstm_of(num_layers=2, bidirectional=True, proj_size=5, **ALL)
    drawn = after(1, lambda: masks.draw(lstm, T, B))
    torch.manual_seed(1)
    assert len(drawn) == 4
    for got in drawn:
        weight = torch.empty(4 * H, 5).bernoulli_(0.6) / 0.6
        recurrent = torch.empty(B, 5).bernoulli_(0.7) / 0.7
        z_h, z_c = torch.empty(T, B, 5).bernoulli_(0.2), torch.empty(T, B, H).bernoulli_(0.5)
        assert_same((got.weight, got.recurrent, got.zoneout), (weight, recurrent, z_h, z_c))


def test_a_rate_of_zero_draws_nothing():
    state = torch.get_rng_state()
    lstm = LSTM(I, H, zoneout=(0.0, 0.5)).eval()
    torch.set_rng_state(state)
    (drawn,) = masks.draw(lstm, T, B)
    assert (drawn.weight, drawn.recurrent, drawn.zoneout) == (None, None, (0.0, 0.5))
    (drawn,) = masks.draw(LSTM(I, H), T, B)
    assert drawn.weight is drawn.recurrent is drawn.zoneout is None
    torch.set_rng_state(state)
    (drawn,) = masks.draw(lstm.train(), T, B)
    assert drawn.weight is drawn.recurrent is None
    assert drawn.zoneout[0] == 0.0
    torch.set_rng_state(state)
    assert torch.equal(drawn.zoneout[1], torch.empty(T, B, H).bernoulli_(0.5))


def test_a_generator_of_ones_own_leaves_torchs_alone():
    lstm = lstm_of(**ALL)
    before = torch.get_rng_state()
    first, second = (
        masks.draw(lstm, T, B, torch.Generator().manual_seed(3))[0] for _ in range(2)
    )  # fmt: skip
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.recurrent, second.recurrent)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_masks_have_their_rates_and_keep_the_mean(p):
    n = 40_000
    generator = torch.Generator().manual_seed(0)
    five_sigma = 5 * (p * (1 - p) / n) ** 0.5
    dropout = masks.dropout_mask((200, n // 200), p, LIKE, generator)
    assert set(dropout.unique().tolist()) == {0.0, (torch.ones(()) / (1 - p)).item()}
    assert (dropout == 0).double().mean().item() == pytest.approx(p, abs=five_sigma)
    assert dropout.double().mean().item() == pytest.approx(1, abs=five_sigma / (1 - p))
    zoneout = masks.zoneout_mask((200, n // 200), p, LIKE, generator)
    assert set(zoneout.unique().tolist()) == {0.0, 1.0}
    assert zoneout.double().mean().item() == pytest.approx(p, abs=five_sigma)


@pytest.mark.parametrize("lengths", [None, [2, 6, 1, 3]])
@pytest.mark.parametrize("cell", [Cell(), Cell(peephole=True, layer_norm=True)], ids=repr)
def test_the_same_seed_gives_the_same_bits(cell, lengths):
    lstm = lstm_of(cell, num_layers=2, bidirectional=True, dropout=0.2, **ALL)
    x = torch.randn(T, B, I)

    def outcome():
        lstm.zero_grad()
        y, (h, c) = lstm(x, lengths=lengths)
        (y.square().sum() + h.sum() + c.sum()).backward()
        return y, h, c, [p.grad.clone() for p in lstm.parameters()]

    first = after(7, outcome)
    assert_same(after(7, outcome), first, rtol=0, atol=0)
    assert not torch.equal(after(8, outcome)[0], first[0])


def test_vmap_draws_for_each_slice_or_once_for_all():
    lstm, x = lstm_of(**ALL), torch.ones(3, T, B, I)

    def mapped(randomness):
        return torch.func.vmap(lambda x: lstm(x)[0], randomness=randomness)(x)

    different, same = mapped("different"), mapped("same")
    assert not torch.equal(different[0], different[1])
    assert torch.equal(same[0], same[1])


def test_a_second_backward_over_a_kept_graph_repeats_the_first():
    lstm = lstm_of(**ALL)
    loss = lstm(torch.randn(T, B, I))[0].square().sum()
    first, second = (
        torch.autograd.grad(loss, [*lstm.parameters()], retain_graph=True) for _ in range(2)
    )
    assert_same(first, second, rtol=0, atol=0)


@pytest.mark.parametrize("cell", [Cell(), Cell(coupled=True)], ids=repr)
@pytest.mark.parametrize("rates", [{"recurrent_dropout": 0.5}, {"weight_dropout": 0.5}], ids=repr)
def test_dropout_does_nothing_in_evaluation(cell, rates):
    lstm = lstm_of(cell, num_layers=2, **rates)
    plain = lstm_of(cell, num_layers=2)
    x = torch.randn(T, B, I)
    before = torch.get_rng_state()
    assert_same(lstm.eval()(x), plain(x), rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(lstm.train()(x)[0], plain(x)[0])


def test_zoneout_in_evaluation_is_the_expectation_of_a_step():
    lstm = lstm_of(zoneout=(0.25, 0.5), dtype=torch.float64)
    x, h0, c0 = (torch.randn(1, n, m, dtype=torch.float64)
                 for n, m in ((1, I), (1, H), (1, H)))  # fmt: skip
    y, (_, c) = lstm.eval()(x, (h0, c0))
    n = 20_000
    many = [t.expand(-1, n, -1) for t in (x, h0, c0)]
    ys, (_, cs) = after(2, lambda: lstm.train()(many[0], (many[1], many[2])))
    torch.testing.assert_close(ys.mean(1), y[:, 0], atol=0.03, rtol=0)
    torch.testing.assert_close(cs.mean(1), c[:, 0], atol=0.03, rtol=0)
    plain = LSTM(I, H, dtype=torch.float64)
    plain.load_state_dict(lstm.state_dict())
    new, (_, c_new) = plain(x, (h0, c0))
    torch.testing.assert_close(y, 0.75 * new + 0.25 * h0, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(c, 0.5 * c_new + 0.5 * c0, rtol=1e-12, atol=1e-12)


def test_dropped_weights_are_those_of_the_mask():
    lstm = lstm_of(num_layers=2, bidirectional=True, weight_dropout=0.5)
    drawn = after(3, lambda: masks.draw(lstm, T, B))
    plain = LSTM(I, H, num_layers=2, bidirectional=True)
    plain.load_state_dict(lstm.state_dict())
    names = [f"weight_hh_l{layer}{s}" for layer in range(2) for s in ("", "_reverse")]
    with torch.no_grad():
        for name, one in zip(names, drawn, strict=True):
            getattr(plain, name).mul_(one.weight)
    x = torch.randn(T, B, I)
    assert_same(after(3, lambda: lstm(x)), plain(x), rtol=1e-5, atol=1e-6)


def test_all_rows_share_no_mask_and_all_steps_do():
    (drawn,) = after(0, lambda: masks.draw(lstm_of(**ALL), T, B))
    assert drawn.recurrent.shape == (B, H)
    assert not torch.equal(drawn.recurrent[0], drawn.recurrent[1])
    assert not torch.equal(drawn.zoneout[1][0], drawn.zoneout[1][1])


@pytest.mark.parametrize("shape", [(3,), (5, 2, 4), (0, 2, 3), (1, 2, 3, 4)], ids=str)
def test_what_pytorch_refuses_is_refused_alike(shape):
    with pytest.raises((RuntimeError, ValueError)) as expected:
        torch.nn.LSTM(I, H)(torch.zeros(shape))
    with pytest.raises(type(expected.value)) as caught:
        lstm_of(**ALL)(torch.zeros(shape))
    assert str(caught.value) == str(expected.value)


def test_a_single_row_and_an_empty_batch_are_taken():
    lstm = lstm_of(**ALL)
    x = torch.randn(T, I)
    alone = after(1, lambda: lstm(x))
    row = after(1, lambda: lstm(x[:, None]))
    assert_same(alone, (row[0][:, 0], [s[:, 0] for s in row[1]]), rtol=0, atol=0)
    assert lstm(torch.empty(T, 0, I))[0].shape == (T, 0, H)


@pytest.mark.parametrize("name", ["recurrent_dropout", "zoneout", "weight_dropout"])
@pytest.mark.parametrize("wrong", [-0.1, 1, 1.5, float("nan"), True, None, "half"])
def test_a_rate_outside_its_range_is_refused(name, wrong):
    with pytest.raises(ConfigError, match=f"{name}.* is .*: expected a probability from 0"):
        LSTM(I, H, **{name: wrong})


@pytest.mark.parametrize("wrong", [(0.1,), (0.1, 0.2, 0.3), (0.1, 1.0), (None, 0.1)])
def test_a_zoneout_that_is_no_pair_of_rates_is_refused(wrong):
    with pytest.raises(ConfigError, match="zoneout"):
        LSTM(I, H, zoneout=wrong)


def test_zoneout_is_set_later_as_it_is_at_first():
    lstm, x = lstm_of(), torch.randn(T, B, I)
    for rates in (0.1, (0.0, 0.3), 0):
        lstm.zoneout = rates
        expected = lstm_of(zoneout=rates)
        expected.load_state_dict(lstm.state_dict())
        assert lstm.zoneout == expected.zoneout
        assert repr(lstm) == repr(expected)
        assert_same(
            after(1, lambda m=lstm: m(x)), after(1, lambda m=expected: m(x)), rtol=0, atol=0
        )
        assert copy.deepcopy(lstm).zoneout == lstm.zoneout
    for wrong in (1.0, (0.1,), None):
        with pytest.raises(ConfigError, match="zoneout"):
            lstm.zoneout = wrong
    assert lstm.zoneout == (0.0, 0.0)


def test_options_are_attributes_and_shown_and_copied():
    lstm = lstm_of(**(ALL | {"zoneout": 0.1}))
    assert lstm.zoneout == (0.1, 0.1)
    shown = "LSTM(3, 8, recurrent_dropout=0.3, zoneout=(0.1, 0.1), weight_dropout=0.4)"
    assert repr(lstm) == shown
    other = copy.deepcopy(lstm)
    x = torch.randn(T, B, I)
    assert_same(after(1, lambda: other(x)), after(1, lambda: lstm(x)), rtol=0, atol=0)
