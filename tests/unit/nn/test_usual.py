"""The quick way of a usual call: it is left as soon as anything is not as it was."""

import weakref

import pytest
import torch
from torch.nn.utils import prune as prune_module
from twins import assert_same, gradients, twins

from gatewise import Cell
from gatewise.errors import ShapeError
from gatewise.nn import LSTM

X = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))


def trained(lstm, x=X, **kw):
    x = x.clone().requires_grad_()
    lstm.zero_grad()
    y, (h, c) = lstm(x, **kw)
    (y.sin().sum() + h.sum() + c.square().sum()).backward()
    return [y, h, c, x.grad, gradients(lstm)]


def replace(lstm):
    lstm.weight_hh_l0 = torch.nn.Parameter(torch.ones_like(lstm.weight_hh_l0) / 9)


def set_data(lstm):
    lstm.weight_ih_l0.data = torch.ones(24, 4) / 9


def write_data(lstm):
    lstm.bias_hh_l0.data[3] = 2.0


def freeze(lstm):
    lstm.weight_ih_l0.requires_grad_(False)


def prune(lstm):
    prune_module.l1_unstructured(lstm, "weight_hh_l0", 0.5)


def parametrise(lstm):
    torch.nn.utils.parametrizations.weight_norm(lstm, "weight_hh_l0")


CHANGES = {"replaced": replace, "data set": set_data, "data written": write_data,
           "frozen": freeze, "pruned": prune, "parametrised": parametrise,
           "float64": lambda m: m.double(), "evaluation": lambda m: m.eval()}  # fmt: skip


# To write data is what frozen weights promise not to do.
@pytest.mark.parametrize(
    ("change", "frozen"),
    [(change, frozen) for change in CHANGES.values() for frozen in (False, True)
     if not (frozen and change is write_data)],
)  # fmt: skip
def test_a_change_after_a_usual_call_is_seen(change, frozen):
    ours, theirs = twins()
    ours.freeze_weights(frozen)
    for module in (ours, theirs):
        trained(module)
        change(module)
    x = X.to(ours.weight_ih_l0.dtype)
    tolerance = {"rtol": 1e-4, "atol": 1e-5}
    assert_same(trained(ours, x), trained(theirs, x), **tolerance)
    with torch.no_grad():
        assert_same(ours(x), theirs(x), **tolerance)


@pytest.mark.parametrize(
    ("name", "value"),
    [("cell", Cell(candidate="softsign")), ("recurrent_dropout", 0.5), ("zoneout", 0.3),
     ("weight_dropout", 0.5), ("checkpoint_every", 2), ("precision", "bfloat16")],
)  # fmt: skip
def test_an_option_set_after_a_usual_call_is_seen(name, value):
    lstm, fresh = LSTM(4, 6), LSTM(4, 6)
    fresh.load_state_dict(lstm.state_dict())
    trained(lstm)
    for module in (lstm, fresh):
        setattr(module, name, value)
    found = []
    for module in (lstm, fresh):
        torch.manual_seed(0)
        found.append(trained(module))
    assert_same(*found, rtol=0, atol=0)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("recorded", [False, True])
def test_the_call_after_the_first_is_usual(recorded, frozen):
    lstm = LSTM(4, 6)
    lstm.freeze_weights(frozen)
    with torch.set_grad_enabled(recorded):
        first, usual = lstm(X), lstm._core.usual
        assert usual is not None
        assert_same(usual.call(lstm, X, None), first, rtol=0, atol=0)


def test_states_given_and_not_given_follow_each_other():
    ours, theirs = twins()
    state = torch.randn(1, 3, 6), torch.randn(1, 3, 6)
    for kw in ({}, {"hx": state}, {}, {"hx": state}):
        assert_same(trained(ours, **kw), trained(theirs, **kw), rtol=1e-4, atol=1e-5)


