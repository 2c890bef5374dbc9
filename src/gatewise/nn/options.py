"""`Options`: how a call of the core runs."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from gatewise import _native
from gatewise.nn.noise import Noise


class Options(NamedTuple):
    """How to run; see `gatewise.nn.LSTM`.

    Attributes:
        batch_first: y lies in memory as [B, T, D*P].
        checkpoint_every: as in `gatewise.nn.LSTM`; 0 where there is noise.
        batch_sizes: [T] int64, of a `PackedSequence`: x and y hold the rows of all steps, [N, *].
        ragged: the same as the core takes it, `ragged_of(batch_sizes)`.
        noise: what disturbs the states.
    """

    batch_first: bool = False
    checkpoint_every: int = 0
    batch_sizes: Tensor | None = None
    ragged: _native.Ragged | None = None
    noise: Noise | None = None

    @property
    def is_usual(self) -> bool:
        """Whether the batch is padded and laid out time first, and no noise disturbs the states."""
        return self.ragged is None and self.noise is None and not self.batch_first


def ragged_of(batch_sizes: Tensor) -> _native.Ragged:
    """Return the batch of these sizes, which `gatewise.nn.ragged.check_packed` lets pass."""
    batch_sizes = batch_sizes.contiguous()
    return _native.Ragged(batch_sizes.data_ptr(), batch_sizes.shape[0])
