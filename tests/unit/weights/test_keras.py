"""Keras's weights, against its equations written out."""

import numpy as np
import pytest

from gatewise import runtime
from gatewise.errors import ConfigError, ShapeError
from gatewise.trace import record
from gatewise.weights import from_keras

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 7, 3))


def layer(I, H, bias=True):
    shapes = [(I, 4 * H), (H, 4 * H), (4 * H,)][: 2 + bias]
    return [RNG.standard_normal(s) for s in shapes]


def keras(x, arrays, activation, gate):
    """keras.layers.LSTM.call: z in four parts, in the order i, f, c, o."""
    kernel, recurrent, *bias = arrays
    H = len(recurrent)
    h = c = np.zeros((len(x), H))
    out = []
    for t in range(x.shape[1]):
        z = x[:, t] @ kernel + h @ recurrent + (bias[0] if bias else 0)
        z0, z1, z2, z3 = np.split(z, 4, axis=1)
        c = gate(z1) * c + gate(z0) * activation(z2)
        h = gate(z3) * activation(c)
        out.append(h)
    return np.stack(out, axis=1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


CASES = {
    "default": ("tanh", np.tanh, "sigmoid", sigmoid),
    "Keras 3's hard_sigmoid": ("tanh", np.tanh, "hard_sigmoid", lambda x: np.clip(x + 3, 0, 6) / 6),
    "Keras 2's": ("tanh", np.tanh, "hard_sigmoid_keras2", lambda x: np.clip(0.2 * x + 0.5, 0, 1)),
    "relu": ("relu", lambda x: np.maximum(x, 0), "sigmoid", sigmoid),
    "linear": ("linear", lambda x: x, "sigmoid", sigmoid),
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_layer_computes_what_keras_does(case, bias):
    name, activation, gate_name, gate = case
    arrays = layer(3, 5, bias)
    weights = from_keras(arrays, activation=name, recurrent_activation=gate_name)
    expected = keras(X, arrays, activation, gate)
    y, _ = runtime.Model(weights).run(X)
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-12)
    traced = record(weights, X).data["hidden_state"].values[0, 0]
    np.testing.assert_allclose(traced.swapaxes(0, 1), expected, rtol=1e-10, atol=1e-12)


def test_a_stack_of_layers():
    arrays = [layer(3, 5), layer(5, 5)]
    y, _ = runtime.Model(from_keras(arrays)).run(X)
    expected = keras(keras(X, arrays[0], np.tanh, sigmoid), arrays[1], np.tanh, sigmoid)
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-12)


WRONG = {
    "nothing": [],
    "a kernel alone": [np.zeros((3, 16))],
    "sizes that differ": [np.zeros((3, 12)), np.zeros((4, 16))],
    "a short bias": [np.zeros((3, 16)), np.zeros((4, 16)), np.zeros(4)],
    "layers that do not fit": [layer(3, 5), layer(4, 5)],
    "one bias": [layer(3, 5), layer(5, 5, False)],
    "two widths": [layer(3, 5), layer(5, 4)],
}


@pytest.mark.parametrize("arrays", WRONG.values(), ids=WRONG)
def test_what_is_no_lstm_is_refused(arrays):
    with pytest.raises(ShapeError):
        from_keras(arrays)


def test_an_unknown_activation_is_refused():
    with pytest.raises(ConfigError, match="Did you mean 'tanh'"):
        from_keras(layer(3, 5), activation="tan")


@pytest.mark.parametrize(
    "weights", [None, {}, iter([]), [np.zeros((3, 4)), 3], [[np.zeros((3, 4))], 3],
                [np.zeros((3, 4)), np.zeros((1, 4)), "b"], [np.zeros((3, 4), complex)] * 2],
    ids=["None", "dict", "generator", "number", "mixed", "text", "complex"],
)  # fmt: skip
def test_what_is_no_list_of_arrays_is_refused(weights):
    with pytest.raises(ShapeError):
        from_keras(weights)
    with pytest.raises(ConfigError, match="no activation"):
        from_keras([np.zeros((3, 4)), np.zeros((1, 4))], activation=["tanh"])


def test_the_arrays_are_copies():
    kernel, recurrent = np.asfortranarray(np.ones((3, 8))), np.asfortranarray(np.ones((2, 8)))
    found = from_keras([kernel, recurrent])
    kernel[:] = recurrent[:] = 0
    assert all((array == 1).all() for name, array in found.arrays.items() if "weight" in name)
