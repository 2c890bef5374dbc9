"""Recurrent dropout, zoneout, weight dropout, learnt states and ragged rows: module = reference."""

import numpy as np
import pytest
import torch
from cells import MIXED
from layers import assert_near
from regularised import by_reference
from torch.nn.utils.rnn import pack_padded_sequence

from gatewise import Cell, reference
from gatewise.nn import LSTM, masks

DEFAULT = Cell()
CELLS = [DEFAULT, Cell(peephole=True, coupled=True), Cell(layer_norm=True), *MIXED]
RATES = {
    "recurrent": {"recurrent_dropout": 0.4},
    "zoneout": {"zoneout": (0.3, 0.5)},
    "zoneout of c": {"zoneout": (0.0, 0.5)},
    "weight": {"weight_dropout": 0.5},
    "all": {"recurrent_dropout": 0.3, "zoneout": 0.2, "weight_dropout": 0.3},
}
SHAPES = [
    {},
    {"num_layers": 3},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 2, "bidirectional": True, "proj_size": 3},
    {"bias": False, "proj_size": 2},
]
T, B, I, H = 5, 4, 3, 7
LENGTHS = np.array([3, 5, 1, 3])


def problem(cell=DEFAULT, seed=0, **kw):
    """A module off its initial values, inputs, and gradients of the outputs."""
    torch.manual_seed(seed)
    lstm = LSTM(I, H, cell=cell, dtype=torch.float64, **kw)
    with torch.no_grad():
        for p in lstm.parameters():
            p.add_(0.3 * torch.randn_like(p))
    k, P = lstm.num_layers * lstm.directions, lstm.proj_size or H
    x, h0, c0 = (torch.randn(s, dtype=torch.float64).requires_grad_()
                 for s in ((T, B, I), (k, B, P), (k, B, H)))  # fmt: skip
    grads = [torch.randn(s, dtype=torch.float64)
             for s in ((T, B, lstm.directions * P), (k, B, P), (k, B, H))]  # fmt: skip
    return lstm, (x, h0, c0), grads


def assert_all_equal(lstm, leaves, grads, drawn, seed=None, lengths=None):
    x, h0, c0 = leaves
    if seed is not None:
        torch.manual_seed(seed)
    y, (h_n, c_n) = lstm(x, (h0, c0), lengths=None if lengths is None else torch.tensor(lengths))
    torch.autograd.backward((y, h_n, c_n), grads)
    arrays = [t.detach().numpy() for t in leaves]
    expected = by_reference(lstm, *arrays, [g.numpy() for g in grads], drawn, lengths)
    got = {"y": y, "h_n": h_n, "c_n": c_n, "dx": x.grad, "dh0": h0.grad, "dc0": c0.grad}
    got |= {n: torch.zeros_like(p) if p.grad is None else p.grad
            for n, p in lstm.named_parameters()}  # fmt: skip
    for name, value in got.items():
        assert_near(value.detach(), expected[name], np.float64, name)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "ragged"])
@pytest.mark.parametrize("rates", RATES.values(), ids=RATES)
@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_training_equals_the_reference(cell, rates, lengths):
    lstm, leaves, grads = problem(cell, **rates)
    torch.manual_seed(4)
    assert_all_equal(lstm, leaves, grads, masks.draw(lstm, T, B), seed=4, lengths=lengths)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "ragged"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_layers_and_directions_equal_the_reference(shape, training, lengths):
    lstm, leaves, grads = problem(MIXED[1], **shape, **RATES["all"])
    lstm.train(training)
    torch.manual_seed(4)
    assert_all_equal(lstm, leaves, grads, masks.draw(lstm, T, B), seed=4, lengths=lengths)


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
@pytest.mark.parametrize("cell", [DEFAULT, MIXED[0]], ids=repr)
def test_ragged_rows_equal_the_reference(cell, shape):
    lstm, leaves, grads = problem(cell, **shape)
    assert_all_equal(lstm, leaves, grads, masks.draw(lstm, T, B), lengths=LENGTHS)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_the_reference_of_ragged_rows_equals_it_row_by_row(cell, reverse):
    lstm, (x, h0, c0), (dy, dh, dc) = problem(cell)
    own = {k: v.detach().numpy() for k, v in vars(lstm.layer_weights(0, 0)).items()
           if v is not None}  # fmt: skip
    w = reference.weights(**own)
    x, h0, c0 = (t.detach().numpy() for t in (x, h0[0], c0[0]))
    x[3:, 0] = np.nan  # padding may hold anything
    run = reference.forward(x, w, h0, c0, cell, lengths=LENGTHS, reverse=reverse)
    back = reference.backward(run, dy, dh[0], dc[0])
    total = 0.0
    for b, length in enumerate(LENGTHS):
        row, order = slice(b, b + 1), slice(None, None, -1 if reverse else 1)
        one = reference.forward(x[:length, row][order], w, h0[row], c0[row], cell)
        assert_near(run.y[:length, row], one.y[order], np.float64)
        assert not run.y[length:, row].any()
        assert_near(run.h[row], one.h, np.float64)
        assert_near(run.c[row], one.c, np.float64)
        alone = reference.backward(one, dy[:length, row].numpy()[order], dh[0, row], dc[0, row])
        assert_near(back.x[:length, row], alone.x[order], np.float64)
        assert not back.x[length:, row].any()
        assert_near(back.h0[row], alone.h0, np.float64)
        assert_near(back.c0[row], alone.c0, np.float64)
        total = total + alone.weights.w_hh
    assert_near(back.weights.w_hh, total, np.float64)


