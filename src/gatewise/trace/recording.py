"""Record every gate of an LSTM at every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatewise import reference
from gatewise.cell import GATE_ORDER, Cell
from gatewise.errors import DtypeError, MissingExtraError, ShapeError, shortened
from gatewise.weights import INITIAL_STATE_NAMES, LSTMConfig, LSTMWeights, from_module

if TYPE_CHECKING:
    import xarray as xr

_GATES = ("input_gate", "forget_gate", "candidate", "output_gate")
_DIMS = ("layer", "direction", "time", "batch", "hidden")


@dataclass(frozen=True, eq=False)
class Trace:
    """Everything a cell did; two are equal if their cells, labels and numbers are.

    Attributes:
        data: an `xarray.Dataset` with the dimensions layer, direction, time, batch and hidden, and
            the variables input_gate, forget_gate, candidate, output_gate (after their activation),
            cell_state c_t, cell_output ψ(c_t) and hidden_state h_t, all float64; and the same four
            gates before their activation as input_gate_pre and so on. With a projection,
            hidden_state has the dimension projected instead of hidden.
        cell: which LSTM it was.
    """

    data: xr.Dataset
    cell: Cell

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trace):
            return NotImplemented
        return self.cell == other.cell and self.data.identical(other.data)

    def __hash__(self) -> int:
        return hash((self.cell, tuple(self.data.sizes.items())))


def record(
    lstm: Any,
    x: ArrayLike,
    *,
    state: tuple[ArrayLike, ArrayLike] | None = None,
    time: ArrayLike | None = None,
) -> Trace:
    """Run an LSTM on an input and keep every gate and state.

    Runs the float64 reference, layer by layer, in evaluation mode (no dropout).

    Args:
        lstm: a `torch.nn.LSTM`, a `gatewise.nn.LSTM`, or the `LSTMWeights` of one.
        x: [T, B, I], or [B, T, I] if the LSTM is batch-first, or [T, I].
        state: (h0 [L*D, B, P], c0 [L*D, B, H]), default zeros; without B for an unbatched x.
        time: [T] labels of the steps, default 0 to T-1.

    Returns:
        A `Trace`. In the reverse direction, entry t is the step that read x_t.

    Raises:
        ModuleError: `lstm` is another module, or none.
        ShapeError, DtypeError: x, state or time does not fit the LSTM.
        MissingExtraError: xarray is not installed.
    """
    try:
        import xarray as xr
    except ImportError:
        raise MissingExtraError("Tracing", "trace") from None
    weights = lstm if isinstance(lstm, LSTMWeights) else from_module(lstm)
    config = weights.config
    rows = _numbers(x, "x")
    if rows.ndim not in (2, 3) or rows.shape[-1] != config.input_size:
        raise ShapeError(
            f"x has shape {rows.shape}: expected [T, B, I] or [T, I] with last axis "
            f"input_size={config.input_size}."
        )
    batched = rows.ndim == 3
    if not batched:
        rows = rows[:, None]
    elif config.batch_first:
        rows = rows.swapaxes(0, 1)

    D = config.directions
    states = _checked_states(state, config, rows.shape[1], batched)
    if states is None and config.learn_initial_state:
        learnt = (weights.arrays[name] for name in INITIAL_STATE_NAMES)
        states = [np.repeat(state, rows.shape[1], axis=1) for state in learnt]
    if time is not None and np.shape(time) != rows.shape[:1]:
        raise ShapeError(f"time has shape {np.shape(time)}: expected ({rows.shape[0]},) labels.")
    runs: list[list[dict[str, Any]]] = []
    for layer in range(config.num_layers):
        runs.append([])
        for direction in range(D):
            order = slice(None, None, -1 if direction else 1)
            k = layer * D + direction
            h0, c0 = (None, None) if states is None else (s[k] for s in states)
            run = reference.forward(
                rows[order], reference.weights(**weights.layer(layer, direction)), h0, c0,
                config.cell, zoneout=config.zoneout,
            )  # fmt: skip
            runs[-1].append(_variables(run, order))
        rows = np.concatenate([r["hidden_state"] for r in runs[-1]], axis=2)

    hidden = "projected" if config.proj_size else "hidden"
    variables = {
        name: (
            (*_DIMS[:4], hidden) if name == "hidden_state" else _DIMS,
            np.stack([[run[name] for run in layer] for layer in runs]),
        )
        for name in runs[0][0]
    }
    coordinates = {
        "layer": np.arange(config.num_layers),
        "direction": ["forward", "reverse"][:D],
        "time": np.arange(rows.shape[0]) if time is None else np.asarray(time),
    }
    return Trace(xr.Dataset(variables, coordinates), config.cell)


def _checked_states(
    state: Any, config: LSTMConfig, B: int, batched: bool
) -> list[NDArray[Any]] | None:
    if state is None:
        return None
    parts = len(state) if isinstance(state, (tuple, list)) else 0
    if parts != 2:
        raise ShapeError(f"state has {parts} parts: expected the pair (h0, c0).")
    checked = []
    sizes = (config.proj_size or config.hidden_size, config.hidden_size)
    for name, value, size in zip(("h0", "c0"), state, sizes, strict=True):
        array = _numbers(value, name)
        k = config.num_layers * config.directions
        expected = (k, B, size) if batched else (k, size)
        if array.shape != expected:
            raise ShapeError(f"{name} has shape {array.shape}: expected {expected}.")
        checked.append(array.reshape(k, B, size))
    return checked


def _numbers(value: Any, name: str) -> NDArray[np.float64]:
    """An array or a tensor, of real numbers, as float64."""
    detach = getattr(value, "detach", None)  # a tensor's
    try:
        array = np.asarray(detach().cpu() if detach else value)
        if array.dtype.kind in "biuf":
            return array.astype(np.float64)
        got = array.dtype
    except (TypeError, ValueError) as error:
        got = shortened(error)
    raise DtypeError(f"{name} is {got}: expected an array of real numbers. Convert it first.")


def _variables(run: reference.Forward, order: slice) -> dict[str, Any]:
    found = {
        "cell_state": run.cell_state[order],
        "cell_output": run.cell_output[order],
        "hidden_state": run.y[order],
    }
    for k in range(len(GATE_ORDER)):
        found[_GATES[k]] = run.gates[order, :, k]
        found[f"{_GATES[k]}_pre"] = run.gates_pre[order, :, k]
    return found
