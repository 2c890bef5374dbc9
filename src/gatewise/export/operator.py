"""A cell in the words of ONNX's LSTM operator, or why it cannot be said.

The operator (https://onnx.ai/onnx/operators/onnx__LSTM.html) has one activation f for the three
gates, g for the candidate and h for the cell output; peepholes if it is given their weights;
f = 1 - i if ``input_forget`` is set. What it cannot compute is refused, never approximated.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.cell import GATE_ORDER, Cell
from gatewise.weights import LSTMConfig, LSTMWeights, expected_shapes

Array = NDArray[Any]

_GATES: Final = {"i": "input_gate", "o": "output_gate", "f": "forget_gate"}
"""The gates that share an activation, in the operator's order; the candidate comes last."""

_LARGEST: Final = 2**31 - 2**16  # bytes of parameters: an ONNX file ends at 2 GB


class _Function(NamedTuple):
    """An activation as the operator names it.

    `parameters` are its alpha and beta. At `one_at` it is 1, to the last bit in either dtype.
    """

    name: str
    one_at: float
    parameters: tuple[float, float] | None = None


_FUNCTIONS: Final = {
    "sigmoid": _Function("Sigmoid", 40.0),
    "tanh": _Function("Tanh", 20.0),
    "hard_sigmoid": _Function("HardSigmoid", 6.0, (1 / 6, 0.5)),
    "relu": _Function("Relu", 1.0),
    "softsign": _Function("Softsign", 2.0**60),
    "identity": _Function("Affine", 1.0, (1.0, 0.0)),
    "one": _Function("Affine", 0.0, (0.0, 1.0)),
}
"""The activations of `gatewise.cell` that the operator has; hard_tanh is not among them."""


def missing(weights: LSTMWeights) -> str | None:
    """Say what the operator lacks: fault, what was expected, what it got. None: nothing."""
    config, cell = weights.config, weights.config.cell
    if config.proj_size:
        return f"projection: expected proj_size=0, got {config.proj_size}"
    if cell.layer_norm:
        return "layer norm: expected layer_norm=False, got True"
    if any(config.zoneout):
        return f"zoneout: expected zoneout=(0, 0), got {config.zoneout}"
    for site in (*_gate_sites(cell), "candidate", "cell_output"):
        if getattr(cell, site) not in _FUNCTIONS:
            return f"such {site}: expected one of {', '.join(_FUNCTIONS)}, got {cell}"
    if len(_gate_activations(cell)) > 1:
        sites = ", ".join(_gate_sites(cell))
        return f"activation for each gate: expected the same at {sites}, or 'one', got {cell}"
    unknown = weights.arrays.keys() - expected_shapes(config).keys()
    if unknown:
        return f"input for {min(unknown)!r}: expected the parameters of a plain LSTM"
    size = sum(a.nbytes for a in weights.arrays.values())
    if size > _LARGEST:
        return f"room in a file for {size} bytes of parameters: expected less than 2 GB"
    return None


def attributes(config: LSTMConfig) -> dict[str, Any]:
    """Return the operator's attributes."""
    cell, D = config.cell, config.directions
    names = [_gates_share(cell), cell.candidate, cell.cell_output]
    functions = [_FUNCTIONS[name] for name in names] * D
    # Consumed in order, by the functions that have any.
    parameters = [f.parameters for f in functions if f.parameters is not None]
    found: dict[str, Any] = {
        "hidden_size": config.hidden_size,
        "direction": "bidirectional" if D == 2 else "forward",
        "activations": [f.name for f in functions],
    }
    if parameters:
        found["activation_alpha"] = [alpha for alpha, _ in parameters]
        found["activation_beta"] = [beta for _, beta in parameters]
    if cell.coupled:
        found["input_forget"] = 1
    return found


def parameters(weights: LSTMWeights, layer: int) -> dict[str, Array]:
    """Return the operator's W [D, 4H, I], R [D, 4H, H], B [D, 8H] and, with peepholes, P [D, 3H].

    A removed gate has its activation's `one_at` as bias, and zeros elsewhere.
    """
    config, cell = weights.config, weights.config.cell
    one_at = _FUNCTIONS[_gates_share(cell)].one_at
    removed = [k for k, site in _GATES.items() if getattr(cell, site) == "one"]
    found: dict[str, list[Array]] = {"W": [], "R": [], "B": []}
    if cell.peephole:
        found["P"] = []
    for direction in range(config.directions):
        own = weights.layer(layer, direction)
        w_ih, w_hh = _by_gate(own["w_ih"]), _by_gate(own["w_hh"])
        zero = np.zeros(4 * config.hidden_size, own["w_ih"].dtype)
        b_ih, b_hh = _by_gate(own.get("b_ih", zero)), _by_gate(own.get("b_hh", zero))
        for gate in removed:
            for part, value in ((w_ih, 0.0), (w_hh, 0.0), (b_ih, one_at), (b_hh, 0.0)):
                part[gate] = np.full_like(part[gate], value)
        found["W"].append(_stacked(w_ih))
        found["R"].append(_stacked(w_hh))
        found["B"].append(np.concatenate([_stacked(b_ih), _stacked(b_hh)]))
        if cell.peephole:
            peephole = dict(zip("ifo", own["peephole"], strict=True))
            found["P"].append(
                np.concatenate([peephole[k] * (k not in removed) for k in _GATES], dtype=zero.dtype)
            )
    return {name: np.stack(arrays) for name, arrays in found.items()}


def _gate_sites(cell: Cell) -> list[str]:
    """The gates whose activation matters."""
    return [site for k, site in _GATES.items() if not (cell.coupled and k == "f")]


def _gate_activations(cell: Cell) -> list[str]:
    """The different activations of the gates that are not removed."""
    names = dict.fromkeys(getattr(cell, site) for site in _gate_sites(cell))
    return [name for name in names if name != "one"]


def _gates_share(cell: Cell) -> str:
    return (*_gate_activations(cell), "one")[0]


def _by_gate(parameter: Array) -> dict[str, Array]:
    return dict(zip(GATE_ORDER, np.split(parameter, 4), strict=True))


def _stacked(gates: dict[str, Array]) -> Array:
    return np.concatenate([gates[k] for k in (*_GATES, "g")])
