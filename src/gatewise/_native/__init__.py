"""The compiled core, and what Python must know of it: instruction sets and threads.

`_core` is native/bindings/module.cc; `_core.pyi` is generated from it. Imported by `nn` and
`runtime`; knows neither. The compiled module takes addresses on trust: `arrays` is its face for
NumPy, with checks; `nn.native` does the same for tensors, which in usual calls it reads itself.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Literal, get_args

from gatewise._native import _core
from gatewise._native._core import (
    MAX_ACTIVATION_ULP,
    CacheF32,
    CacheF64,
    Call,
    GroupF32,
    GroupF64,
    Ragged,
    activate,
    are_plain,
    is_well_packed,
    isa_name,
    read_gbs,
    register_tensors,
    share_openmp_threads,
)
from gatewise._native._core import fma_peak_gflops as peak_gflops
from gatewise._native.call import make_call
from gatewise._native.network import (
    cell_fields,
    check_sizes,
    parameter_names,
    parameter_shapes,
)
from gatewise.errors import ConfigError, shown

__all__ = [
    "MAX_ACTIVATION_ULP",
    "CacheF32",
    "CacheF64",
    "Call",
    "GroupF32",
    "GroupF64",
    "Precision",
    "Ragged",
    "activate",
    "are_plain",
    "cell_fields",
    "check_precision",
    "check_sizes",
    "is_well_packed",
    "isa_name",
    "make_call",
    "native_info",
    "parameter_names",
    "parameter_shapes",
    "peak_gflops",
    "read_gbs",
    "register_tensors",
    "release_memory",
    "select_isa",
    "share_openmp_threads",
    "thread_count",
]


Precision = Literal["full", "bfloat16"]


def check_precision(precision: str) -> None:
    """Refuse what is no `Precision`.

    Raises:
        ConfigError: it is another word.
    """
    if precision not in get_args(Precision):
        raise ConfigError(
            f"precision is {shown(precision)}: expected one of {', '.join(get_args(Precision))}."
        )


def select_isa(name: str) -> None:
    """Compute with one instruction set from now on.

    Args:
        name: one of ``native_info()["available"]``. Not while another thread computes.

    Raises:
        ConfigError: this machine does not run it, or this build does not hold it.
    """
    if not _core.isa_select(name):
        raise ConfigError(
            f"Instruction set {shown(name)} is not available: this build and machine run "
            f"{_core.isa_available()}. Unset GATEWISE_ISA or name one of those."
        )


if os.environ.get("GATEWISE_ISA"):
    select_isa(os.environ["GATEWISE_ISA"])


def release_memory() -> None:
    """Give back the memory that the core keeps for later calls and that is not in use.

    Those are the tapes and the scratch of calls that have ended, up to 256 MB of each. Packed
    weights go with their module.

    >>> release_memory()
    """
    _core.release_memory()


def thread_count() -> int:
    """Return how many threads a call may use.

    That is `torch.get_num_threads()` when torch is loaded, else OMP_NUM_THREADS, else the number of
    cores this process may run on.
    """
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_num_threads"):
        return torch.get_num_threads()
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def native_info() -> dict[str, Any]:
    """Tell what the native core runs on.

    Returns:
        ``isa`` (in use), ``available`` (best first; GATEWISE_ISA forces one), ``threads``,
        ``max_activation_ulp`` (the bound on float32 sigmoid and tanh), and ``bfloat16``: how its
        forward products are computed ("avx512_bf16": by that instruction set's dot product, in
        ``isa`` "avx512bf16"; "emulated": by float32 multiply-adds). AMD's processors gain by the
        dot product, so there it is the default; Intel's lose.

    >>> sorted(native_info())
    ['available', 'bfloat16', 'isa', 'max_activation_ulp', 'threads']
    """
    isa = isa_name()
    return {
        "isa": isa,
        "available": _core.isa_available().split(),
        "threads": thread_count(),
        "bfloat16": "avx512_bf16" if isa == "avx512bf16" else "emulated",
        "max_activation_ulp": MAX_ACTIVATION_ULP,
    }
