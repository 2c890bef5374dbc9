"""Peers timed in pairs: ours and another back to back, turn after turn.

A machine that others use runs everything slower for seconds at a time. A ratio of two medians over
all turns then compares moments; a ratio within one pair compares programs. So the ratio of a peer
is the median over turns of those within its pairs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, Final

from gatewise.bench import summary
from gatewise.bench.grid import Mode
from gatewise.bench.timing import spread
from gatewise.bench.worker import Worker
from gatewise.errors import BenchmarkError

Tell = Callable[[str, str], None]
Crew = dict[str, Worker]

FEWEST_TURNS: Final = 3
PATIENCE_S: Final = 10.0
"""A case that has lasted longer than this ends after `FEWEST_TURNS` turns."""


def timed(crew: Crew, mode: Mode, turns: int, turn_s: float, tell: Tell) -> dict[str, Any]:
    """Let ours take turns with each of the others; who fails is out.

    Args:
        crew: who runs the case.
        mode: of the case; it tells which of ours is compared.
        turns: of each pair.
        turn_s: length of a turn of one of them, in seconds.
        tell: called as ``tell(peer, fault)``.

    Returns:
        ``times``: the spread of each peer's seconds per call; ``pairs``: for each but ours, and for
        each turn, the medians of ours and of the peer beside it; ``peak_gflops``: the machine's
        peak, measured among the turns, so that all ran at the speed of the moment.
    """
    us = summary.first_of_ours(mode, crew)
    times: dict[str, list[float]] = {peer: [] for peer in crew}
    pairs: dict[str, list[list[float]]] = {peer: [] for peer in crew if us and peer != us}
    peaks: list[float] = []

    def turn(peer: str) -> float | None:
        """Return the median of a turn; None if the peer failed or is out."""
        if peer not in times:
            return None
        try:
            found = crew[peer].turn(turn_s)
        except BenchmarkError as error:
            tell(peer, str(error))
            del times[peer]
            pairs.pop(peer, None)
            if peer == us:
                pairs.clear()  # nobody is left to stand beside
            return None
        times[peer] += found
        return float(f"{statistics.median(found):.4g}")

    start = time.perf_counter()
    for k in range(turns):
        if k >= FEWEST_TURNS and time.perf_counter() - start > PATIENCE_S:
            break
        others = [peer for peer in times if peer != us]
        for peer in others if k % 2 else reversed(others):
            # Which of the two comes first alternates: what drifts then favours neither.
            order = [peer] if us is None else [us, peer] if k % 2 else [peer, us]
            medians = {name: turn(name) for name in order}
            ours, theirs = medians.get(us or ""), medians[peer]
            if ours is not None and theirs is not None:
                pairs[peer].append([ours, theirs])
        if us is not None and not others:
            turn(us)
        if us in times and (peak := crew[us].peak_gflops()) is not None:
            peaks.append(peak)
    return {
        "peak_gflops": statistics.median(peaks) if peaks else None,
        "times": {peer: spread(found) for peer, found in times.items() if found},
        "pairs": pairs,
    }
