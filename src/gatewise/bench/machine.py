"""What it ran on, and the machine's own limits."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from pathlib import Path
from typing import Any, Final

from gatewise import _native

_ROUNDS: Final = 3
_READ_BYTES: Final = {"L2": 1 << 18, "L3": 1 << 23}
"""Working sets that stay in a cache, as the weights do that a step reads."""


def describe() -> dict[str, Any]:
    """Processor, cores, instruction set, system, Python, how busy it is, and the commit."""
    return {
        "processor": _processor(),
        "cores": core_count(),
        "isa": _native.isa_name(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "commit": commit(),
    }


def commit() -> str | None:
    """Return the commit of the checkout that gatewise runs from; None outside of one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=10", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def core_count() -> int:
    """Number of cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peaks() -> dict[str, dict[str, float]]:
    """Measure the limits of one core; to be called in a process of its own.

    Returns:
        ``gflops``: float32 multiply-adds with each instruction set, in GF/s (empty if this build
        cannot measure them); ``read_gbs``: reads from each cache, in GB/s.
    """
    return {  # reads first: they are those of the instruction set in use
        "read_gbs": {name: round(_native.read_gbs(n), 1) for name, n in _READ_BYTES.items()},
        "gflops": _peak_of_each_isa(),
    }


def merge(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Keep the higher of two measurements of every limit: the machine's speed drifts.

    >>> merge({"gflops": {"avx2": 90.0}}, {"gflops": {"avx2": 95.0}})
    {'gflops': {'avx2': 95.0}}
    """
    return {
        kind: {name: max(value, second[kind][name]) for name, value in values.items()}
        for kind, values in first.items()
    }


def peak_gflops() -> float | None:
    """Measure float32 multiply-adds of one thread with the instruction set in use, in GF/s."""
    measure = getattr(_native, "peak_gflops", None)
    return None if measure is None else round(measure(), 1)


def _peak_of_each_isa() -> dict[str, float]:
    """Select one after the other; nothing else may compute in this process."""
    peaks, before = {}, _native.isa_name()
    for isa in _native.native_info()["available"]:
        _native.select_isa(isa)
        found = [peak for _ in range(_ROUNDS) if (peak := peak_gflops()) is not None]
        if found:
            peaks[isa] = max(found)
    _native.select_isa(before)
    return peaks


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
