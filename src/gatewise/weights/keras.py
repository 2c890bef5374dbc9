"""Weights of a Keras LSTM: [I, 4H] kernels in the order i, f, c, o, and one bias."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise.cell import Activation, Cell
from gatewise.errors import ConfigError, ShapeError, nearest, shown
from gatewise.weights.config import LSTMConfig
from gatewise.weights.modules import LSTMWeights

Array = NDArray[Any]

_ACTIVATIONS: Final = {
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
    "softsign": "softsign",
    "linear": "identity",
    "hard_sigmoid": "hard_sigmoid",
    "hard_sigmoid_keras2": Activation("hard_sigmoid", slope=1.2),
    "hard_tanh": "hard_tanh",
}
"""Ours by Keras's names. Keras 3 has relu6(x + 3) / 6 as hard_sigmoid, as PyTorch has; Keras 2 had
clip(x / 5 + 1/2, 0, 1), which is ours of 1.2 x."""


def from_keras(
    weights: Sequence[Any],
    *,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    batch_first: bool = True,
) -> LSTMWeights:
    """Return the weights of a `keras.layers.LSTM`, or of a stack of them.

    Args:
        weights: ``layer.get_weights()``: kernel [I, 4H], recurrent kernel [H, 4H] and, unless the
            layer has none, bias [4H]; of several layers the lists of all, in order. Gates in
            Keras's order i, f, c, o, which is i, f, g, o.
        activation: Keras's `activation`: of the candidate and of the cell state. Default "tanh".
        recurrent_activation: of the three gates. Default "sigmoid". "hard_sigmoid" is that of Keras
            3; for a layer of Keras 2 say "hard_sigmoid_keras2".
        batch_first: Keras's inputs are [B, T, I]. Default True.

    Raises:
        ShapeError: the arrays are not those of an LSTM, or do not fit each other.
        ConfigError: there is no such activation.

    >>> rng = np.random.default_rng(0)
    >>> found = from_keras([rng.random((3, 16)), rng.random((4, 16)), rng.random(16)])
    >>> found.config.input_size, found.config.hidden_size
    (3, 4)
    """
    squash, gate = _activation(activation), _activation(recurrent_activation)
    if not isinstance(weights, (list, tuple)):
        raise ShapeError(
            f"weights is {shown(weights)}: expected a list of arrays. Pass layer.get_weights()."
        )
    one = len(weights) > 0 and not isinstance(weights[0], (list, tuple))
    layers = [weights] if one else list(weights)
    if not all(isinstance(layer, (list, tuple)) for layer in layers):
        raise ShapeError("weights mixes arrays and lists: expected the list of each layer.")
    found: dict[str, Array] = {}
    inputs = hidden = 0
    counts = {len(layer) for layer in layers}
    if not layers or counts - {2, 3} or len(counts) != 1:
        raise ShapeError(
            f"There are {sorted(counts)} arrays a layer: expected a kernel, a recurrent kernel "
            "and, in all layers or none, a bias. Pass layer.get_weights()."
        )
    for k, layer in enumerate(layers):
        kernel, recurrent, *bias = (_array(a, k) for a in layer)
        H = recurrent.shape[0] if recurrent.ndim == 2 else 0
        before = hidden if k else kernel.shape[0] if kernel.ndim == 2 else -1
        expected = [(before, 4 * H), (H, 4 * H), (4 * H,)][: len(layer)]
        got = [a.shape for a in (kernel, recurrent, *bias)]
        if not H or got != expected or (k and hidden != H):
            raise ShapeError(f"Layer {k} has arrays of shapes {got}: expected {expected}, H > 0.")
        inputs, hidden = inputs if k else before, H
        found[f"weight_ih_l{k}"] = np.array(kernel.T, order="C")
        found[f"weight_hh_l{k}"] = np.array(recurrent.T, order="C")
        for b in bias:
            found[f"bias_ih_l{k}"], found[f"bias_hh_l{k}"] = b.copy(), np.zeros_like(b)
    cell = Cell(gate, gate, squash, gate, squash)
    config = LSTMConfig(inputs, hidden, len(layers), counts == {3}, batch_first, cell=cell)
    made = LSTMWeights(config, found)
    made.check()
    return made


def _array(value: Any, layer: int) -> Array:
    try:
        found = np.asarray(getattr(value, "detach", lambda: value)())
    except (TypeError, ValueError, RuntimeError):
        found = np.asarray(None)
    if found.dtype.kind != "f":
        raise ShapeError(
            f"Layer {layer} holds {shown(value)}: expected arrays of floating point numbers."
        )
    return found


def _activation(name: str) -> str | Activation:
    if not isinstance(name, str) or name not in _ACTIVATIONS:
        raise ConfigError(
            f"There is no activation {shown(name)}. {nearest(str(name), list(_ACTIVATIONS))}"
        )
    return _ACTIVATIONS[name]
