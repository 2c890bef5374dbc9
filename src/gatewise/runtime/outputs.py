"""Where outputs go: new room, or the caller's own, checked."""

from __future__ import annotations

import numpy as np

from gatewise.arguments import Array
from gatewise.errors import DtypeError, ShapeError
from gatewise.weights import LSTMWeights


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


def _layout(a: Array) -> str:
    """What the core asks of an array's memory and this one has not."""
    wanted = {"C-contiguous": a.flags.c_contiguous, "aligned": a.flags.aligned}
    missing = [word for word, has in (wanted | {"writeable": a.flags.writeable}).items() if not has]
    return f"one that is not {' nor '.join(missing)}" if missing else "another shape"
