"""Products in PyTorch whose rows have the same bits wherever they stand.

The products of MKL, PyTorch's library for them, depend on how an array is aligned: on some
processors the last bits differ between two copies of the same numbers. They also depend on the
number of rows. So everything that a network reads comes through `tensor`, which copies it to
PyTorch's own memory (64-byte aligned); `Linear` pads each row to a multiple of 64 bytes, so that
all rows are aligned alike; and forecasts run in tiles of `ROWS` rows, the last one filled up, so
that every product has the same shape for any number of rows. Vector loops then have no remainder
either, which PyTorch computes with other functions than the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import linear, pad

if TYPE_CHECKING:
    from jaxtyping import Float

ROWS: Final = 32
"""Rows of a tile: two AVX-512 registers of float32, the step of PyTorch's widest vector loops."""

_ALIGNED: Final = 16
"""float32 numbers in 64 bytes."""


def tensor(values: NDArray[np.generic]) -> Tensor:
    """Copy an array, of any strides and alignment, to PyTorch's own aligned memory.

    >>> tensor(np.arange(6.0)[::2])
    tensor([0., 2., 4.], dtype=torch.float64)
    """
    return torch.tensor(np.ascontiguousarray(values))


def aligned(values: Float[Tensor, "... K"]) -> Float[Tensor, "... P"]:
    """Append zeros to each row, up to a multiple of 64 bytes of float32."""
    return pad(values, (0, -values.shape[-1] % _ALIGNED))


class Linear(nn.Linear):
    """A `torch.nn.Linear` with the same bits for a row wherever it stands in a tile."""

    def forward(self, input: Float[Tensor, "... K"]) -> Float[Tensor, "... N"]:
        """Return input Wᵀ + b."""
        return linear(aligned(input), aligned(self.weight), self.bias)


def tiles(count: int) -> Iterator[tuple[slice, NDArray[np.intp]]]:
    """Cut `count` rows into tiles: which rows, and their numbers filled up to `ROWS`.

    >>> [(part.start, part.stop, int(rows[-1]), len(rows)) for part, rows in tiles(33)]
    [(0, 32, 31, 32), (32, 33, 32, 32)]
    """
    for start in range(0, count, ROWS):
        stop = min(start + ROWS, count)
        yield slice(start, stop), np.minimum(np.arange(start, start + ROWS), count - 1)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread, so that sums have one order, and restore the setting."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
