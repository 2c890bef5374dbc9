"""What a caller hands over to be traced, checked: an LSTM, an input, states, lengths, labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatewise.arguments import Array, names, numbers, row_lengths, states
from gatewise.errors import ConfigError, ShapeError
from gatewise.trace.keep import check_memory
from gatewise.weights import LSTMWeights, from_module


@dataclass(frozen=True, eq=False)
class Given:
    """An LSTM and what it is to run on, time-major and in the dtype of the run.

    Attributes:
        weights: the LSTM's.
        x: [T, B, I].
        h, c: [L*D, B, P] and [L*D, B, H].
        lengths: [B], or None where all rows have T steps.
        time: [T] labels, or None.
        batched: whether the caller's x had a batch.
    """

    weights: LSTMWeights
    x: Array
    h: Array
    c: Array
    lengths: NDArray[np.int64] | None
    time: Array | None
    batched: bool

    def turned(self, a: Array) -> Array:
        """Return [T, B, *] in the order in which the reverse direction runs, or back."""
        if self.lengths is None:
            return a[::-1]
        step, row = np.arange(len(a))[:, None], np.arange(a.shape[1])
        return a[np.where(step < self.lengths, self.lengths - 1 - step, step), row]


def weights_of(lstm: Any) -> LSTMWeights:
    """Return the weights of whatever is an LSTM: a module, a `runtime.Model`, or themselves.

    Raises:
        ModuleError: it is none.
    """
    if isinstance(lstm, LSTMWeights):
        return lstm
    held = getattr(lstm, "weights", None)  # of a runtime.Model
    return held if isinstance(held, LSTMWeights) else from_module(lstm)


def check_cell(weights: LSTMWeights) -> None:
    """Refuse a cell that the core does not run.

    Raises:
        ConfigError: it holds a Python function.
    """
    if weights.config.cell.has_callables:
        raise ConfigError(
            f"{weights.config.cell} holds a Python function: expected built-in activations, which "
            "the core runs. Use some of gatewise.ACTIVATIONS, or an Activation of one."
        )


def checked(
    weights: LSTMWeights,
    x: Any,
    state: Any = None,
    lengths: ArrayLike | None = None,
    time: ArrayLike | None = None,
) -> Given:
    """Return the arguments of `record`, checked.

    Raises:
        ShapeError, DtypeError: one does not fit the LSTM or the others.
        ConfigError: the cell holds a Python function.
    """
    config = weights.config
    check_cell(weights)
    dtype = weights.dtype if weights.dtype in (np.float32, np.float64) else np.dtype(np.float32)
    check_memory(int(np.prod([float(n) for n in getattr(x, "shape", ())])) * dtype.itemsize)
    rows = numbers(x, "x", dtype, own=True)
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
    T, B, _ = rows.shape
    labels = None if time is None else names(time, "time", T)
    h, c = states(weights, state, B, batched, names=("h0", "c0"), dtype=dtype, own=True)
    ends = None if lengths is None else row_lengths(lengths, T, B)
    return Given(weights, rows, h, c, ends, labels, batched)
