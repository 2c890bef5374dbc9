"""What makes `gatewise.nn.LSTM` a `torch.nn.LSTM`: parameters, state_dict, errors, copies."""

import copy
import io
import pickle

import pytest
import torch
from twins import assert_same, assert_same_outcome, twins

from gatewise import Cell
from gatewise.errors import ConfigError
from gatewise.nn import LSTM, LSTMCell

OPTIONS = [
    {},
    {"num_layers": 3, "bidirectional": True, "dropout": 0.3},
    {"bias": False, "batch_first": True},
    {"proj_size": 3, "num_layers": 2, "dtype": torch.float64},
]
VARIANTS = [Cell(peephole=True), Cell(layer_norm=True, coupled=True), Cell(candidate="relu")]
X = torch.linspace(-1, 1, 60).reshape(5, 3, 4)
H = torch.linspace(-1, 1, 18).reshape(1, 3, 6)


@pytest.mark.parametrize("kw", OPTIONS, ids=repr)
def test_parameters_names_order_and_initial_values_are_torchs(kw):
    ours, theirs = twins(**kw)
    assert isinstance(ours, torch.nn.LSTM)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b), name
    assert repr(ours) == repr(theirs)
    assert ours.all_weights.__len__() == theirs.all_weights.__len__()


@pytest.mark.parametrize("kind", ["LSTM", "LSTMCell"])
def test_state_dicts_go_both_ways(kind):
    ours, theirs = twins(kind)
    for source, target in ((ours, theirs), (theirs, ours)):
        with torch.no_grad():
            for p in source.parameters():
                p.uniform_()
        target.load_state_dict(source.state_dict(), strict=True)
        assert_same(list(target.parameters()), list(source.parameters()), rtol=0, atol=0)


BAD_CALLS = {
    "1 axis": lambda m: m(X[0, 0]),
    "4 axes": lambda m: m(X[None]),
    "input_size": lambda m: m(X[..., :3]),
    "no steps": lambda m: m(X[:0]),
    "numpy": lambda m: m(X.numpy()),
    "list": lambda m: m([1.0]),
    "float64 input": lambda m: m(X.double()),
    "float64 state": lambda m: m(X, (H.double(), H.double())),
    "integers": lambda m: m(X.long()),
    "bfloat16": lambda m: m(X.bfloat16()),
    "meta": lambda m: m(X.to("meta")),
    "sparse": lambda m: m(X.to_sparse()),
    "one state": lambda m: m(X, (H,)),
    "three states": lambda m: m(X, (H, H, H)),
    "a tensor as state": lambda m: m(X, H),
    "both states in a tensor": lambda m: m(X, torch.stack([H, H])),
    "unbatched state": lambda m: m(X, (H[0], H[0])),
    "h batch": lambda m: m(X, (H[:, :2], H)),
    "c batch": lambda m: m(X, (H, H[:, :2])),
    "c size": lambda m: m(X, (H, H[..., :2])),
    "layers": lambda m: m(X, (torch.cat([H, H]), H)),
    "batched state": lambda m: m(X[:, 0], (H, H)),
    "one bias lost": lambda m: (setattr(m, "bias_hh_l0", None), m(X)),
}


@pytest.mark.parametrize("call", BAD_CALLS.values(), ids=BAD_CALLS)
def test_bad_input_raises_what_torch_raises(call):
    assert isinstance(assert_same_outcome(call, twins()), Exception)


BAD_OPTIONS = [
    ((4, 0), {}),
    ((0, 4), {}),
    ((4.0, 6), {}),
    ((4, 6), {"num_layers": 0}),
    ((4, 6), {"dropout": 2}),
    ((4, 6), {"bias": 1}),
    ((4, 6), {"batch_first": None}),
    ((4, 6), {"proj_size": 6}),
    ((4, 6), {"proj_size": -1}),
    ((4, 6), {"colour": "red"}),
    ((4,), {}),
]


