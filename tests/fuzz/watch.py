"""How long single calls of gatewise take, apart from the oracle beside them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

SLOW_S = 2.0
"""A call of a small network that takes longer hangs, if only for a while."""

_longest_s = 0.0


@contextmanager
def one_call() -> Iterator[None]:
    """Measure what runs inside."""
    global _longest_s  # noqa: PLW0603
    began = time.perf_counter()
    try:
        yield
    finally:
        _longest_s = max(_longest_s, time.perf_counter() - began)


def longest_s() -> float:
    """Return the longest call since this was asked last, as if the machine were ours alone."""
    global _longest_s
    found, _longest_s = _longest_s, 0.0
    return found / max(1.0, os.getloadavg()[0] / cores())


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
