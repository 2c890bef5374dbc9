# Generated from native/bindings/module.cc by `make stubs`; a test holds it current.
# ruff: noqa

"""Bindings of the native core; see native/include/gatewise/lstm.h."""

from typing import Annotated, overload

import numpy
import torch
from numpy.typing import NDArray

MAX_ACTIVATION_ULP: float = 2.0

def isa_name() -> str:
    """Instruction set in use."""

def isa_available() -> str:
    """
    Instruction sets that this machine runs, best first, separated by blanks.
    """

def isa_select(name: str) -> bool:
    """Choose an instruction set; False if this machine does not run it."""

def fma_peak_gflops() -> float:
    """
    What one thread reaches with multiply-adds alone, in GFLOP/s of float32.
    """

class StreamF32:
    """One step at a time; see lstm.h."""

    def step(self, x: object, out: object, threads: int) -> bool: ...
    def get_state(self, arg0: int, arg1: int, /) -> None: ...
    def set_state(self, arg0: int, arg1: int, /) -> None: ...

class WeightsF32:
    """Packed weights of a network; see lstm.h."""

    def tape_size(self, T: int, B: int, checkpoint_every: int) -> int: ...
    def tape(
        self, T: int, B: int, checkpoint_every: int
    ) -> Annotated[torch.Tensor, dict(dtype="float32", shape=(None,))]: ...
    def forward(
        self,
        arg0: int,
        arg1: int,
        arg2: int,
        arg3: int,
        arg4: int,
        arg5: int,
        arg6: int,
        arg7: int,
        arg8: int,
        arg9: int,
        arg10: int,
        arg11: int,
        arg12: int,
        arg13: int,
        arg14: int,
        /,
    ) -> None: ...
    def run(self, x: object, y: object, h_n: object, c_n: object, threads: int) -> bool: ...
    def backward(
        self,
        arg0: int,
        arg1: int,
        arg2: int,
        arg3: int,
        arg4: int,
        arg5: int,
        arg6: int,
        arg7: int,
        arg8: int,
        arg9: int,
        arg10: int,
        arg11: int,
        arg12: int,
        arg13: int,
        arg14: int,
        arg15: int,
        arg16: int,
        arg17: int,
        arg18: int,
        arg19: int,
        arg20: int,
        arg21: int,
        arg22: tuple,
        arg23: int,
        /,
    ) -> None: ...
    def stream(self, B: int) -> StreamF32: ...

class CacheF32:
    """Packs weights when they have changed; see lstm.h."""

    def __init__(self, L: int, D: int, I: int, H: int, bfloat16: bool = False) -> None: ...
    def pack(self, parameters: tuple) -> WeightsF32: ...

@overload
def activate(
    name: str,
    x: Annotated[
        NDArray[numpy.float32], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    y: Annotated[NDArray[numpy.float32], dict(shape=(None,), order="C", device="cpu")],
) -> None: ...
@overload
def activate(
    name: str,
    x: Annotated[
        NDArray[numpy.float64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    y: Annotated[NDArray[numpy.float64], dict(shape=(None,), order="C", device="cpu")],
) -> None:
    """y = sigmoid(x) or tanh(x), as the kernels compute it."""

class StreamF64:
    """One step at a time; see lstm.h."""

    def step(self, x: object, out: object, threads: int) -> bool: ...
    def get_state(self, arg0: int, arg1: int, /) -> None: ...
    def set_state(self, arg0: int, arg1: int, /) -> None: ...

class WeightsF64:
    """Packed weights of a network; see lstm.h."""

    def tape_size(self, T: int, B: int, checkpoint_every: int) -> int: ...
    def tape(
        self, T: int, B: int, checkpoint_every: int
    ) -> Annotated[torch.Tensor, dict(dtype="float64", shape=(None,))]: ...
    def forward(
        self,
        arg0: int,
        arg1: int,
        arg2: int,
        arg3: int,
        arg4: int,
        arg5: int,
        arg6: int,
        arg7: int,
        arg8: int,
        arg9: int,
        arg10: int,
        arg11: int,
        arg12: int,
        arg13: int,
        arg14: int,
        /,
    ) -> None: ...
    def run(self, x: object, y: object, h_n: object, c_n: object, threads: int) -> bool: ...
    def backward(
        self,
        arg0: int,
        arg1: int,
        arg2: int,
        arg3: int,
        arg4: int,
        arg5: int,
        arg6: int,
        arg7: int,
        arg8: int,
        arg9: int,
        arg10: int,
        arg11: int,
        arg12: int,
        arg13: int,
        arg14: int,
        arg15: int,
        arg16: int,
        arg17: int,
        arg18: int,
        arg19: int,
        arg20: int,
        arg21: int,
        arg22: tuple,
        arg23: int,
        /,
    ) -> None: ...
    def stream(self, B: int) -> StreamF64: ...

class CacheF64:
    """Packs weights when they have changed; see lstm.h."""

    def __init__(self, L: int, D: int, I: int, H: int, bfloat16: bool = False) -> None: ...
    def pack(self, parameters: tuple) -> WeightsF64: ...
