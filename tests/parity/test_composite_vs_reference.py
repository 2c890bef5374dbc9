"""`gatewise.nn.LSTM` and `LSTMCell` with every cell against the reference."""

import numpy as np
import pytest
import torch
from cells import CELLS, MIXED, reference_layers
from layers import assert_near
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gatewise import Cell, reference
from gatewise.cell import ACTIVATIONS
from gatewise.nn import LSTM, LSTMCell, composite

SOME = [Cell(peephole=True), Cell(candidate="softsign", layer_norm=True), *MIXED]


def lstm_of(cell, **kw):
    torch.manual_seed(3)
    lstm = LSTM(4, 6, cell=cell, dtype=torch.float64, **kw)
    with torch.no_grad():
        for parameter in lstm.parameters():  # so that no norm is the identity
            parameter.add_(0.3 * torch.randn_like(parameter))
    return lstm


def problem(lstm, B=3):
    k, P = lstm.num_layers * lstm.directions, lstm.proj_size or lstm.hidden_size
    return tuple(torch.randn(s, dtype=torch.float64)
                 for s in ((5, B, 4), (k, B, P), (k, B, lstm.hidden_size)))  # fmt: skip


def assert_equal(got, expected):
    y, (h, c) = got
    for name, a, b in zip(("y", "h_n", "c_n"), (y, h, c), expected, strict=True):
        assert_near(a.detach(), b, np.float64, name)


def test_the_table_in_torchs_words_is_the_table():
    assert composite.ACTIVATIONS.keys() == ACTIVATIONS.keys()
    x = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    x = torch.cat([x, torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0, -700.0, 700.0], dtype=x.dtype)])
    for name, activation in ACTIVATIONS.items():
        leaf = x.clone().requires_grad_()
        y = composite.ACTIVATIONS[name](leaf)
        expected = activation.function(x.numpy())
        np.testing.assert_allclose(y.detach(), expected, rtol=1e-14, atol=1e-15, err_msg=name)
        slope = activation.derivative(x.numpy(), expected)
        got = torch.autograd.grad(y.sum(), leaf, allow_unused=True)[0] if y.requires_grad else None
        got = torch.zeros_like(x) if got is None else got
        np.testing.assert_allclose(got, slope, rtol=1e-13, atol=1e-15, err_msg=name)


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_a_layer_equals_the_reference_with_every_gradient(cell):
    lstm = lstm_of(cell)
    x, h0, c0 = problem(lstm)
    leaves = [t.requires_grad_() for t in (x, h0, c0)]
    y, (h, c) = lstm(x, (h0, c0))
    grads = [torch.randn_like(t) for t in (y, h, c)]
    torch.autograd.backward((y, h, c), grads)

    own = {k: v for k, v in vars(lstm.layer_weights(0, 0)).items() if v is not None}
    w = reference.weights(**{k: v.detach().numpy() for k, v in own.items()})
    run = reference.forward(*(t.detach().numpy() for t in (x,)), w, *(
        t.detach()[0].numpy() for t in (h0, c0)), cell)  # fmt: skip
    assert_equal((y, (h, c)), (run.y, run.h[None], run.c[None]))
    found = reference.backward(run, grads[0].numpy(), grads[1][0].numpy(), grads[2][0].numpy())
    for name, leaf in zip(("x", "h0", "c0"), leaves, strict=True):
        assert_near(leaf.grad.reshape(getattr(found, name).shape), getattr(found, name), np.float64)
    for name, parameter in own.items():
        got = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        assert_near(got, getattr(found.weights, name), np.float64, name)


@pytest.mark.parametrize("proj_size", [0, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", SOME, ids=repr)
def test_layers_and_directions_equal_the_reference(cell, bidirectional, proj_size):
    lstm = lstm_of(cell, num_layers=2, bidirectional=bidirectional, proj_size=proj_size)
    x, h0, c0 = problem(lstm)
    expected = reference_layers(lstm, x.numpy(), h0.numpy(), c0.numpy())
    assert_equal(lstm(x, (h0, c0)), expected)
    single = tuple(a[:, 1] for a in expected)
    assert_equal(lstm(x[:, 1], (h0[:, 1], c0[:, 1])), single)
    lstm.batch_first = True
    y, state = lstm(x.transpose(0, 1), (h0, c0))
    assert_equal((y.transpose(0, 1), state), expected)


@pytest.mark.parametrize("sort", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", SOME, ids=repr)
def test_packed_rows_equal_the_reference_row_by_row(cell, bidirectional, sort):
    lstm = lstm_of(cell, num_layers=2, bidirectional=bidirectional)
    x, h0, c0 = problem(lstm, B=4)
    lengths = torch.tensor([5, 3, 3, 1] if sort else [3, 1, 5, 3])
    packed = pack_padded_sequence(x, lengths, enforce_sorted=sort)
    out, (h, c) = lstm(packed, (h0, c0))
    y, found = pad_packed_sequence(out)
    assert torch.equal(found, lengths)
    for b, length in enumerate(lengths):
        row = slice(b, b + 1)
        expected = reference_layers(
            lstm, x[:length, row].numpy(), h0[:, row].numpy(), c0[:, row].numpy()
        )
        assert_equal((y[:length, row], (h[:, row], c[:, row])), expected)
        assert not y[length:, row].any()
    zero_state, _ = lstm(packed)
    zero = torch.zeros_like(h0), torch.zeros_like(c0)
    assert torch.equal(zero_state.data, lstm(packed, zero)[0].data)


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_a_cell_module_equals_one_step_of_the_reference(cell):
    torch.manual_seed(0)
    module = LSTMCell(4, 6, cell=cell, dtype=torch.float64)
    x, h0, c0 = (torch.randn(3, n, dtype=torch.float64) for n in (4, 6, 6))
    own = {k: v for k, v in vars(module._weights()).items() if v is not None}
    w = reference.weights(**{k: v.detach().numpy() for k, v in own.items()})
    run = reference.forward(x[None].numpy(), w, h0.numpy(), c0.numpy(), cell)
    h, c = module(x, (h0, c0))
    assert_near(h.detach(), run.h, np.float64)
    assert_near(c.detach(), run.c, np.float64)
    h, c = module(x[0], (h0[0], c0[0]))
    assert_near(h.detach(), run.h[0], np.float64)
    zero = reference.forward(x[None].numpy(), w, cell=cell)
    assert_near(module(x)[1].detach(), zero.c, np.float64)


@pytest.mark.parametrize("cell", SOME, ids=repr)
def test_gradcheck_of_variants(cell):
    lstm = lstm_of(cell)
    leaves = [t[:3].clone().requires_grad_() for t in problem(lstm, B=2)]
    assert torch.autograd.gradcheck(lambda x, h, c: lstm(x, (h, c))[0], leaves)
    assert torch.autograd.gradgradcheck(lambda x, h, c: lstm(x, (h, c))[0], leaves, fast_mode=True)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_default_cell_on_the_composite_path_equals_the_native_path(monkeypatch, dropout):
    from gatewise.nn import paths

    lstm = LSTM(4, 6, num_layers=2, bidirectional=True, dropout=dropout, dtype=torch.float64)
    x = torch.randn(5, 3, 4, dtype=torch.float64)
    torch.manual_seed(5)
    native, _ = lstm(x)
    monkeypatch.setattr(paths, "choose", lambda *a: "composite")
    torch.manual_seed(5)
    assert_near(lstm(x)[0].detach(), native.detach(), np.float64)
