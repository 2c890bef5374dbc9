"""Variants on the native path: where they take it, that they repeat, the same numbers elsewhere."""

import pytest
import torch
from torch.func import functional_call, grad, vmap
from torch.nn.utils.rnn import pack_padded_sequence
from twins import assert_same, gradients

from gatewise import Cell
from gatewise.nn import LSTM, composite, native, paths

# PyTorch says so once per process, for float32 projections.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

LENGTHS = [3, 5, 1, 4]
CELL = Cell("softsign", "sigmoid", "hard_tanh", "sigmoid", "identity", peephole=True)
VARIANTS = {
    "peephole": {"cell": Cell(peephole=True, coupled=True)},
    "layer norm": {"cell": Cell(layer_norm=True, candidate="softsign"), "bidirectional": True},
    "projection": {"proj_size": 3, "num_layers": 2},
    "masks": {"cell": CELL, "recurrent_dropout": 0.4, "zoneout": (0.3, 0.2)},
    "weights dropped": {"weight_dropout": 0.4, "bias": False},
    "dropout": {"num_layers": 3, "dropout": 0.3, "zoneout": 0.2, "cell": Cell(layer_norm=True)},
}
every_variant = pytest.mark.parametrize("kw", VARIANTS.values(), ids=VARIANTS)
ragged_or_not = pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "ragged"])


def lstm_of(kw, dtype=torch.float64):
    torch.manual_seed(0)
    lstm = LSTM(3, 6, dtype=dtype, **kw)
    with torch.no_grad():
        for p in lstm.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return lstm


def given(lstm):
    k, P = lstm.num_layers * lstm.directions, lstm.proj_size or lstm.hidden_size
    torch.manual_seed(1)
    return [torch.randn(s, dtype=lstm.weight_ih_l0.dtype, requires_grad=True)
            for s in ((5, 4, 3), (k, 4, P), (k, 4, lstm.hidden_size))]  # fmt: skip


def call(lstm, leaves, lengths=None, seed=2):
    torch.manual_seed(seed)  # of the masks
    x, h0, c0 = leaves
    y, (h, c) = lstm(x, (h0, c0), lengths)
    return y, h, c


def loss_of(outputs):
    return sum((k + 1) * t.sin().sum() for k, t in enumerate(outputs))


def everything(lstm, leaves, lengths=None, seed=2):
    """Outputs and gradients."""
    outputs = call(lstm, leaves, lengths, seed)
    found = torch.autograd.grad(loss_of(outputs), [*leaves, *lstm.parameters()], allow_unused=True)
    zeros = (torch.zeros_like(t) for t in (*leaves, *lstm.parameters()))
    return [*outputs, *(z if g is None else g for z, g in zip(zeros, found, strict=True))]


@pytest.fixture
def by_composite(monkeypatch):
    """Calls a function with the composite path in use."""

    def run(function, *args):
        with monkeypatch.context() as patch:
            patch.setattr(paths, "choose", lambda *a: "composite")
            return function(*args)

    return run


@ragged_or_not
@every_variant
def test_the_core_computes_it_and_the_composite_path_agrees(
    isa, monkeypatch, by_composite, kw, lengths
):
    lstm = lstm_of(kw)
    leaves = given(lstm)
    expected = by_composite(everything, lstm, leaves, lengths)
    if not (lstm.dropout and lengths):  # then PyTorch's dropout draws for another layout
        with monkeypatch.context() as patch:
            patch.delattr(composite, "run_layers")
            assert_same(everything(lstm, leaves, lengths), expected, rtol=1e-10, atol=1e-11)
    lstm.eval()
    expected = by_composite(everything, lstm, leaves, lengths)
    monkeypatch.delattr(composite, "run_layers")
    assert_same(everything(lstm, leaves, lengths), expected, rtol=1e-10, atol=1e-11)


@ragged_or_not
@every_variant
def test_a_second_pass_with_the_same_seed_has_the_same_bits(isa, threads, kw, lengths):
    lstm = lstm_of(kw, torch.float32)
    leaves = given(lstm)
    first = everything(lstm, leaves, lengths)
    for count in (1, 2):
        threads(count)
        assert_same(everything(lstm, leaves, lengths), first, rtol=0, atol=0)
    draws = lstm.dropout or lstm.weight_dropout or lstm.is_regularised
    assert torch.equal(everything(lstm, leaves, lengths, seed=3)[0], first[0]) == (not draws)