@pytest.mark.parametrize(("args", "kw"), BAD_OPTIONS)
def test_bad_options_raise_what_torch_raises(args, kw):
    with pytest.raises((ValueError, TypeError)) as expected:
        torch.nn.LSTM(*args, **kw)
    with pytest.raises(type(expected.value)) as caught:
        LSTM(*args, **kw)
    assert str(caught.value) == str(expected.value).replace("RNNBase", "LSTM")


@pytest.mark.parametrize("cls", [LSTM, LSTMCell])
@pytest.mark.parametrize("cell", ["tanh", None, Cell])
def test_a_cell_that_is_none_is_refused(cls, cell):
    with pytest.raises(ConfigError, match=r"expected gatewise\.Cell\. Pass cell=Cell"):
        cls(4, 6, cell=cell)


@pytest.mark.parametrize("cell", [Cell(), *VARIANTS], ids=repr)
@pytest.mark.parametrize("cls", [LSTM, LSTMCell])
def test_copies_and_pickles_compute_the_same(cls, cell):
    module = cls(4, 6, cell=cell)
    x = X if cls is LSTM else X[0]
    expected = module(x)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), copy.copy(module)):
        assert type(other) is cls
        assert other.cell == cell
        assert_same(other(x), expected, rtol=0, atol=0)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    fresh = cls(4, 6, cell=cell)
    fresh.load_state_dict(torch.load(file, weights_only=True), strict=True)
    assert_same(fresh(x), expected, rtol=0, atol=0)


def test_a_copy_is_apart_from_the_original():
    lstm = LSTM(4, 6)
    other = copy.deepcopy(lstm)
    before = lstm(X)[0].clone()
    with torch.no_grad():
        other.weight_hh_l0.zero_()
    assert_same(lstm(X)[0], before, rtol=0, atol=0)
    assert not torch.equal(other(X)[0], before)


def test_a_module_pickled_before_it_had_a_cell_has_the_default():
    for module in (LSTM(4, 6), LSTMCell(4, 6)):
        state = module.__getstate__() if hasattr(module, "__getstate__") else module.__dict__
        state = {k: v for k, v in state.items() if k != "cell"}
        other = type(module).__new__(type(module))
        other.__setstate__(state)
        assert other.cell == Cell()


@pytest.mark.parametrize("cell", VARIANTS, ids=repr)
def test_a_variant_shows_its_cell_and_starts_with_identity_norms(cell):
    for module in (
        LSTM(4, 6, num_layers=2, bidirectional=True, cell=cell),
        LSTMCell(4, 6, cell=cell),
    ):
        assert repr(cell) in repr(module)
        norms = [p for n, p in module.named_parameters() if n.startswith("norm_")]
        assert bool(norms) is cell.layer_norm
        for norm in norms:
            assert torch.equal(norm[0], torch.ones_like(norm[0]))
            assert not norm[1].any()


@pytest.mark.parametrize("cell", VARIANTS, ids=repr)
@pytest.mark.parametrize(
    "shape",
    [(4,), (5, 3, 3), (0, 3, 4), (1, 5, 3, 4)],
    ids=["1 axis", "size", "no steps", "4 axes"],
)
def test_a_variant_refuses_bad_input_as_the_default_does(cell, shape):
    x = torch.zeros(shape)
    with pytest.raises((RuntimeError, ValueError)) as expected:
        torch.nn.LSTM(4, 6)(x)
    with pytest.raises(type(expected.value)) as caught:
        LSTM(4, 6, cell=cell)(x)
    assert str(caught.value) == str(expected.value)


@pytest.mark.parametrize("cell", VARIANTS, ids=repr)
@pytest.mark.parametrize(
    "state", [(H[:, :2], H), (H, H[..., :2]), (H[0], H[0]), (H,)], ids=["h", "c", "axes", "one"]
)
def test_a_variant_refuses_bad_states_as_the_default_does(cell, state):
    with pytest.raises((RuntimeError, ValueError, IndexError)) as expected:
        torch.nn.LSTM(4, 6)(X, state)
    with pytest.raises(type(expected.value)) as caught:
        LSTM(4, 6, cell=cell)(X, state)
    assert str(caught.value) == str(expected.value)