@pytest.mark.parametrize("kind", [*RATES, "ragged"])
def test_gradcheck(kind):
    rates = RATES.get(kind, {})
    lengths = torch.tensor([1, 3]) if kind == "ragged" else None
    torch.manual_seed(0)
    lstm = LSTM(2, 3, cell=MIXED[1], bidirectional=True, dtype=torch.float64, **rates)
    names, parameters = zip(*lstm.named_parameters(), strict=True)
    leaves = [torch.randn(s, dtype=torch.float64, requires_grad=True)
              for s in ((3, 2, 2), (2, 2, 3), (2, 2, 3))]  # fmt: skip

    def f(x, h0, c0, *values):
        torch.manual_seed(1)
        given = dict(zip(names, values, strict=True))
        y, (h, c) = torch.func.functional_call(lstm, given, (x, (h0, c0), lengths))
        return y, h, c

    assert torch.autograd.gradcheck(f, (*leaves, *parameters), fast_mode=True)
    assert torch.autograd.gradgradcheck(f, (*leaves, *parameters), fast_mode=True)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "ragged"])
@pytest.mark.parametrize("shape", SHAPES, ids=repr)
@pytest.mark.parametrize("cell", [DEFAULT, MIXED[0]], ids=repr)
def test_a_learnt_state_equals_the_same_state_given(cell, shape, lengths):
    lstm, (x, _, _), grads = problem(cell, learn_initial_state=True, **shape)
    assert lstm.h_0.any()
    lengths = None if lengths is None else torch.tensor(lengths)
    outputs = lstm(x, lengths=lengths)
    found = torch.autograd.grad([outputs[0], *outputs[1]], [lstm.h_0, lstm.c_0, x], grads)
    given = tuple(s.detach().expand(-1, B, -1).clone().requires_grad_()
                  for s in (lstm.h_0, lstm.c_0))  # fmt: skip
    expected = lstm(x, given, lengths)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=0)
    dh, dc, dx = torch.autograd.grad([expected[0], *expected[1]], [*given, x], grads)
    for a, b in zip(found, (dh.sum(1, keepdim=True), dc.sum(1, keepdim=True), dx), strict=True):
        assert_near(a, b, np.float64)
    alone, _ = lstm(x[:, 0])
    torch.testing.assert_close(alone, lstm(x[:, :1])[0][:, 0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sort", [False, True])
def test_packed_masks_follow_the_callers_rows(sort):
    lstm, (x, h0, c0), _ = problem(MIXED[1], bidirectional=True, **RATES["all"])
    lengths = torch.tensor([5, 3, 3, 1] if sort else [3, 1, 5, 3])
    torch.manual_seed(9)
    y, state = lstm(x, (h0, c0), lengths)
    torch.manual_seed(9)
    packed, other = lstm(pack_padded_sequence(x, lengths, enforce_sorted=sort), (h0, c0))
    torch.testing.assert_close(state, other, rtol=0, atol=0)
    lstm.batch_first = True
    torch.manual_seed(9)
    turned, _ = lstm(x.transpose(0, 1), (h0, c0), lengths)
    torch.testing.assert_close(turned.transpose(0, 1), y, rtol=0, atol=0)
    assert packed.data.shape[0] == lengths.sum()
