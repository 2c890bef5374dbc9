"""The shortest time that a case can take on a machine: its roofline (Williams et al. 2009).

A step must do the multiply-adds of its products, and must read its weights once, from the nearest
cache that holds them: L2, or beyond it L3. What lies in L1 comes as fast as it is multiplied.
Several threads share both. The nonlinearities count nothing, so no program reaches the limit.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from gatewise.bench.grid import Case

Bound = Literal["multiply-adds", "L2", "L3"]

_L1_BYTES: Final = 32 << 10
_L2_BYTES: Final = 1 << 20  # where the system does not tell


class Limit(NamedTuple):
    """The shortest time of a call in seconds, and what sets it."""

    seconds: float
    by: Bound


def limit(case: Case, threads: int, peak_gflops: float, read_gbs: Mapping[str, float]) -> Limit:
    """Return the limit of one call.

    Args:
        case: what is run.
        threads: that share it.
        peak_gflops: multiply-adds of one of them, in GF/s.
        read_gbs: what one of them reads from each cache, in GB/s, as `machine.peaks` has it.

    >>> from gatewise.bench import Shape
    >>> reads = {"L2": 80.0, "L3": 20.0}
    >>> limit(Case("inference", Shape(64, 100, 64, 64)), 1, 100.0, reads).by
    'multiply-adds'
    >>> limit(Case("inference", Shape(1, 100, 128, 128)), 1, 100.0, reads)
    Limit(seconds=0.00065536, by='L2')
    """
    found = [Limit(case.flops / (threads * peak_gflops * 1e9), "multiply-adds")]
    for by, read in _reads(case, threads).items():
        found.append(Limit(read / (threads * read_gbs[by] * 1e9), by))
    return max(found)


def _reads(case: Case, threads: int) -> dict[Bound, float]:
    """Bytes of weights that must come from each cache."""
    s = case.shape
    size = 8 if case.dtype == "float64" else 4
    backward = case.mode in ("training", "training-step")
    found: dict[Bound, float] = {}
    for layer in range(s.layers):
        inputs = s.directions * s.H if layer else s.I
        own = size * 4 * s.H * (inputs + s.H)
        if own <= threads * _L1_BYTES:
            continue
        again = size * 4 * s.H * s.H if backward else 0  # for the gradient of h
        by: Bound = "L2" if own <= threads * _l2_bytes() else "L3"
        found[by] = found.get(by, 0.0) + s.directions * max(case.lengths) * (own + again)
    return found


def _l2_bytes() -> int:
    with contextlib.suppress(ValueError, OSError, AttributeError):
        return os.sysconf("SC_LEVEL2_CACHE_SIZE") or _L2_BYTES
    return _L2_BYTES
