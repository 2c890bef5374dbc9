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
from gatewise.trace.measures import kept_share, variable
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
            is the one to draw; `initial` is then the share of c_0. The last two need
            T*T numbers, whatever H.
        times: indices of the target steps; default all.

    Returns:
        weight (time, source, hidden), 0 for sources that have not been read, and initial (time,
        hidden): c_t = Σ_source weight * candidate + initial * c_0. NaN for steps beyond the row's
        end. Without the dimension hidden unless `units` is "each". In the reverse direction sources
        are the later steps. Of an edited run it is what the gates alone would have made.

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
    i, f, g, c0, reverse = _row(trace, layer, direction, batch)
    T, (n, H) = trace.data.sizes["time"], i.shape
    wanted: Any = np.arange(T) if times is None else times
    if getattr(wanted, "dtype", None) is None and isinstance(wanted, (list, tuple, range)):
        whole = all(isinstance(t, (int, np.integer)) for t in wanted)
        wanted = np.array(wanted, np.int64) if whole else wanted
    if getattr(getattr(wanted, "dtype", None), "kind", "") == "i":  # negative: from the end
        wanted = np.where(wanted < 0, wanted + T, wanted)
    targets = indices(wanted, "times", T)
    each = units == "each"
    shape = (len(targets), T, H) if each else (len(targets), T)
    _check_size(shape, i.dtype)
    weight = _triangle(shape, i.dtype)
    initial = np.zeros((len(targets), H) if each else len(targets), i.dtype)
    weight[targets >= n], initial[targets >= n] = np.nan, np.nan
    running = n - 1 - targets if reverse else targets
    magnitude = np.abs(g)
    for row, (held, start) in zip(*_held(i, f, running), strict=True):
        t = len(held)
        own = weight[row, n - t : n][::-1] if reverse else weight[row, :t]
        if each:
            own[...], initial[row] = held, start
        elif units == "mean":
            own[...], initial[row] = held.mean(axis=1), start.mean()
        else:
            parts = np.einsum("sh,sh->s", np.abs(held), magnitude[:t])
            from_start = np.abs(start * c0).sum()
            total = parts.sum() + from_start
            if total > 0:
                own[...], initial[row] = parts / total, from_start / total
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


def _row(
    trace: Trace, layer: int, direction: int, batch: int
) -> tuple[Array, Array, Array, Array, bool]:
    """i, f, g [n, H] of a row's n steps in the order of running, c_0 [H]; whether in reverse."""
    data = trace.data
    i, g = variable(trace, "input_gate"), variable(trace, "candidate")
    if data.attrs.get("lacks_steps"):
        raise ConfigError("The trace lacks steps: expected all of them from the first.")
    at = {
        name: index(value, name, data.sizes[name])
        for name, value in (("layer", layer), ("direction", direction), ("batch", batch))
    }
    reverse = str(data["direction"].values[at["direction"]]) == "reverse"
    n = int(data["length"].values[at["batch"]]) if "length" in data.coords else data.sizes["time"]
    rate = float(data.attrs.get("zoneout_c", 0.0))
    rows = (1 - rate) * i.isel(at).values, kept_share(trace).isel(at).values, g.isel(at).values
    ran = [row[:n][::-1] if reverse else row[:n] for row in rows]
    k = at["layer"] * data.sizes["direction"] + at["direction"]
    c0 = (
        np.zeros(data.sizes["hidden"])
        if trace.initial is None
        else trace.initial[1][k, at["batch"]]
    )
    return ran[0], ran[1], ran[2], c0, reverse


def _held(i: Array, f: Array, targets: Array) -> tuple[list[int], Iterator[tuple[Array, Array]]]:
    """For target steps in the order of running: i_j ⊙ Π f of all sources j so far, and Π f.

    One step to the next, all weights are multiplied by f_t. What is handed out is used at once.
    """
    order = [k for k in np.argsort(targets, kind="stable").tolist() if 0 <= targets[k] < len(i)]

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
