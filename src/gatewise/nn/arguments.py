"""The arguments of a call: whether they have the shapes that an LSTM takes, and their layout."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from gatewise.nn import paths
from gatewise.nn.spec import Spec

State = tuple[Tensor, Tensor]

_IRREGULAR = "the input is empty, or input and state have shapes that this LSTM does not take"
_TRACED = "the core's operator, which compilers and modes see, takes no packed sequences"


def why_unfit(
    spec: Spec, batch_first: bool, input: Tensor | PackedSequence, hx: State | None
) -> str | None:
    """Return what keeps the core from taking these; then PyTorch does, or says what is wrong.

    Args:
        spec: what the LSTM is.
        batch_first: whether the batch comes before time.
        input: of a `PackedSequence` the batch sizes are known to be good.
        hx: the states, or None.
    """
    if not isinstance(input, PackedSequence):
        fits = are_regular(spec, batch_first, input, hx) and input.numel() > 0
        return None if fits else _IRREGULAR
    if torch.compiler.is_compiling() or paths.are_modes_active():
        return _TRACED
    data, sizes = input.data, input.batch_sizes
    if data.dim() != 2 or data.shape[1] != spec.I or not data.numel() or not paths.is_plain(sizes):
        return _IRREGULAR
    return None if are_states(spec, hx, (int(sizes[0]),)) else _IRREGULAR


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
    return (
        not isinstance(hx, Tensor)
        and len(hx) == 2
        and all(
            isinstance(s, Tensor) and s.shape == (spec.L * spec.D, *batch, size)
            for s, size in zip(hx, (spec.P, spec.H), strict=True)
        )
    )


def run_time_first(
    run: Callable[..., tuple[Tensor, Tensor, Tensor]],
    input: Tensor,
    hx: State | None,
    batch_first: bool,
) -> tuple[Tensor, State]:
    """Run on [T, B, I], whatever the caller's layout, and return results in that layout.

    Args:
        run: takes x [T, B, I] and the states of a batch, and returns y, h_n, c_n.
        input, hx: as the caller gave them.
        batch_first: whether the batch comes before time.
    """
    batched = input.dim() == 3
    x = input if batched else input.unsqueeze(1)
    transposed = batched and batch_first
    if transposed:
        x = x.transpose(0, 1)
    if hx is not None and not batched:
        hx = (hx[0].unsqueeze(1), hx[1].unsqueeze(1))
    y, h_n, c_n = run(x, hx)
    if transposed:
        y = y.transpose(0, 1)
    if not batched:
        return y.squeeze(1), (h_n.squeeze(1), c_n.squeeze(1))
    return y, (h_n, c_n)
