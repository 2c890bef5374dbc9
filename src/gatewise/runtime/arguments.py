"""What a caller hands over: checked, and made what the core takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatewise.errors import DtypeError, ShapeError, shortened
from gatewise.weights import INITIAL_STATE_NAMES, LSTMWeights

Array = NDArray[Any]
State = tuple[Array, Array]


def checked(a: ArrayLike, name: str, dtype: np.dtype[Any]) -> Array:
    """Return real numbers as a dense array of the dtype, a copy only where it must be.

    Raises:
        ShapeError, DtypeError: it is no array of real numbers.
    """
    try:
        array = np.asarray(a)
    except ValueError as error:  # lists of different lengths
        raise ShapeError(
            f"{name} is no array ({shortened(error)}): expected rows of one length."
        ) from None
    if array.dtype.kind not in "fiu":
        raise DtypeError(
            f"{name} has dtype {array.dtype}: expected real numbers. Convert it to {dtype}."
        )
    return np.require(array, dtype, ("C", "A"))


def room_for(weights: LSTMWeights, x: Array, out: Array | None) -> Array:
    """Return `out`, or a new array, for the outputs to an input.

    Raises:
        ShapeError, DtypeError: `out` is not for them.
    """
    config, dtype = weights.config, weights.dtype
    size = config.directions * (config.proj_size or config.hidden_size)
    shape = (*x.shape[:-1], size)
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray) or out.dtype != dtype:
        raise DtypeError(
            f"out is {getattr(out, 'dtype', type(out).__name__)}: expected an array of {dtype}."
        )
    if out.shape != shape or not out.flags.carray:
        raise ShapeError(
            f"out has shape {out.shape}: expected {shape}, aligned, C-contiguous and "
            f"writeable, got {_layout(out)}. Pass np.empty({shape}, {str(dtype)!r})."
        )
    return out


def checked_state(weights: LSTMWeights, state: State | None, B: int, batched: bool = True) -> State:
    """Return (h [L*D, B, P], c [L*D, B, H]) of the state, by default `initial_state`.

    Raises:
        ShapeError, DtypeError: it is no such pair; without B, unless `batched`.
    """
    config = weights.config
    k, H = config.num_layers * config.directions, config.hidden_size
    sizes = (config.proj_size or H, H)
    if state is None:
        return initial_state(weights, B)
    parts = len(state) if isinstance(state, (tuple, list)) else 0
    if parts != 2:
        raise ShapeError(f"state has {parts} parts: expected the pair (h, c).")
    found = []
    for name, value, size in zip(("h", "c"), state, sizes, strict=True):
        array = checked(value, name, weights.dtype)
        expected = (k, B, size) if batched else (k, size)
        if array.shape != expected:
            raise ShapeError(f"{name} has shape {array.shape}: expected {expected}.")
        found.append(array.reshape(k, B, size))
    return found[0], found[1]


def initial_state(weights: LSTMWeights, B: int) -> State:
    """Return zeros, or what the LSTM has learnt to start from."""
    config = weights.config
    k, H = config.num_layers * config.directions, config.hidden_size
    states = [np.zeros((k, B, size), weights.dtype) for size in (config.proj_size or H, H)]
    if config.learn_initial_state:
        for state, name in zip(states, INITIAL_STATE_NAMES, strict=True):
            state[...] = weights.arrays[name]
    return states[0], states[1]


def checked_lengths(lengths: ArrayLike, x: Array) -> NDArray[np.int64]:
    """Return the lengths of the rows of x [T, B, I].

    Raises:
        ShapeError: they are not B whole numbers from 1 to T.
    """
    array = np.asarray(lengths)
    T, B = x.shape[:2]
    if array.shape != (B,) or array.dtype.kind not in "iu":
        raise ShapeError(
            f"lengths has shape {array.shape} and dtype {array.dtype}: expected {B} integers, "
            "one for each row."
        )
    if B and (array.min() < 1 or array.max() > T):
        raise ShapeError(
            f"lengths run from {array.min()} to {array.max()}: expected 1 to T={T}. "
            "Drop empty rows."
        )
    return array.astype(np.int64)


def _layout(a: Array) -> str:
    """What the core asks of an array's memory and this one has not."""
    wanted = {"C-contiguous": a.flags.c_contiguous, "aligned": a.flags.aligned}
    missing = [word for word, has in (wanted | {"writeable": a.flags.writeable}).items() if not has]
    return f"one that is not {' nor '.join(missing)}" if missing else "another shape"
