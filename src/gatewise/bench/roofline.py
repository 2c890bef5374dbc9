"""The shortest time that a case can take on a machine: its roofline (Williams et al. 2009).

A step must do the multiply-adds of its products, and must read the weights of h, whose next value
it waits for. What L1 cannot keep of them from one step to the next comes from L2, and what L2
cannot keep from L3; what lies in L1 comes as fast as it is multiplied. Several threads share both.
The weights of x serve many steps at once, and count only when streaming. Nonlinearities count
nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Literal, NamedTuple

from gatewise.bench.grid import Case

Bound = Literal["multiply-adds", "L2", "L3"]


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
    >>> limit(Case("inference", Shape(1, 100, 128, 128)), 1, 100.0, reads).by
    'L2'
    """
    found = [Limit(case.flops / (threads * peak_gflops * 1e9), "multiply-adds")]
    found += [
        Limit(read / (threads * read_gbs[by] * 1e9), by)
        for by, read in _reads(case, threads).items()
    ]
    return max(found)


def _reads(case: Case, threads: int) -> dict[Bound, float]:
    """Bytes of weights that must come from each cache: what the one before it cannot keep."""
    s = case.shape
    size = 8 if case.dtype == "float64" else 4
    backward = case.mode in ("training", "training-step")
    found: dict[Bound, float] = {"L2": 0.0, "L3": 0.0}
    for layer in range(s.layers):
        inputs = s.directions * s.H if layer else s.I
        # Those of x are needed once for many steps, except where the next x is not known yet;
        # backward needs those of h again for the gradient of h.
        passes = [s.H + inputs * (case.mode == "streaming")] + [s.H] * backward
        steps = s.directions * max(case.lengths)
        for columns in passes:
            weights = size * 4 * s.H * columns
            found["L2"] += steps * max(0, weights - threads * _cache_bytes(1))
            found["L3"] += steps * max(0, weights - threads * _cache_bytes(2))
    return found


def _cache_bytes(level: Literal[1, 2]) -> int:
    """Size of a core's cache; a usual one where the system does not tell."""
    name, usual = {1: ("SC_LEVEL1_DCACHE_SIZE", 48 << 10), 2: ("SC_LEVEL2_CACHE_SIZE", 2 << 20)}[
        level
    ]
    with contextlib.suppress(ValueError, OSError, AttributeError):
        size = os.sysconf(name)
        return size if size > 0 else usual
    return usual
