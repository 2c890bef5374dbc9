"""Which path a call can take, and why.

`native` where the core applies; `composite` where only differentiable PyTorch operations give the
right answer (Python functions as activations, functorch transforms, forward-mode AD, and on other
devices what PyTorch's LSTM is not); `torch` for all else, so that PyTorch's own kernels, checks and
error messages apply.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.jit._trace import is_tracing
from torch.nn import Parameter
from torch.utils._python_dispatch import _disable_current_modes

from gatewise import _native
from gatewise.cell import Cell
from gatewise.errors import ConfigError, DtypeError, ShapeError

Path = Literal["native", "composite", "torch"]

NATIVE_DTYPES = (torch.float32, torch.float64)
_PLAIN = (Tensor, Parameter)
_dispatch_keys = torch._C._dispatch_keys
_TRANSFORMED = "a torch.func transform or forward-mode AD is at work"


def choose(cell: Cell | None, tensors: Iterable[Tensor], unfit: str | None) -> Path:
    """Choose the path of one call.

    Args:
        cell: which LSTM; None if it is one that PyTorch has too.
        tensors: all tensors that the call reads.
        unfit: what keeps the core from taking the arguments (see `arguments.why_unfit`), or None.
    """
    found = obstacle(cell, tensors, unfit)
    if found is None:
        return "native"
    return "torch" if cell is None and found is not _TRANSFORMED else "composite"


def obstacle(cell: Cell | None, tensors: Iterable[Tensor], unfit: str | None) -> str | None:
    """Return what keeps a call from the core, as the end of a sentence; None if nothing does.

    Args:
        cell, tensors, unfit: as in `choose`.
    """
    if cell is not None and cell.has_callables:
        return "an activation of the cell is a Python function"
    if unfit is not None:
        return unfit
    if torch.compiler.is_compiling():
        return None if _can_compile(tensors) else "the compiler has no rules for it here"
    if is_tracing():
        return "torch.jit.trace records PyTorch's operators"
    if is_transformed():
        return _obstacle(tensors, _is_dense) or _TRANSFORMED
    return _obstacle(tensors, _is_traceable if are_modes_active() else None)


def are_modes_active() -> bool:
    """Whether a dispatch or function mode wants to see what is called.

    Such are FakeTensorMode, make_fx, FlopCounterMode, `torch.set_default_device`, a user's own.
    The core then runs as one operator, which they see.
    """
    return bool(torch._C._len_torch_dispatch_stack() or torch._C._len_torch_function_stack())


@contextmanager
def unseen() -> Iterator[None]:
    """No mode sees, or answers, what is called: the core's own memory is numbers."""
    if are_modes_active():
        with _disable_current_modes(), torch._C.DisableTorchFunction():
            yield
    else:
        yield


def is_plain(t: Tensor) -> bool:
    """Whether a tensor is numbers in memory, at its address and strides.

    A subclass is not, nor another device or layout, a pending negation, zeros without memory, a
    wrapper of functionalisation or of a transform: each has a dispatch key of its own.
    """
    return type(t) in _PLAIN and _dispatch_keys(t).raw_repr() in _PLAIN_KEYS


LOWEST = 1 << (40 if sys.platform == "linux" else 32)
"""Addresses below this one are looked at: they may be offsets in memory that was given back.

On Linux memory lies higher, but for a Python at a fixed address.
"""

# So that the core can read tensors itself, where it can.
_native.register_tensors(*_PLAIN, torch.empty_like, LOWEST)


def address(t: Tensor | None) -> int:
    """Return where a tensor lies; 0 for None, which the core takes for "not given".

    Raises:
        ShapeError: its memory was given back, so that there is nothing at its address.
    """
    if t is None:
        return 0
    found = t.data_ptr()
    # Without memory, the address of a view is its offset alone.
    if found < LOWEST and t.numel() and found == t.storage_offset() * t.element_size():
        raise ShapeError(
            f"A tensor of shape {tuple(t.shape)} has no memory: expected {t.numel()} numbers. Its "
            "storage was resized to nothing; resize it back and fill it."
        )
    return found


