"""`Core`, what a module keeps for the native core: made anew when the module has become another."""

import copy
import pickle

import pytest
import torch
from torch.nn import Parameter
from twins import assert_same, gradients

from gatewise import Cell
from gatewise.errors import ShapeError
from gatewise.nn import LSTM

X = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))


def pruned(m, hidden_size):
    """Structured pruning: the first units are kept, the module says so."""
    kept = torch.cat([torch.arange(hidden_size) + gate * m.hidden_size for gate in range(4)])
    for layer in range(m.num_layers):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            value = getattr(m, f"{name}_l{layer}").detach()[kept]
            if name == "weight_hh" or (name == "weight_ih" and layer):
                value = value[:, :hidden_size]
            setattr(m, f"{name}_l{layer}", Parameter(value.clone()))
    m.hidden_size = hidden_size


def narrowed(m):
    m.weight_ih_l0 = Parameter(m.weight_ih_l0.detach()[:, :3].clone())
    m.input_size = 3


def shortened(m):
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        delattr(m, f"{name}_l1")
    m._flat_weights_names = m._flat_weights_names[:4]
    m._all_weights = m._all_weights[:1]
    m.num_layers = 1


def without_bias(m):
    m.bias = False
    for layer in range(2):
        for name in ("bias_ih", "bias_hh"):
            delattr(m, f"{name}_l{layer}")
    m._flat_weights_names = [n for n in m._flat_weights_names if "bias" not in n]


CHANGES = {
    "hidden_size": lambda m: pruned(m, 4),
    "input_size": narrowed,
    "num_layers": shortened,
    "bias": without_bias,
    "batch_first": lambda m: setattr(m, "batch_first", True),
    "cell": lambda m: setattr(m, "cell", Cell(candidate="relu")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_module_that_has_become_another_computes_as_a_new_one(change):
    torch.manual_seed(0)
    m = LSTM(4, 6, num_layers=2)
    m(X)[0].sum().backward()
    m.zero_grad()
    change(m)
    other = LSTM(
        m.input_size, m.hidden_size, m.num_layers, m.bias, m.batch_first, cell=m.cell
    )  # fmt: skip
    other.load_state_dict(m.state_dict())
    found = []
    for module in (m, other):
        y, state = module(X[..., : m.input_size])
        y.square().sum().backward()
        found.append([y, *state, gradients(module)])
    assert_same(*found, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["input_size", "hidden_size", "num_layers", "proj_size"])
@pytest.mark.parametrize("called", [False, True])
def test_a_size_that_does_not_fit_the_weights_is_refused(name, called):
    m = LSTM(4, 6, num_layers=2)
    if called:
        m(X)
    setattr(m, name, 3)
    with pytest.raises((ShapeError, RuntimeError, AttributeError)):
        m(X[..., : m.input_size])


@pytest.mark.parametrize("called", [False, True])
def test_what_a_module_keeps_for_the_core_stays_out_of_its_copies(called):
    m = LSTM(4, 6)
    m.freeze_weights()
    if called:
        m(X)
    for other in (copy.copy(m), copy.deepcopy(m), pickle.loads(pickle.dumps(m))):
        assert "_core" not in other.__dict__
        assert_same(other(X), m(X), rtol=0, atol=0)
        assert other._core.frozen


def test_one_attribute_is_all_that_a_call_leaves():
    m = LSTM(4, 6)
    before = set(m.__dict__)
    m(X)
    assert set(m.__dict__) - before == {"_core"}


def test_a_module_whose_class_is_swapped_by_hand_runs():
    m = torch.nn.LSTM(4, 6)
    expected = m(X)
    m.__class__ = LSTM
    assert_same(m(X), expected)
