"""Whether the arguments of a call have the shapes that an LSTM takes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from gatewise.nn import ragged
from gatewise.nn.spec import Spec

State = tuple[Tensor, Tensor]


def are_supported(
    spec: Spec, batch_first: bool, input: Tensor | PackedSequence, hx: State | None
) -> bool:
    """Whether the core does this call; if not, PyTorch does it, or says what is wrong."""
    if not isinstance(input, PackedSequence):
        return are_regular(spec, batch_first, input, hx) and input.numel() > 0
    if torch.compiler.is_compiling():
        return False  # how many rows there are, stands in a tensor
    data = input.data
    if data.dim() != 2 or data.shape[1] != spec.I or not data.numel():
        return False
    if not ragged.is_well_packed(input):
        return False
    return hx is None or are_states(spec, hx, (int(input.batch_sizes[0]),))


def are_regular(spec: Spec, batch_first: bool, input: Tensor, hx: State | None) -> bool:
    """Whether input and state have the shapes that PyTorch takes."""
    if not isinstance(input, Tensor) or input.is_nested or input.dim() not in (2, 3):
        return False
    time = 1 if batch_first and input.dim() == 3 else 0
    if input.shape[-1] != spec.I or input.shape[time] == 0:
        return False
    return are_states(spec, hx, () if input.dim() == 2 else (input.shape[1 - time],))


def are_states(spec: Spec, hx: State | None, batch: tuple[int, ...]) -> bool:
    """Whether the states, if given, are those of such a batch."""
    if hx is None:
        return True
    return len(hx) == 2 and all(
        isinstance(s, Tensor) and s.shape == (spec.L * spec.D, *batch, size)
        for s, size in zip(hx, (spec.P, spec.H), strict=True)
    )
