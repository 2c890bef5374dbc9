"""`Activation`: scale, slope and shift of a built-in function, in Python and in the core."""

import itertools

import numpy as np
import pytest

from gatewise import Cell, GatewiseError, _native
from gatewise._native import _core
from gatewise.cell import ACTIVATIONS, SITES, Activation

SHAPED = [
    Activation("tanh", 0.5, 0.5, 0.5),
    Activation("sigmoid", 2.0, 2.0, -1.0),
    Activation("hard_sigmoid", -1.5, 0.25, 0.125),
    Activation("relu", -0.5, -2.0),
    Activation("one", 3.0, 1.0, -0.5),
]
POINTS = np.linspace(-6, 6, 97)


def test_the_core_has_the_table_s_functions_in_its_order():
    assert _core.functions() == list(ACTIVATIONS)


@pytest.mark.parametrize("coupled", [False, True])
def test_the_core_uses_the_gates_that_the_cell_says(coupled):
    choices = ("tanh", "one", Activation("one", 2.0))
    for sites in itertools.product(choices, repeat=4):
        cell = Cell(*sites, coupled=coupled)
        assert _core.used_gates(cell.as_tuple()) == cell.used_gates


@pytest.mark.parametrize("activation", SHAPED, ids=str)
def test_the_core_computes_what_the_definition_says(isa, activation):
    for dtype, bound in ((np.float32, 3e-6), (np.float64, 1e-14)):
        x = POINTS.astype(dtype)
        y = np.empty_like(x)
        _native.activate(
            (activation.name, activation.scale, activation.slope, activation.shift), x, y
        )
        np.testing.assert_allclose(y, activation.function(POINTS), atol=bound)


@pytest.mark.parametrize("activation", SHAPED, ids=str)
def test_the_derivative_is_that_of_the_function(activation):
    x = POINTS + 0.013  # away from corners
    step = 1e-6
    numeric = (activation.function(x + step) - activation.function(x - step)) / (2 * step)
    found = activation.derivative(x, activation.function(x))
    np.testing.assert_allclose(found, numeric, atol=1e-8)


@pytest.mark.parametrize("activation", SHAPED, ids=str)
def test_range_and_slope_are_those_of_the_function(activation):
    y = activation.function(np.linspace(-200, 200, 100_001))
    low, high = activation.range
    assert low - 1e-12 <= y.min()
    assert y.max() <= high + 1e-12
    if activation.name != "relu":
        np.testing.assert_allclose([y.min(), y.max()], [low, high], atol=1e-12)
        step = 1e-6
        slope = np.diff(activation.function(np.array([-step, step])))[0] / (2 * step)
        assert activation.slope_at_zero == pytest.approx(slope, abs=1e-9)


def test_a_sigmoid_stretched_to_a_tanh_is_zero_centred():
    assert Activation("sigmoid", 2.0, 2.0, -1.0).zero_centred
    assert not Activation("tanh", 0.5, 0.5, 0.5).zero_centred
    np.testing.assert_allclose(
        Activation("sigmoid", 2.0, 2.0, -1.0).function(POINTS), np.tanh(POINTS), atol=1e-15
    )


def test_a_plain_activation_is_its_name():
    assert Cell(candidate=Activation("tanh")) == Cell()
    assert Cell(candidate=Activation("relu")).candidate == "relu"
    assert Cell(candidate=Activation("tanh", 2.0)) != Cell()


def test_a_cell_comes_back_from_plain_values():
    cell = Cell("hard_sigmoid", candidate=SHAPED[0], coupled=True)
    assert Cell.from_tuple(cell.as_tuple()) == cell
    assert Cell.from_tuple(map(list_of, cell.as_tuple())) == cell


def list_of(value):
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("tanhh",), "Did you mean 'tanh'"),
        (("tanh", 0.0), "scale .* is 0.0: expected a finite number other than 0"),
        (("tanh", 1.0, float("inf")), "slope .* is inf: expected a finite"),
        (("tanh", 1.0, 1.0, float("nan")), "shift .* is nan: expected a finite number"),
        (("tanh", True), "scale .* is True"),
        ((3,), "There is no activation 3"),
    ],
)
def test_what_is_no_activation_is_refused(arguments, fault):
    with pytest.raises(GatewiseError, match=fault):
        Activation(*arguments)


@pytest.mark.parametrize("site", SITES)
def test_a_file_keeps_the_shape(tmp_path, site):
    torch = pytest.importorskip("torch")
    from gatewise import nn, runtime, weights

    lstm = nn.LSTM(3, 5, cell=Cell(**{site: SHAPED[0]})).eval()
    weights.save_lstm(lstm, tmp_path / "m.safetensors")
    model = runtime.load(tmp_path / "m.safetensors")
    assert model.weights.config.cell == lstm.cell
    x = torch.randn(4, 2, 3)
    with torch.no_grad():
        expected = lstm(x)[0].numpy()
    assert model.run(x.numpy())[0].tobytes() == expected.tobytes()
