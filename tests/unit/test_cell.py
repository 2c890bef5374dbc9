"""The activation table against numerical facts, and `Cell`."""

import pickle
from dataclasses import FrozenInstanceError, asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise import ACTIVATIONS, GATE_ORDER, SITES, Cell
from gatewise.errors import ConfigError

names = st.sampled_from(list(ACTIVATIONS))
KINKS = {"hard_sigmoid": [-3.0, 3.0], "hard_tanh": [-1.0, 1.0], "relu": [0.0]}
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS)


def grid(activation):
    """Points on (-30, 30), none within 1e-3 of a kink."""
    x = np.linspace(-30, 30, 20_011)
    for kink in KINKS.get(activation.name, []):
        x = x[np.abs(x - kink) > 1e-3]
    return x


@every_activation
def test_the_derivative_equals_central_differences(activation):
    x, e = grid(activation), 1e-6
    slope = (activation.function(x + e) - activation.function(x - e)) / (2 * e)
    got = activation.derivative(x, activation.function(x))
    np.testing.assert_allclose(got, slope, atol=2e-6)  # softsign bends at 0


@every_activation
def test_the_derivative_at_a_kink_is_one_of_its_sides(activation):
    for kink in KINKS.get(activation.name, []):
        x = np.array([kink - 1e-3, kink, kink + 1e-3])
        left, at, right = activation.derivative(x, activation.function(x))
        assert at in (left, right)
        assert left != right


@every_activation
def test_the_range_is_reached_and_never_left(activation):
    x = np.concatenate([np.linspace(-50, 50, 10_001), [-1e300, 1e300]])
    y = activation.function(x)
    low, high = activation.range
    assert y.min() >= low
    assert y.max() <= high
    for bound, found in ((low, y.min()), (high, y.max())):
        assert abs(found) >= 1e300 if np.isinf(bound) else found == pytest.approx(bound, abs=1e-9)


@every_activation
def test_zero_centred_says_whether_the_function_is_odd(activation):
    x = grid(activation)
    odd = np.allclose(activation.function(-x), -activation.function(x), atol=1e-15)
    assert odd is activation.zero_centred


@every_activation
def test_the_slope_at_zero_is_the_derivative_there(activation):
    zero = np.zeros(1)
    got = activation.derivative(zero, activation.function(zero))[0]
    assert got == pytest.approx(activation.slope_at_zero, rel=1e-15)


@every_activation
def test_the_formula_says_what_the_function_does(activation):
    x = np.linspace(-5, 5, 101)
    formula = activation.formula.replace("e^-x", "np.exp(-x)").replace("|x|", "np.abs(x)")
    scope = {"np": np, "x": x, "clip": np.clip, "max": np.maximum, "tanh": np.tanh}
    np.testing.assert_allclose(activation.function(x), eval(formula, scope), atol=1e-15)


@every_activation
def test_function_and_derivative_keep_shape_and_leave_the_input_alone(activation):
    x = np.array([[-2.0, 0.0], [0.5, 9.0]])
    before = x.copy()
    y = activation.function(x)
    assert y.shape == activation.derivative(x, y).shape == x.shape
    assert y.dtype == np.float64
    assert y is not x
    np.testing.assert_array_equal(x, before)


def test_sigmoid_never_overflows():
    with np.errstate(all="raise", under="ignore"):
        y = ACTIVATIONS["sigmoid"].function(np.array([-1e4, -800.0, 800.0, 1e4]))
    np.testing.assert_array_equal(y, [0, 0, 1, 1])


def test_the_order_of_gates_and_sites_is_the_documented_one():
    assert GATE_ORDER == ("i", "f", "g", "o")
    assert SITES == ("input_gate", "forget_gate", "candidate", "output_gate", "cell_output")
    assert list(ACTIVATIONS) == [a.name for a in ACTIVATIONS.values()]


@given(
    st.fixed_dictionaries(
        dict.fromkeys(SITES, names)
        | dict.fromkeys(("peephole", "coupled", "layer_norm"), st.booleans())
    )
)
def test_a_cell_is_a_value(options):
    cell = Cell(**options)
    assert asdict(cell) == options
    assert cell == Cell(**options)
    assert hash(cell) == hash(Cell(**options))
    assert eval(repr(cell)) == cell
    assert pickle.loads(pickle.dumps(cell)) == cell
    assert cell.is_default == (options == asdict(Cell()))
    assert [cell.activation(site).name for site in SITES] == [options[site] for site in SITES]


def test_a_cell_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Cell().candidate = "relu"


@pytest.mark.parametrize("site", SITES)
def test_an_unknown_activation_is_named_with_the_nearest(site):
    with pytest.raises(ConfigError, match=rf"{site} has no activation 'tanhh': .*mean 'tanh'\?"):
        Cell(**{site: "tanhh"})


@pytest.mark.parametrize("wrong", [None, 3, float, "", b"tanh"])
def test_an_activation_that_is_neither_name_nor_function_is_refused(wrong):
    with pytest.raises(ConfigError, match="candidate has no activation"):
        Cell(candidate=wrong)


def test_an_activation_that_cannot_be_hashed_is_refused():
    class Unhashable:
        __hash__ = None

        def __call__(self, x):
            return x

    for wrong in (["tanh"], Unhashable()):
        with pytest.raises(ConfigError, match="candidate has no activation"):
            Cell(candidate=wrong)


def swish(x):
    return x / (1 + np.exp(-x))


def test_a_function_may_stand_at_a_site():
    cell = Cell(candidate=swish, cell_output="relu")
    assert cell.has_callables
    assert not cell.is_default
    assert not Cell(cell_output="relu").has_callables
    assert repr(cell) == "Cell(candidate=swish, cell_output='relu')"
    assert cell == Cell(candidate=swish, cell_output="relu") != Cell(cell_output="relu")
    assert hash(cell) == hash(Cell(candidate=swish, cell_output="relu"))
    assert pickle.loads(pickle.dumps(cell)) == cell
    assert cell.activation("cell_output").name == "relu"
    with pytest.raises(
        ConfigError, match=r"candidate is the Python function swish: .*gatewise\.nn"
    ):
        cell.activation("candidate")


def test_the_gates_whose_weights_are_used():
    assert Cell().used_gates == (True,) * 4
    assert Cell(coupled=True).used_gates == (True, False, True, True)
    gates = dict.fromkeys(SITES[:4], "one")
    assert Cell(**gates, cell_output="one").used_gates == (False,) * 4
    for k, site in enumerate(SITES[:4]):
        assert Cell(**{site: "one"}).used_gates == tuple(j != k for j in range(4))


@pytest.mark.parametrize("switch", ["peephole", "coupled", "layer_norm"])
@pytest.mark.parametrize("wrong", [1, "yes", None])
def test_a_switch_that_is_no_bool_is_refused(switch, wrong):
    with pytest.raises(ConfigError, match=f"{switch} is .*: expected True or False"):
        Cell(**{switch: wrong})


def test_an_unknown_site_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match=r"no site 'forgetgate'.*mean 'forget_gate'\?"):
        Cell().activation("forgetgate")
