"""What a cell state is made of: exact weights of every earlier step.

The update c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t, solved for c_t, is a weighted sum:

    c_t = Σ_j [i_j ⊙ Π_{k=j+1..t} f_k] ⊙ g_j  +  [Π_{k=1..t} f_k] ⊙ c_0

The bracket is the weight that unit h still gives, at time t, to the candidate of source step j. It
is an identity, no approximation. With zoneout of rate z (its mean, outside training) the same holds
with (1-z) i in place of i and (1-z) f + z in place of f.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise.arguments import index, indices
from gatewise.errors import ConfigError, shown
from gatewise.trace.keep import check_memory
from gatewise.trace.trace import Trace, need_xarray

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]

_LARGE: Final = 64 << 20
"""Bytes from which on the system gives an array large pages."""


def attention(
    trace: Trace,
    layer: int = 0,
    direction: int = 0,
    batch: int = 0,
    *,
    units: str = "each",
    times: Any = None,
) -> xr.Dataset:
    """Return how much of each earlier candidate every cell state still holds.

    Args:
        trace: what `record` returned, with input_gate, forget_gate and candidate.
        layer, direction, batch: indices of the row to look at.
        units: "each" (default): weights of every unit, T*T*H numbers. "mean": their mean over the
            units. "share": the part of Σ_j |weight ⊙ g| that source j makes, over all units, which
            is the picture to look at; beside it `initial` is the share of c_0. The last two need
            T*T numbers, whatever H.
        times: indices of the target steps; default all.

    Returns:
        weight (time, source, hidden), 0 for sources that have not been read, and initial (time,
        hidden): c_t = Σ_source weight * candidate + initial * c_0. Without the dimension hidden
        unless `units` is "each". In the reverse direction sources are the later steps.

    Raises:
        ConfigError: there is no such row, `units` is another word, or the weights do not fit into
            memory.

    >>> import torch
    >>> from gatewise.trace import record
    >>> trace = record(torch.nn.LSTM(3, 4, dtype=torch.float64), torch.randn(9, 1, 3))
    >>> found, g = attention(trace), trace.data["candidate"].values[0, 0, :, 0]
    >>> c = np.einsum("tsh,sh->th", found["weight"], g)
    >>> bool(np.allclose(c, trace.data["cell_state"].values[0, 0, :, 0], rtol=0, atol=1e-12))
    True
    """
    xr = need_xarray()
    if units not in ("each", "mean", "share"):
        raise ConfigError(f"units is {shown(units)}: expected 'each', 'mean' or 'share'.")
    i, f, g, c0 = _row(trace, layer, direction, batch)
    T, H = i.shape
    wanted = np.arange(T) if times is None else np.asarray(times)
    if wanted.dtype.kind == "i":  # negative ones count from the end
        wanted = np.where(wanted < 0, wanted + T, wanted)
    targets = indices(wanted, "times", T)
    running = T - 1 - targets if direction else targets
    each = units == "each"
    shape = (len(targets), T, H) if each else (len(targets), T)
    _check_size(shape, i.dtype)
    weight = _triangle(shape, i.dtype)
    initial = np.zeros((len(targets), H) if each else len(targets), i.dtype)
    magnitude = np.abs(g)
    for row, (held, start) in zip(*_held(i, f, running), strict=True):
        t = len(held)
        if each:
            weight[row, :t], initial[row] = held, start
        elif units == "mean":
            weight[row, :t], initial[row] = held.mean(axis=1), start.mean()
        else:
            parts = np.einsum("sh,sh->s", np.abs(held), magnitude[:t])
            from_start = np.abs(start * c0).sum()
            total = parts.sum() + from_start
            if total > 0:
                weight[row, :t], initial[row] = parts / total, from_start / total
    if direction:
        weight = weight[:, ::-1]
    time = trace.data["time"].values
    dims = ("time", "source", "hidden")
    coordinates: dict[str, Any] = {"time": time[targets], "source": time}
    if each:
        coordinates["hidden"] = trace.data["hidden"].values
    variables = {
        "weight": (dims[: weight.ndim], weight),
        "initial": (dims[::2][: initial.ndim], initial),
    }
    return xr.Dataset(variables, coordinates)


def _row(trace: Trace, layer: int, direction: int, batch: int) -> tuple[Array, ...]:
    """i, f, g [T, H] in the order of running, and c_0 [H]; zoneout is part of i and f."""
    data = trace.data
    for name in ("input_gate", "forget_gate", "candidate"):
        if name not in data:
            raise ConfigError(f"The trace has no {name}: record it with {name} among keep.")
    if data.attrs.get("lacks_steps"):
        raise ConfigError("The trace lacks steps: expected all of them from the first.")
    sizes = {"layer": layer, "direction": direction, "batch": batch}
    for name, at in sizes.items():
        index(at, name, data.sizes[name])
    rows = data[["input_gate", "forget_gate", "candidate"]].isel(sizes)
    i, f, g = (rows[name].values for name in ("input_gate", "forget_gate", "candidate"))
    if direction:
        i, f, g = i[::-1], f[::-1], g[::-1]
    rate = float(data.attrs.get("zoneout_c", 0.0))
    if rate:
        i, f = (1 - rate) * i, (1 - rate) * f + rate
    k = int(data["layer"].values[layer]) * data.sizes["direction"] + direction
    if trace.initial is None:
        return i, f, g, np.zeros_like(i[0]) if len(i) else np.zeros(i.shape[1])
    c0 = trace.initial[1][k, batch]
    if c0.shape != i.shape[1:]:
        c0 = c0[data["hidden"].values]
    return i, f, g, c0


def _held(i: Array, f: Array, targets: Array) -> tuple[list[int], Iterator[tuple[Array, Array]]]:
    """For target steps in the order of running: i_j ⊙ Π f of all sources j so far, and Π f.

    One step to the next, all weights are multiplied by f_t. What is handed out is used at once.
    """
    order = np.argsort(targets, kind="stable").tolist()

    def walk() -> Iterator[tuple[Array, Array]]:
        held, start, done = np.empty_like(i), np.ones(i.shape[1], i.dtype), 0
        for row in order:
            while done <= targets[row]:
                held[:done] *= f[done]
                start *= f[done]
                held[done] = i[done]
                done += 1
            yield held[:done], start

    return order, walk()


def _triangle(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Zeros, of which only half will be written: in small pages, the other half takes no memory."""
    size = int(np.prod(shape)) * dtype.itemsize
    advice = getattr(mmap, "MADV_NOHUGEPAGE", None)
    if size < _LARGE or advice is None:
        return np.zeros(shape, dtype)
    pages = mmap.mmap(-1, size)
    pages.madvise(advice)
    return np.frombuffer(pages, dtype).reshape(shape)


def _check_size(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    check_memory(int(np.prod([float(n) for n in shape]) * dtype.itemsize))
