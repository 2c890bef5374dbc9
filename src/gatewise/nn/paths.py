"""Which path a call can take.

`native` where the core applies; `composite` where only differentiable PyTorch operations give the
right answer (Python functions as activations, functorch transforms, forward-mode AD, and on other
devices what PyTorch's LSTM is not); `torch` for all else, so that PyTorch's own kernels, checks and
error messages apply.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor
from torch.jit._trace import is_tracing
from torch.nn import Parameter

from gatewise.cell import Cell
from gatewise.errors import DtypeError

Path = Literal["native", "composite", "torch"]

_NATIVE_DTYPES = (torch.float32, torch.float64)
_PLAIN = (Tensor, Parameter)


def choose(cell: Cell | None, tensors: Iterable[Tensor], supported: bool) -> Path:
    """Choose the path of one call.

    Args:
        cell: which LSTM; None if it is one that PyTorch has too.
        tensors: all tensors that the call reads.
        supported: whether the core does what the call asks (regular shapes, ...).
    """
    if cell is not None and cell.has_callables:
        return "composite"
    other: Path = "torch" if cell is None else "composite"
    if torch.compiler.is_compiling():
        return "native" if supported and _can_compile(tensors) else other
    if is_tracing() or not (supported and _are_plain_numbers(tensors)):
        return other
    return "composite" if _is_transformed() else "native"


def check_dtypes(tensors: Iterable[Tensor]) -> None:
    """Refuse numbers of several dtypes, where the composite would fail somewhere inside.

    Raises:
        DtypeError: there are several, and autocast does not make one of them.
    """
    kinds = {(t.dtype, t.device.type) for t in tensors if isinstance(t, Tensor)}
    dtypes = {dtype for dtype, _ in kinds}
    if len(dtypes) > 1 and not any(torch.is_autocast_enabled(device) for _, device in kinds):
        names = " and ".join(sorted(str(dtype).removeprefix("torch.") for dtype in dtypes))
        raise DtypeError(
            f"input, state and parameters have the dtypes {names}: expected one for all. "
            "Convert the input, or the module with module.to(dtype)."
        )


def _are_plain_numbers(tensors: Iterable[Tensor]) -> bool:
    """Whether all are dense numbers in memory, of one dtype that the core has."""
    dtype = None
    for t in tensors:
        dtype = dtype or t.dtype
        # A layout that is not strided, a pending negation, zeros without memory: not plain numbers.
        if (
            type(t) not in _PLAIN
            or not t.is_cpu
            or t.dtype is not dtype
            or t.layout is not torch.strided
            or t.is_neg()
            or t._is_zerotensor()
        ):
            return False
    return dtype in _NATIVE_DTYPES and not torch.is_autocast_enabled("cpu")


def _can_compile(tensors: Iterable[Tensor]) -> bool:
    """The same under torch.compile and torch.export, whose tensors have shapes but no numbers.

    PyTorch's ONNX exporter knows PyTorch's operators, and torch.func has no rules for ours.
    """
    if torch.onnx.is_in_onnx_export() or _is_transformed() or torch.is_autocast_enabled("cpu"):
        return False
    kinds = {(t.dtype, t.device.type, t.layout) for t in tensors}
    return len(kinds) == 1 and kinds <= {(d, "cpu", torch.strided) for d in _NATIVE_DTYPES}


def _is_transformed() -> bool:
    """Whether torch.func (vmap, grad, jvp, ...) or forward-mode AD is at work."""
    return (
        torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0
    )
