"""One turn: many calls, timed."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Sequence
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
        return interleaved([self], budget_s)[0]

    @property
    def context(self) -> contextlib.AbstractContextManager[object]:
        """What calls are made in."""
        return self._prepared.context()

    def warm(self) -> None:
        """Call untimed for a while, to learn, too, about how long a call takes."""
        if self._call_s >= SLOW_S:
            return
        call, calls, start = self._prepared.call, 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < WARM_S:
            call()
            calls += 1
        self._call_s = elapsed / calls

    def sample(self) -> float:
        """Return seconds per call, of as many calls as make a sample."""
        call, calls = self._prepared.call, max(1, round(SAMPLE_S / self._call_s))
        start = time.perf_counter()
        for _ in repeat(None, calls):
            call()
        return (time.perf_counter() - start) / calls


def interleaved(watches: Sequence[Stopwatch], budget_s: float) -> list[list[float]]:
    """Let cases take a turn together, sample by sample.

    Each sample of one then stands beside one of every other; which comes first alternates.

    Args:
        watches: of the cases, all in this process.
        budget_s: about how many seconds; each case gives one sample at least.

    Returns:
        Seconds per call of each case, as many of one as of another.
    """
    times: list[list[float]] = [[] for _ in watches]
    order = list(zip(watches, times, strict=True))
    with contextlib.ExitStack() as stack:
        for watch in watches:
            stack.enter_context(watch.context)
            watch.warm()
        end = time.perf_counter() + budget_s
        while not times[0] or time.perf_counter() < end:
            for watch, found in order:
                found.append(watch.sample())
            order.reverse()
    return times


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
