"""What a caller hands over to be run: checked, and made what the core takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatewise.errors import ConfigError, DtypeError, ShapeError, shortened, shown
from gatewise.weights import INITIAL_STATE_NAMES, LSTMWeights

Array = NDArray[Any]
State = tuple[Array, Array]


def numbers(value: Any, name: str, dtype: Any, *, own: bool = False) -> Array:
    """Return real numbers as a dense array of the dtype.

    Args:
        value: an array, a tensor or nested lists.
        name: of the argument, for the error.
        dtype: of the result.
        own: the result is a copy; else it is one only where it must be.

    Raises:
        ShapeError, DtypeError: it is no array of real numbers.
    """
    detach = getattr(value, "detach", None)  # a tensor's
    try:
        array = np.asarray(detach().cpu() if detach else value)
    except ValueError as error:  # lists of different lengths
        raise ShapeError(
            f"{name} is no array ({shortened(error)}): expected rows of one length."
        ) from None
    except TypeError as error:  # a dtype that NumPy has not
        raise DtypeError(f"{name} is no array ({shortened(error)}): convert it first.") from None
    if array.dtype.kind not in "fiu":
        raise DtypeError(
            f"{name} has dtype {array.dtype}: expected real numbers. Convert it to {dtype}."
        )
    return np.array(array, dtype, order="C") if own else np.require(array, dtype, ("C", "A"))


def states(
    weights: LSTMWeights,
    state: Any,
    B: int,
    batched: bool = True,
    *,
    names: tuple[str, str] = ("h", "c"),
    dtype: Any = None,
    own: bool = False,
) -> State:
    """Return (h [L*D, B, P], c [L*D, B, H]) of a state, by default `initial_state`.

    Args:
        weights: the LSTM's.
        state: a pair, or None.
        B: rows.
        batched: whether the pair has a batch axis.
        names: of the two, for the errors.
        dtype: of the result, default that of the weights.
        own: as in `numbers`.

    Raises:
        ShapeError, DtypeError: it is no such pair.
    """
    config, dtype = weights.config, dtype or weights.dtype
    if state is None:
        return initial_state(weights, B, dtype)
    k, H = config.num_layers * config.directions, config.hidden_size
    parts = len(state) if isinstance(state, (tuple, list)) else 0
    if parts != 2:
        raise ShapeError(f"state has {parts} parts: expected the pair ({', '.join(names)}).")
    found = []
    for name, value, size in zip(names, state, (config.proj_size or H, H), strict=True):
        array = numbers(value, name, dtype, own=own)
        expected = (k, B, size) if batched else (k, size)
        if array.shape != expected:
            raise ShapeError(f"{name} has shape {array.shape}: expected {expected}.")
        found.append(array.reshape(k, B, size))
    return found[0], found[1]


def initial_state(weights: LSTMWeights, B: int, dtype: Any = None) -> State:
    """Return zeros, or what the LSTM has learnt to start from."""
    config = weights.config
    k, H = config.num_layers * config.directions, config.hidden_size
    pair = [np.zeros((k, B, n), dtype or weights.dtype) for n in (config.proj_size or H, H)]
    if config.learn_initial_state:
        for state, name in zip(pair, INITIAL_STATE_NAMES, strict=True):
            state[...] = weights.arrays[name]
    return pair[0], pair[1]


def row_lengths(lengths: ArrayLike, T: int, B: int) -> NDArray[np.int64]:
    """Return the lengths of B rows of at most T steps.

    Raises:
        ShapeError: they are not B whole numbers from 1 to T.
    """
    detach = getattr(lengths, "detach", None)
    array = np.asarray(detach().cpu() if detach else lengths)
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


def indices(value: Any, name: str, n: int) -> NDArray[np.int64]:
    """Return indices [k] into n things: of a whole number, or of several.

    Raises:
        ConfigError: they are not whole numbers from 0 to n - 1.
    """
    try:
        several = isinstance(value, Iterable) and not hasattr(value, "dtype")
        found = np.asarray([*value] if several else value)
    except (TypeError, ValueError):
        found = np.empty(0, object)
    if found.ndim > 1 or not (found.size == 0 or found.dtype.kind in "iu"):
        raise ConfigError(f"{name} is {shown(value)}: expected whole numbers, {_among(n)}.")
    found = found.reshape(-1).astype(np.int64)
    if len(found) and not (found.min() >= 0 and found.max() < n):
        raise ConfigError(f"{name} is {shown(value)}: expected {_among(n)}.")
    return found


def index(value: Any, name: str, n: int) -> int:
    """Return an index into n things.

    Raises:
        ConfigError: it is not a whole number from 0 to n - 1.
    """
    if isinstance(value, Iterable) or len(found := indices(value, name, n)) != 1:
        raise ConfigError(f"{name} is {shown(value)}: expected one whole number, {_among(n)}.")
    return int(found[0])


def sliced(value: slice, name: str, n: int) -> NDArray[np.int64]:
    """Return the indices of a slice of n things, which rises.

    Raises:
        ConfigError: it does not, or is not of whole numbers.
    """
    try:
        found = np.arange(n)[value]
    except (TypeError, ValueError):
        found = None
    if found is None or (value.step is not None and value.step <= 0):
        raise ConfigError(f"{name} is {shown(value)}: expected a slice that rises.")
    return found


def whole(value: Any, name: str, least: int = 0) -> int:
    """Return a whole number of at least `least`.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ConfigError(f"{name} is {shown(value)}: expected a whole number from {least} on.")
    return int(value)


def number(value: Any, name: str, low: float = -np.inf, high: float = np.inf) -> float:
    """Return a finite number that lies between two others, or is one of them.

    Raises:
        ConfigError: it is none.
    """
    real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not (real and np.isfinite(value) and low <= value <= high):
        between = f" from {low:g} to {high:g}" if np.isfinite([low, high]).any() else ""
        raise ConfigError(f"{name} is {shown(value)}: expected a finite number{between}.")
    return float(value)


def names(value: Any, name: str, n: int) -> Array:
    """Return n names or labels as an array of its own.

    Raises:
        ShapeError: there are more or fewer, or they are no list.
    """
    several = isinstance(value, Iterable) and not isinstance(value, (str, bytes, dict, set))
    try:
        found = np.array(list(value) if several and not hasattr(value, "dtype") else value)
    except ValueError:
        found = np.empty((0, 0))
    if not several or found.shape != (n,):
        got = f"{len(found)} of them" if several and found.ndim == 1 else shown(value)
        raise ShapeError(f"{name}: got {got}, expected a list of {n}.")
    return found


def _among(n: int) -> str:
    return f"0 to {n - 1}" if n else "an axis that is not empty"
