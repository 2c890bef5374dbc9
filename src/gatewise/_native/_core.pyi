# Generated from native/bindings/module.cc by `make stubs`; a test holds it current.
# ruff: noqa

"""Bindings of the native core; see native/include/gatewise/lstm.h."""

from typing import Annotated, overload

import numpy
import torch
from numpy.typing import NDArray

MAX_ACTIVATION_ULP: float = 2.0

class Ragged:
    """A batch of rows that differ in length; see lstm.h."""

    def __init__(self, batch_sizes: int, T: int) -> None: ...
    @property
    def T(self) -> int:
        """Steps."""

    @property
    def B(self) -> int:
        """Rows."""

class Noise:
    """Masks by address, and rates; see gatewise::Noise in lstm.h."""

    def __init__(
        self,
        *,
        recurrent_mask: int = 0,
        zoneout_h: int = 0,
        zoneout_c: int = 0,
        rate_h: float = 0,
        rate_c: float = 0,
    ) -> None: ...

class Edits:
    """What a run is made to do; see gatewise::Edits in lstm.h."""

    def __init__(
        self,
        *,
        input_gate: int = 0,
        forget_gate: int = 0,
        candidate: int = 0,
        output_gate: int = 0,
        cell_state: int = 0,
        cell_output: int = 0,
    ) -> None: ...

class Call:
    """What forward and backward share; see gatewise::Call in lstm.h."""

    def __init__(
        self,
        *,
        T: int,
        B: int,
        threads: int,
        x: tuple[int, int, int],
        h0: int,
        c0: int,
        checkpoint_every: int = 0,
        ragged: Ragged | None = None,
        noise: Noise | None = None,
        edits: Edits | None = None,
    ) -> None: ...

def is_well_packed(batch_sizes: int, T: int, N: int) -> bool:
    """Whether these T sizes can be those of N rows; see lstm.h."""

def check(L: int, D: int, I: int, H: int, projection: int = 0, T: int = 0, B: int = 0) -> bool:
    """Whether the core can run these sizes; see lstm.h."""

def functions() -> list:
    """Names of the built-in activation functions, in the core's order."""

def used_gates(cell: tuple) -> tuple:
    """Whether the weights of i, f, g, o are used."""

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

def read_gbs(bytes: int) -> float:
    """What one thread reads of so many bytes again and again, in GB/s."""

def share_openmp_threads() -> bool:
    """
    Run calls on the team of the process's OpenMP runtime; False if there is none.
    """

def register_tensors(tensor: object, parameter: object, empty_like: object, lowest: int) -> None:
    """Let tensors of these types be read; see tensors.h."""

def are_plain(tensors: tuple, shapes: tuple, bits: int) -> bool:
    """
    Whether all are plain, of one dtype, and each of its shape; see tensors.h.
    """

def release_memory() -> None:
    """Give back the memory that is kept for later calls and not in use."""

class StreamF32:
    """One step at a time; see lstm.h."""

    def step(self, x: object, out: object, threads: int) -> None: ...
    def try_step(self, x: object | None, out: object | None, threads: int) -> bool: ...
    def get_state(self, h: int, c: int) -> None: ...
    def set_state(self, h: int, c: int) -> None: ...

class WeightsF32:
    """Packed weights of a network; see lstm.h."""

    def tape_size(
        self, T: int, B: int, checkpoint_every: int = 0, ragged: Ragged | None = None
    ) -> int: ...
    def tape_like(
        self, like: object, T: int, B: int, checkpoint_every: int, ragged: Ragged | None
    ) -> object: ...
    def tape_array(
        self, T: int, B: int, checkpoint_every: int = 0, ragged: Ragged | None = None
    ) -> Annotated[NDArray[numpy.float32], dict(shape=(None,))]: ...
    @staticmethod
    def pooled_array(size: int) -> Annotated[NDArray[numpy.float32], dict(shape=(None,))]: ...
    def forward(
        self, call: Call, *, y: tuple[int, int, int], h_n: int, c_n: int, tape: int
    ) -> None: ...
    def try_run(self, x: object, y: object, h_n: object, c_n: object, threads: int) -> bool: ...
    def backward_tensors(
        self,
        saved: tuple,
        shapes: tuple,
        grad_outputs: tuple,
        needs_input_grad: tuple,
        threads: int,
        checkpoint_every: int,
    ) -> object: ...
    def backward(
        self,
        call: Call,
        *,
        y: tuple[int, int, int],
        tape: int,
        dy: tuple[int, int, int],
        dh_n: int,
        dc_n: int,
        dx: tuple[int, int, int],
        dh0: int,
        dc0: int,
        gradients: tuple,
        gate_gradients: int = 0,
    ) -> None: ...
    def read_tape(
        self,
        call: Call,
        *,
        tape: int,
        input_gate: int,
        forget_gate: int,
        candidate: int,
        output_gate: int,
        cell_state: int,
    ) -> None: ...
    def stream(self, B: int, rate_h: float = 0, rate_c: float = 0) -> StreamF32: ...