def addresses_of(tensors: Sequence[Tensor | None]) -> tuple[int, ...]:
    """Return the `address` of each; the quickest way for tensors that have memory."""
    found = tuple([0 if t is None else t.data_ptr() for t in tensors])
    return tuple(map(address, tensors)) if min(found) < LOWEST else found


def check_dtypes(tensors: Iterable[Tensor]) -> None:
    """Refuse numbers of several dtypes, where the composite would fail somewhere inside.

    Raises:
        DtypeError: there are several, and autocast does not make one of them.
    """
    kinds = {(t.dtype, t.device.type) for t in tensors if isinstance(t, Tensor)}
    dtypes, devices = {dtype for dtype, _ in kinds}, {device for _, device in kinds}
    if "meta" in devices and len(devices) > 1:  # operations that mix them give no numbers
        raise ConfigError(
            f"input, state and parameters lie on {' and '.join(sorted(devices))}: expected one "
            "device for all. Load the parameters, as with module.to_empty and load_state_dict."
        )
    if len(dtypes) > 1 and not any(torch.is_autocast_enabled(device) for _, device in kinds):
        names = " and ".join(sorted(str(dtype).removeprefix("torch.") for dtype in dtypes))
        raise DtypeError(
            f"input, state and parameters have the dtypes {names}: expected one for all. "
            "Convert the input, or the module with module.to(dtype)."
        )


def _keys_of_plain_tensors() -> frozenset[int]:
    """The dispatch keys of a CPU tensor, and of one made in inference mode."""
    with torch.inference_mode():
        inference = torch.zeros(1, device="cpu")
    keys = (torch._C._dispatch_keys(t) for t in (torch.zeros(1, device="cpu"), inference))
    return frozenset(k.raw_repr() for k in keys)


_PLAIN_KEYS = _keys_of_plain_tensors()


def _obstacle(tensors: Iterable[Tensor], is_fit: Callable[[Tensor], bool] | None) -> str | None:
    """What keeps these from being fit (default: plain) numbers of one dtype that the core has."""
    dtype = None
    for t in tensors:
        if t is None:
            return "a parameter is missing"
        dtype = dtype or t.dtype
        if t.dtype is not dtype:
            return "the tensors have different dtypes"
        if is_fit is None:  # `is_plain`, without a call for each tensor of each call
            fit = type(t) in _PLAIN and _dispatch_keys(t).raw_repr() in _PLAIN_KEYS
        else:
            fit = is_fit(t)
        if not fit:
            return _oddity(t)
    if dtype not in NATIVE_DTYPES:
        return f"the core computes in float32 and float64, not in {dtype}"
    return "torch.autocast is at work" if torch.is_autocast_enabled("cpu") else None


def _is_dense(t: Tensor) -> bool:
    """Whether it would be plain, but for what wraps it."""
    return t.is_cpu and t.layout is torch.strided


def _is_traceable(t: Tensor) -> bool:
    """Whether the core's operator can take it, under a mode."""
    return is_plain(t) or (
        type(t) is FakeTensor and t.device.type == "cpu" and t.layout is torch.strided
    )


def _oddity(t: Any) -> str:
    """Why a tensor is not `is_plain`."""
    if type(t) not in _PLAIN:
        return f"a tensor is a {type(t).__name__}"
    if not t.is_cpu:
        return f"a tensor is on {t.device}"
    return f"a tensor is not plain memory ({torch._C._dispatch_keys(t)})"


def _can_compile(tensors: Iterable[Tensor]) -> bool:
    """The same under torch.compile and torch.export, whose tensors have shapes but no numbers.

    PyTorch's ONNX exporter knows PyTorch's operators, and torch.func has no rules for ours.
    """
    if torch.onnx.is_in_onnx_export() or is_transformed() or torch.is_autocast_enabled("cpu"):
        return False
    kinds = {(t.dtype, t.device.type, t.layout) for t in tensors}
    return len(kinds) == 1 and kinds <= {(d, "cpu", torch.strided) for d in NATIVE_DTYPES}


def is_transformed() -> bool:
    """Whether torch.func (vmap, grad, jvp, ...) or forward-mode AD is at work."""
    return (
        torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0
    )