def test_tensors_of_another_graph_are_not_kept():
    lstm = LSTM(4, 6)
    factor = torch.ones((), requires_grad=True)
    fast = {n: p * factor for n, p in lstm.named_parameters()}
    torch.func.functional_call(lstm, fast, (X,))
    graph = weakref.ref(fast["weight_ih_l0"])
    del fast
    assert graph() is None


@pytest.mark.parametrize("called", [False, True])
@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("what", ["x", "h0", "c0", "weight_ih_l0", "weight_hh_l0", "bias_ih_l0"])
def test_a_tensor_whose_memory_was_given_back_is_refused(what, called, recorded):
    """An address of 0 means "not given" to the core: left out in silence, or read."""
    lstm = LSTM(4, 6)
    tensors = {"x": X.clone(), "h0": torch.ones(1, 3, 6), "c0": torch.ones(1, 3, 6)}
    call = tensors["x"], (tensors["h0"], tensors["c0"])
    with torch.set_grad_enabled(recorded):
        if called:
            lstm(*call)
        tensor = tensors[what] if what in tensors else getattr(lstm, what)
        size = tensor.untyped_storage().nbytes()
        tensor.untyped_storage().resize_(0)
        with pytest.raises(ShapeError, match="has no memory: expected"):
            lstm(*call)
        tensor.untyped_storage().resize_(size)
        with torch.no_grad():
            tensor.fill_(0.5)
        lstm(*call)


@pytest.mark.parametrize("recorded", [False, True])
def test_a_view_into_memory_that_was_given_back_is_refused(recorded):
    """Its address is its offset, not 0."""
    lstm, x = LSTM(4, 6), torch.randn(6, 3, 4)[1:]
    with torch.set_grad_enabled(recorded):
        lstm(x)
        x.untyped_storage().resize_(0)
        with pytest.raises(ShapeError, match="has no memory: expected"):
            lstm(x)
        flat = torch.randn(48)
        lstm.bias_ih_l0.data = flat[3:27]
        lstm(X)
        flat.untyped_storage().resize_(0)
        with pytest.raises(ShapeError, match="has no memory: expected"):
            lstm(X)


def freed(t):
    t.untyped_storage().resize_(0)
    return t


C = torch.ones(1, 3, 6)
ODD = {
    "x, transposed": lambda m: m(freed(torch.randn(5, 4, 3).mT)),
    "state of every other row": lambda m: m(X, (freed(torch.ones(1, 6, 6)[:, ::2]), C)),
    "lengths": lambda m: m(freed(X.clone()), lengths=[5, 4, 2]),
}  # fmt: skip


@pytest.mark.parametrize("call", ODD.values(), ids=ODD)
def test_freed_memory_is_noticed_before_it_is_copied(call):
    with pytest.raises(ShapeError, match="has no memory: expected"):
        call(LSTM(4, 6))


def test_a_freed_weight_that_is_not_dense_is_refused():
    lstm = LSTM(4, 6)
    lstm.weight_hh_l0.data = torch.randn(6, 24).T
    freed(lstm.weight_hh_l0)
    with pytest.raises(ShapeError, match="has no memory: expected"):
        lstm(X)


@pytest.mark.parametrize("recorded", [False, True])
def test_zeros_without_memory_take_the_long_way(recorded):
    ours, theirs = twins()
    with torch.set_grad_enabled(recorded):
        for module in (ours, theirs):
            module(X)
            module.bias_ih_l0.data = torch._efficientzerotensor(24)
        ours_now, theirs.bias_ih_l0.data = ours(X), torch.zeros(24)
        assert_same(ours_now, theirs(X))


def test_a_replaced_parameter_is_let_go():
    lstm = LSTM(4, 6)
    lstm(X)
    old = [weakref.ref(p) for p in lstm.parameters()]
    lstm.load_state_dict({k: v.clone() for k, v in lstm.state_dict().items()}, assign=True)
    assert [ref() for ref in old] == [None] * 4