class CacheF32:
    """Packs weights when they have changed; see lstm.h."""

    def __init__(
        self,
        L: int,
        D: int,
        I: int,
        H: int,
        bfloat16: bool = False,
        cell: tuple = (),
        projection: int = 0,
    ) -> None: ...
    def pack(self, parameters: tuple) -> WeightsF32: ...
    def forward_tensors(
        self,
        tensors: tuple,
        shapes: tuple,
        threads: int,
        keep: bool,
        checkpoint_every: int,
        packed: WeightsF32 | None = None,
    ) -> object: ...

class PackedGroupF32:
    """Their packed weights; see group.h."""

    def tape(
        self, T: int, B: int
    ) -> Annotated[torch.Tensor, dict(dtype="float32", shape=(None,))]: ...
    def forward(
        self, T: int, B: int, threads: int, *, x: int, y: int, h_n: int, c_n: int, tape: int
    ) -> None: ...
    def backward(
        self,
        T: int,
        B: int,
        threads: int,
        *,
        x: int,
        y: int,
        tape: int,
        dy: int,
        dx: int,
        gradients: tuple,
    ) -> None: ...

class GroupF32:
    """Many networks of one shape at once; see group.h."""

    def __init__(
        self, G: int, L: int, D: int, I: int, H: int, cell: tuple = (), projection: int = 0
    ) -> None: ...
    def pack(self, parameters: tuple) -> PackedGroupF32: ...

@overload
def activate(
    site: object,
    x: Annotated[
        NDArray[numpy.float32], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    y: Annotated[NDArray[numpy.float32], dict(shape=(None,), order="C", device="cpu")],
) -> None: ...
@overload
def activate(
    site: object,
    x: Annotated[
        NDArray[numpy.float64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    y: Annotated[NDArray[numpy.float64], dict(shape=(None,), order="C", device="cpu")],
) -> None:
    """y = an activation of x, as the kernels compute it."""

class StreamF64:
    """One step at a time; see lstm.h."""

    def step(self, x: object, out: object, threads: int) -> None: ...
    def try_step(self, x: object | None, out: object | None, threads: int) -> bool: ...
    def get_state(self, h: int, c: int) -> None: ...
    def set_state(self, h: int, c: int) -> None: ...

class WeightsF64:
    """Packed weights of a network; see lstm.h."""

    def tape_size(
        self, T: int, B: int, checkpoint_every: int = 0, ragged: Ragged | None = None
    ) -> int: ...
    def tape_like(
        self, like: object, T: int, B: int, checkpoint_every: int, ragged: Ragged | None
    ) -> object: ...
    def tape_array(
        self, T: int, B: int, checkpoint_every: int = 0, ragged: Ragged | None = None
    ) -> Annotated[NDArray[numpy.float64], dict(shape=(None,))]: ...
    @staticmethod
    def pooled_array(size: int) -> Annotated[NDArray[numpy.float64], dict(shape=(None,))]: ...
    def forward(
        self, call: Call, *, y: tuple[int, int, int], h_n: int, c_n: int, tape: int
    ) -> None: ...
    def try_run(self, x: object, y: object, h_n: object, c_n: object, threads: int) -> bool: ...
    def backward_tensors(
        self,
        saved: tuple,
        shapes: tuple,
        grad_outputs: tuple,
        needs_input_grad: tuple,
        threads: int,
        checkpoint_every: int,
    ) -> object: ...
    def backward(
        self,
        call: Call,
        *,
        y: tuple[int, int, int],
        tape: int,
        dy: tuple[int, int, int],
        dh_n: int,
        dc_n: int,
        dx: tuple[int, int, int],
        dh0: int,
        dc0: int,
        gradients: tuple,
        gate_gradients: int = 0,
    ) -> None: ...
    def read_tape(
        self,
        call: Call,
        *,
        tape: int,
        input_gate: int,
        forget_gate: int,
        candidate: int,
        output_gate: int,
        cell_state: int,
    ) -> None: ...
    def stream(self, B: int, rate_h: float = 0, rate_c: float = 0) -> StreamF64: ...

class CacheF64:
    """Packs weights when they have changed; see lstm.h."""

    def __init__(
        self,
        L: int,
        D: int,
        I: int,
        H: int,
        bfloat16: bool = False,
        cell: tuple = (),
        projection: int = 0,
    ) -> None: ...
    def pack(self, parameters: tuple) -> WeightsF64: ...
    def forward_tensors(
        self,
        tensors: tuple,
        shapes: tuple,
        threads: int,
        keep: bool,
        checkpoint_every: int,
        packed: WeightsF64 | None = None,
    ) -> object: ...

class PackedGroupF64:
    """Their packed weights; see group.h."""

    def tape(
        self, T: int, B: int
    ) -> Annotated[torch.Tensor, dict(dtype="float64", shape=(None,))]: ...
    def forward(
        self, T: int, B: int, threads: int, *, x: int, y: int, h_n: int, c_n: int, tape: int
    ) -> None: ...
    def backward(
        self,
        T: int,
        B: int,
        threads: int,
        *,
        x: int,
        y: int,
        tape: int,
        dy: int,
        dx: int,
        gradients: tuple,
    ) -> None: ...

class GroupF64:
    """Many networks of one shape at once; see group.h."""

    def __init__(
        self, G: int, L: int, D: int, I: int, H: int, cell: tuple = (), projection: int = 0
    ) -> None: ...
    def pack(self, parameters: tuple) -> PackedGroupF64: ...
