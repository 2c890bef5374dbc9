"""What a random call is made of: sizes, cells, values, lengths, arrays that lie oddly in memory.

Everything is drawn from one `numpy.random.Generator`, so a number repeats its call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatewise import Cell
from gatewise.cell import ACTIVATIONS, SITES

Rng = np.random.Generator

WIDTHS = (1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 24, 31, 33, 64)
THREADS = (1, 2, 3, 4, 5, 8, 12, 16)
CHECKPOINTS = (0, 0, 0, 1, 2, 3, 7, 100, 2**31, 2**62, sys.maxsize)
LENGTHS = ("uniform", "first alone", "equal", "all 1 but one")


class Sizes(NamedTuple):
    """Sizes of a network and of a batch for it; `proj` is 0 for none."""

    T: int
    B: int
    I: int
    H: int
    L: int
    D: int
    proj: int

    @property
    def P(self) -> int:  # noqa: N802
        """Size of h."""
        return self.proj or self.H


def pick(rng: Rng, choices: Any) -> Any:
    """One of a sequence, as it is (NumPy would make an array of it)."""
    return choices[int(rng.integers(len(choices)))]


def chance(rng: Rng, p: float) -> bool:
    return bool(rng.random() < p)


def sizes(rng: Rng, directions: int = 2) -> Sizes:
    """Mostly small; one call in ten has the work that the core shares out over threads.

    The core gives a thread 1e7 operations at least (`useful_threads` in native/src/sharing.h).
    """
    D = int(rng.integers(1, directions + 1))
    if chance(rng, 0.1):
        T, B = int(rng.integers(20, 80)), int(rng.integers(1, 17))
        I, H, L = pick(rng, (1, 5, 64)), pick(rng, (48, 64, 96)), 1
        if chance(rng, 0.2):  # steps long enough to share out the hidden units of each
            T, B, H = int(rng.integers(4, 16)), int(rng.integers(1, 4)), 250
    else:
        T, B = pick(rng, (1, 1, 2, 3, 4, 5, 8, 13)), pick(rng, (1, 1, 2, 3, 4, 7, 12, 13, 16))
        I, H, L = pick(rng, WIDTHS[:11]), pick(rng, WIDTHS), pick(rng, (1, 1, 1, 2, 3))
        if chance(rng, 0.01):
            T = 140  # more than one block of 128 rows of checkpoints
    proj = int(rng.integers(1, H)) if H > 1 and chance(rng, 0.2) else 0
    return Sizes(T, B, I, H, L, D, proj)


def cell(rng: Rng) -> Cell:
    """PyTorch's in half of the calls, else any."""
    if chance(rng, 0.5):
        return Cell()
    names = list(ACTIVATIONS)
    sites = {site: pick(rng, names) for site in SITES if chance(rng, 0.5)}
    switches = {s: chance(rng, 0.3) for s in ("peephole", "coupled", "layer_norm")}
    return Cell(**sites, **switches)


def lengths(rng: Rng, T: int, B: int) -> np.ndarray:
    """[B] from 1 to T, in any order."""
    kind = pick(rng, LENGTHS)
    if kind == "uniform":
        return rng.integers(1, T + 1, B)
    if kind == "equal":
        return np.full(B, rng.integers(1, T + 1))
    found = np.ones(B, np.int64)
    found[0 if kind == "first alone" else rng.integers(B)] = T
    return found


def values(rng: Rng, shape: tuple[int, ...], dtype: torch.dtype, kind: str = "normal") -> Tensor:
    """Numbers of a kind: normal, subnormal, nan, inf (a few among normal ones) or huge."""
    array = rng.standard_normal(shape)
    single = dtype == torch.float32
    if kind == "subnormal":
        array *= 1e-40 if single else 1e-310
    elif kind == "huge":
        array *= 1e37 if single else 1e307
    elif kind in ("nan", "inf") and array.size:
        few = rng.integers(array.size, size=1 + array.size // 50)
        array.reshape(-1)[few] = (
            np.nan if kind == "nan" else rng.choice([-np.inf, np.inf], len(few))
        )
    return torch.from_numpy(np.asarray(array)).to(dtype)


class Laid(NamedTuple):
    """A tensor `view(leaf)` of the wanted shape, whose memory belongs to `leaf`."""

    leaf: Tensor
    view: Callable[[Tensor], Tensor]
    name: str


def _dense(make: Any, shape: tuple[int, ...]) -> tuple[Tensor, Any]:
    return make(shape), lambda t: t


def _transposed(make: Any, shape: tuple[int, ...]) -> tuple[Tensor, Any]:
    return make((shape[1], shape[0], *shape[2:])), lambda t: t.transpose(0, 1)


def _reversed_axes(make: Any, shape: tuple[int, ...]) -> tuple[Tensor, Any]:
    return make(shape[::-1]), lambda t: t.permute(*reversed(range(t.dim())))


def _with_gaps(make: Any, shape: tuple[int, ...]) -> tuple[Tensor, Any]:
    return make((*shape[:-1], 2 * shape[-1] + 1)), lambda t: t[..., 1::2]


def _narrow(make: Any, shape: tuple[int, ...]) -> tuple[Tensor, Any]:
    wider = tuple(n + 2 for n in shape)
    return make(wider), lambda t: t[tuple(slice(1, n + 1) for n in shape)]


def _expanded(axis: int) -> Any:
    def lay(make: Any, shape: tuple[int, ...]) -> tuple[Tensor, Any]:
        own = tuple(1 if k == axis else n for k, n in enumerate(shape))
        return make(own), lambda t: t.expand(shape)

    return lay


def _windows(make: Any, shape: tuple[int, ...]) -> tuple[Tensor, Any]:
    """Each row of the last axis overlaps the one before."""
    *outer, rows, columns = shape
    return make((*outer, rows + columns - 1)), lambda t: t.unfold(-1, columns, 1)


def _unaligned(make: Any, shape: tuple[int, ...]) -> tuple[Tensor, Any]:
    own = make(shape)
    return torch.from_numpy(unaligned(own.numpy())), lambda t: t


LAYOUTS = {
    "dense": _dense,
    "transposed": _transposed,
    "reversed axes": _reversed_axes,
    "gaps": _with_gaps,
    "narrow": _narrow,
    "expanded 0": _expanded(0),
    "expanded 1": _expanded(1),
    "expanded last": _expanded(-1),
    "windows": _windows,
    "unaligned": _unaligned,
}
LAYOUTS["expanded last"] = lambda make, shape: _expanded(len(shape) - 1)(make, shape)


def laid(rng: Rng, shape: tuple[int, ...], dtype: torch.dtype, kind: str = "normal") -> Laid:
    """Values in one of `LAYOUTS`; dense in half of the calls."""
    name = "dense" if chance(rng, 0.5) or len(shape) < 2 else pick(rng, list(LAYOUTS))
    leaf, view = LAYOUTS[name](lambda s: values(rng, s, dtype, kind), shape)
    return Laid(leaf, view, name)


def unaligned(array: np.ndarray, offset: int = 2) -> np.ndarray:
    """The same numbers at an address that is no multiple of their size."""
    room = np.zeros(array.nbytes + offset, np.uint8)
    found = room[offset:].view(array.dtype).reshape(array.shape)
    found[...] = array
    return found