@ragged_or_not
@every_variant
def test_a_second_backward_over_a_kept_graph_has_the_same_bits(isa, kw, lengths):
    lstm = lstm_of(kw, torch.float32)
    leaves = given(lstm)
    loss = loss_of(call(lstm, leaves, lengths))
    found = []
    for keep in (True, False):
        torch.manual_seed(9)  # backward draws nothing
        lstm.zero_grad()
        loss.backward(retain_graph=keep)
        found.append({n: g.clone() for n, g in gradients(lstm).items()})
    assert_same(*found, rtol=0, atol=0)


@ragged_or_not
@every_variant
def test_double_backward(kw, lengths):
    lstm = lstm_of(kw)
    leaves = given(lstm)
    weight = lstm.weight_hh_l0

    def f(x, h0, c0, w):
        torch.manual_seed(2)
        y, state = functional_call(lstm, {"weight_hh_l0": w}, (x, (h0, c0), lengths))
        return y, *state

    assert torch.autograd.gradgradcheck(f, (*leaves, weight), fast_mode=True)


@pytest.mark.parametrize("sort", [False, True])
@every_variant
def test_a_packed_sequence_gives_the_bits_of_lengths(kw, sort):
    lstm = lstm_of(kw)
    x, h0, c0 = given(lstm)
    lengths = torch.tensor(sorted(LENGTHS, reverse=True) if sort else LENGTHS)
    torch.manual_seed(2)
    packed, state = lstm(pack_padded_sequence(x, lengths, enforce_sorted=sort), (h0, c0))
    y, *expected = call(lstm, (x, h0, c0), lengths)
    repacked = pack_padded_sequence(y, lengths, enforce_sorted=sort)
    assert_same([packed.data, state], [repacked.data, expected], rtol=0, atol=0)


REMOVED = {
    "i": Cell(input_gate="one", peephole=True),
    "f": Cell(coupled=True, peephole=True),
    "g": Cell(candidate="one"),
    "o": Cell(output_gate="one", coupled=True, peephole=True),
}


@ragged_or_not
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("gate", REMOVED)
def test_the_weights_of_a_gate_that_is_not_there_get_no_gradient(isa, gate, layer_norm, lengths):
    cell = REMOVED[gate]
    cell = Cell(*(getattr(cell, s) for s in cell.__slots__[:7]), layer_norm=layer_norm)
    lstm = lstm_of({"cell": cell, "bidirectional": True})
    loss_of(call(lstm, given(lstm), lengths)).backward()
    for name, g in gradients(lstm).items():
        assert g.any(), name
        if "peephole" in name:
            assert not g[{"i": 0, "f": 1, "o": 2}.get(gate, slice(0))].any(), name
        elif "norm_c" not in name:
            of_gates = (g.T if "norm" in name else g).unflatten(0, (4, 6))
            assert not of_gates["ifgo".index(gate)].any(), name


@every_variant
@pytest.mark.filterwarnings("ignore:An LSTM that PyTorch does not have:UserWarning")
def test_transforms_autocast_and_other_dtypes_agree(monkeypatch, by_composite, kw):
    lstm = lstm_of(kw).eval()
    x, h0, c0 = given(lstm)

    def loss(x, h0, c0):
        y, (h, c) = lstm(x.unsqueeze(1), (h0.unsqueeze(1), c0.unsqueeze(1)))
        return loss_of((y, h, c))

    rows = (x.detach().unbind(1), h0.detach().unbind(1), c0.detach().unbind(1))
    transformed = vmap(grad(loss), in_dims=1)(x.detach(), h0.detach(), c0.detach())
    for got, *row in zip(transformed, *rows, strict=True):
        leaf = row[0].clone().requires_grad_()
        (expected,) = torch.autograd.grad(loss(leaf, *row[1:]), leaf)
        assert_same(got, expected, rtol=1e-9, atol=1e-10)

    exact = [t.detach() for t in call(lstm, (x, h0, c0))]
    lstm.float()
    single = [t.detach().float() for t in (x, h0, c0)]
    with torch.autocast("cpu", torch.bfloat16):
        rounded = call(lstm, single)
    monkeypatch.delattr(native, "run")  # bfloat16 is not for the core
    lstm.bfloat16()
    for outputs in (rounded, call(lstm, [t.bfloat16() for t in single])):
        for got, expected in zip(outputs, exact, strict=True):
            assert (got.double() - expected).abs().max() < 0.1 * (1 + expected.abs().max())
