"""One turn: many calls, timed."""

from __future__ import annotations

import statistics
import time
from itertools import repeat
from typing import Any, Final

from gatewise.bench.peers.interface import Prepared

WARM_S: Final = 0.008
"""Untimed calls open a turn for so long: caches fill, threads wake, another peer's fall asleep."""

SAMPLE_S: Final = 0.0005
"""A sample is so many calls that it lasts about this long: reading the clock costs nothing then."""

SLOW_S: Final = 0.02
"""A call that takes longer than this needs no warming anew at each turn."""


class Stopwatch:
    """Times one prepared case, turn by turn."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._call_s = 0.0

    def turn(self, budget_s: float) -> list[float]:
        """Call for about so many seconds, at least once; return seconds per call, many times."""
        with self._prepared.context():
            if self._call_s < SLOW_S:
                self._call_s = self._warm()
            calls = max(1, round(SAMPLE_S / self._call_s))
            times = [self._sample(calls)]
            end = time.perf_counter() + budget_s - times[0] * calls
            while time.perf_counter() < end:
                times.append(self._sample(calls))
        return times

    def _warm(self) -> float:
        """Call untimed for a while; return about how long a call takes."""
        call, calls, start = self._prepared.call, 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < WARM_S:
            call()
            calls += 1
        return elapsed / calls

    def _sample(self, calls: int) -> float:
        call = self._prepared.call
        start = time.perf_counter()
        for _ in repeat(None, calls):
            call()
        return (time.perf_counter() - start) / calls


def spread(times: list[float]) -> dict[str, Any]:
    """Return median, quartiles and number of samples, in seconds to four digits.

    >>> spread([0.3, 0.1, 0.2])
    {'median': 0.2, 'quartiles': [0.15, 0.25], 'samples': 3}
    """
    if len(times) == 1:
        low, median, high = times * 3
    else:  # inclusive: the other method reaches beyond the extremes of a few, even below 0
        low, median, high = statistics.quantiles(times, n=4, method="inclusive")
    return {
        "median": float(f"{median:.4g}"),
        "quartiles": [float(f"{low:.4g}"), float(f"{high:.4g}")],
        "samples": len(times),
    }
