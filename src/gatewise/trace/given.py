"""What a caller hands over to be traced, checked: an LSTM, an input, states, lengths, labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatewise.errors import DtypeError, ShapeError, shortened
from gatewise.weights import INITIAL_STATE_NAMES, LSTMWeights, from_module

Array = NDArray[Any]


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
    """
    config = weights.config
    dtype = weights.dtype if weights.dtype in (np.float32, np.float64) else np.dtype(np.float32)
    rows = numbers(x, "x", dtype)
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
    if time is not None and np.shape(time) != (T,):
        raise ShapeError(f"time has shape {np.shape(time)}: expected ({T},) labels.")
    h, c = _states(weights, state, B, batched, dtype)
    labels = None if time is None else np.asarray(time)
    return Given(weights, rows, h, c, _lengths(lengths, T, B), labels, batched)


def _states(
    weights: LSTMWeights, state: Any, B: int, batched: bool, dtype: np.dtype[Any]
) -> tuple[Array, Array]:
    config = weights.config
    k, H = config.num_layers * config.directions, config.hidden_size
    sizes = (config.proj_size or H, H)
    if state is None:
        if config.learn_initial_state:
            learnt = (weights.arrays[name].astype(dtype) for name in INITIAL_STATE_NAMES)
            h, c = (np.repeat(value, B, axis=1) for value in learnt)
        else:
            h, c = (np.zeros((k, B, size), dtype) for size in sizes)
        return h, c
    parts = len(state) if isinstance(state, (tuple, list)) else 0
    if parts != 2:
        raise ShapeError(f"state has {parts} parts: expected the pair (h0, c0).")
    found = []
    for name, value, size in zip(("h0", "c0"), state, sizes, strict=True):
        array = numbers(value, name, dtype)
        expected = (k, B, size) if batched else (k, size)
        if array.shape != expected:
            raise ShapeError(f"{name} has shape {array.shape}: expected {expected}.")
        found.append(array.reshape(k, B, size))
    return found[0], found[1]


def _lengths(lengths: ArrayLike | None, T: int, B: int) -> NDArray[np.int64] | None:
    if lengths is None:
        return None
    detach = getattr(lengths, "detach", None)
    array = np.asarray(detach().cpu() if detach else lengths)
    if array.shape != (B,) or array.dtype.kind not in "iu":
        raise ShapeError(
            f"lengths has shape {array.shape} and dtype {array.dtype}: expected {B} integers, one "
            "for each row."
        )
    if B and (array.min() < 1 or array.max() > T):
        raise ShapeError(
            f"lengths run from {array.min()} to {array.max()}: expected 1 to T={T}. "
            "Drop empty rows."
        )
    return array.astype(np.int64)


def numbers(value: Any, name: str, dtype: Any) -> Array:
    """Return an array or a tensor of real numbers as an array of the dtype.

    Raises:
        DtypeError: it is something else.
    """
    detach = getattr(value, "detach", None)  # a tensor's
    try:
        array = np.asarray(detach().cpu() if detach else value)
        if array.dtype.kind in "biuf":
            return array.astype(dtype, order="C")
        got = array.dtype
    except (TypeError, ValueError) as error:
        got = shortened(error)
    raise DtypeError(f"{name} is {got}: expected an array of real numbers. Convert it first.")
