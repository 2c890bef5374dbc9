"""Which path a call can take.

`native` where the core applies; `composite` where only differentiable PyTorch operations give the
right answer (other cells, functorch transforms, forward-mode AD); `torch` for all else, so that
PyTorch's own kernels, checks and error messages apply.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor
from torch.jit._trace import is_tracing
from torch.nn import Parameter

from gatewise.cell import Cell

Path = Literal["native", "composite", "torch"]

_NATIVE_DTYPES = (torch.float32, torch.float64)


def choose(cell: Cell, tensors: Iterable[Tensor], supported: bool) -> Path:
    """Choose the path of one call.

    Args:
        cell: which LSTM.
        tensors: all tensors that the call reads.
        supported: whether the core does what the module asks (no projection, regular shapes, ...).
    """
    if not cell.is_default:
        return "composite"
    if _is_traced() or not supported:
        return "torch"
    tensors = list(tensors)
    dtype = tensors[0].dtype
    plain = all(
        type(t) in (Tensor, Parameter)
        and t.device.type == "cpu"
        and t.dtype is dtype
        and t.layout is torch.strided
        and not t.is_neg()
        and not t._is_zerotensor()
        for t in tensors
    )
    if not plain or dtype not in _NATIVE_DTYPES or torch.is_autocast_enabled("cpu"):
        return "torch"
    return "composite" if _is_transformed() else "native"


def _is_traced() -> bool:
    return torch.compiler.is_compiling() or is_tracing()


def _is_transformed() -> bool:
    """Whether torch.func (vmap, grad, jvp, ...) or forward-mode AD is at work."""
    return (
        torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0
    )
