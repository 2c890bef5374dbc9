"""Rows of unequal length: padded with `lengths`, or packed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gatewise import _native
from gatewise.errors import ConfigError, ShapeError
from gatewise.nn import paths

State = tuple[Tensor, Tensor]


def run(
    forward: Callable[..., Any],
    input: Tensor | PackedSequence,
    hx: State | None,
    lengths: Tensor | Sequence[int],
    batch_first: bool,
) -> tuple[Tensor, State]:
    """Run a padded batch as a packed one.

    Args:
        forward: of the LSTM; takes a packed sequence and states.
        input, hx, lengths, batch_first: as in `gatewise.nn.LSTM.forward`.

    Raises:
        ConfigError, ShapeError: as in `packed_of_lengths`.
    """
    packed = packed_of_lengths(input, lengths, batch_first)
    if packed is None:
        return forward(input, hx)  # there are no rows
    output, state = forward(packed, hx)
    T = cast(Tensor, input).shape[1 if batch_first else 0]
    y, _ = pad_packed_sequence(output, batch_first, total_length=T)
    return y, state


def packed_of_lengths(
    input: Tensor | PackedSequence, lengths: Tensor | Sequence[int], batch_first: bool
) -> PackedSequence | None:
    """Pack a padded batch, so that there is one path for ragged batches; None if it has no rows.

    Raises:
        ConfigError: the input is packed already.
        ShapeError: `lengths` does not fit the input, or that has no memory.
    """
    if isinstance(input, PackedSequence):
        raise ConfigError(
            "lengths came with a PackedSequence: expected a padded tensor, since a PackedSequence "
            "has lengths of its own. Leave lengths out."
        )
    if not isinstance(input, Tensor) or input.dim() != 3:
        got = tuple(input.shape) if isinstance(input, Tensor) else type(input).__name__
        raise ShapeError(
            f"lengths came with an input of {got}: expected a batch of 3 axes. "
            "Leave lengths out for a single row."
        )
    time = 1 if batch_first else 0
    ends = checked_lengths(lengths, T=input.shape[time], B=input.shape[1 - time])
    if not len(ends):
        return None
    if paths.is_plain(input):
        paths.address(input)  # before it is copied
    return pack_padded_sequence(input, ends, batch_first, enforce_sorted=False)


def packed_like(input: PackedSequence, y: Tensor, lengths: Tensor) -> PackedSequence:
    """Pack results in the order of the packed input that they belong to.

    Args:
        input: what `torch.nn.utils.rnn.pad_packed_sequence` unpacked.
        y: [T, B, P] results, rows in the caller's order.
        lengths: [B] of the rows in that order.
    """
    if input.sorted_indices is not None:
        y = y.index_select(1, input.sorted_indices)
        lengths = lengths[input.sorted_indices.cpu()]
    return pack_padded_sequence(y, lengths)._replace(
        sorted_indices=input.sorted_indices, unsorted_indices=input.unsorted_indices
    )


def check_packed(input: PackedSequence) -> None:
    """Refuse a batch whose sizes at each step are not what they should be.

    PyTorch makes a `PackedSequence` of anything, and some of its kernels take that on trust. Sizes
    without numbers (of FakeTensorMode) pass.

    Raises:
        ShapeError: they are not.
    """
    sizes = input.batch_sizes
    if not paths.is_plain(sizes):
        return
    fits = sizes.dim() == 1 and sizes.dtype is torch.int64
    if fits:
        with paths.unseen():
            sizes = sizes.contiguous()
        fits = _native.is_well_packed(sizes.data_ptr(), sizes.shape[0], input.data.shape[0])
    if not fits:
        raise ShapeError(
            f"input has {len(input.data)} rows and batch_sizes "
            f"{sizes.tolist()[:8]} of {sizes.dtype}: expected int64 numbers from 1 on that never "
            "rise and add up to the rows. Pack it with torch.nn.utils.rnn.pack_sequence."
        )
    for rows in (input.sorted_indices, input.unsorted_indices):
        if rows is not None and rows.shape != (int(sizes[0]),):
            raise ShapeError(
                f"input has indices of shape {tuple(rows.shape)} for {int(sizes[0])} sequences: "
                "expected one index for each. Pack it with torch.nn.utils.rnn.pack_sequence."
            )


def checked_lengths(lengths: Tensor | Sequence[int], T: int, B: int) -> Tensor:
    """Return the lengths of the rows of a padded batch: [B], int64, on the CPU.

    Raises:
        ShapeError: they are not one integer from 1 to T for each row.
    """
    ends = lengths if isinstance(lengths, Tensor) else torch.as_tensor(lengths)
    if not ends.is_cpu:
        ends = ends.cpu()
    if B == 0 and ends.shape == (0,):
        return ends.long()  # an empty list has no dtype of its own
    if ends.shape != (B,) or ends.is_floating_point() or ends.dtype is torch.bool:
        raise ShapeError(
            f"lengths has shape {tuple(ends.shape)} and dtype {ends.dtype}: expected {B} integers, "
            "one for each row."
        )
    numbers = ends.tolist()
    if min(numbers) < 1 or max(numbers) > T:
        raise ShapeError(
            f"lengths run from {min(numbers)} to {max(numbers)}: expected 1 to T={T}. "
            "Drop empty rows."
        )
    return ends.long()
