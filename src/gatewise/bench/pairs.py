"""Peers timed in pairs: ours and another back to back, turn after turn.

A machine that others use runs everything slower for seconds at a time. A ratio of two medians over
all turns then compares moments; a ratio within one pair compares programs. So the ratio of a peer
is the median over turns of those within its pairs.

Two processes differ, too, by where their memory lies and on which core they run: the same program
took up to 1.8 times as long in one as in another. That is little beside a peer, and much beside the
few per cent that another cell costs. So the plain case, the yardstick, runs in our own process, and
its samples alternate with those of the case.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, Final

from gatewise.bench import summary
from gatewise.bench.grid import Case
from gatewise.bench.peers import YARDSTICK
from gatewise.bench.timing import spread
from gatewise.bench.worker import Worker
from gatewise.errors import BenchmarkError

Tell = Callable[[str, str], None]
Crew = dict[str, Worker]

FEWEST_TURNS: Final = 3
PATIENCE_S: Final = 10.0
"""A case that has lasted longer than this ends after `FEWEST_TURNS` turns."""

REST_S: Final = 0.02
LONG_REST_S: Final = {"onnxruntime": 0.08}
"""A turn on several threads begins after so long a rest: threads of the peer before look for more
work, ONNX Runtime's for 60 ms and others for up to 15 ms, on cores that the next one needs."""

YARDSTICK_TURNS: Final = 4
"""A turn beside the plain case lasts as long as so many others: a few per cent are at stake."""


def timed(
    crew: Crew, case: Case, turns: int, turn_s: float, tell: Tell, rests: bool = False
) -> dict[str, Any]:
    """Let ours take turns with each of the others; who fails is out.

    Args:
        crew: who runs the case.
        case: what they have prepared; its mode tells which of ours is compared.
        turns: of each pair.
        turn_s: length of a turn of one of them, in seconds.
        tell: called as ``tell(peer, fault)``.
        rests: whether turns begin after a rest; see `REST_S`.

    Returns:
        ``times``: the spread of each peer's seconds per call; ``pairs``: for each but ours, and for
        each turn, the medians of ours and of the peer beside it; ``peak_gflops``: the machine's
        peak, measured among the turns, so that all ran at the speed of the moment. If the case is
        not plain, `YARDSTICK` stands among the peers: ours on `Case.plain`.
    """
    match = _Match(crew, case, turn_s, rests, tell)
    start = time.perf_counter()
    for k in range(turns):
        if k >= FEWEST_TURNS and time.perf_counter() - start > PATIENCE_S:
            break
        match.turn_of_all(ours_first=k % 2 == 1)
    return {
        "peak_gflops": statistics.median(match.peaks) if match.peaks else None,
        "times": {peer: spread(found) for peer, found in match.times.items() if found},
        "pairs": match.pairs,
    }


class _Match:
    """Who is still in, and what was timed so far."""

    def __init__(self, crew: Crew, case: Case, turn_s: float, rests: bool, tell: Tell) -> None:
        self._crew, self._case, self._turn_s, self._tell = crew, case, turn_s, tell
        self._rests, self._before = rests, ""
        self._us = summary.first_of_ours(case.mode, crew)
        names = [*crew, YARDSTICK] if self._us and case != case.plain else [*crew]
        self.times: dict[str, list[float]] = {name: [] for name in names}
        self.pairs: dict[str, list[list[float]]] = {
            name: [] for name in names if self._us and name != self._us
        }
        self.peaks: list[float] = []

    def turn_of_all(self, ours_first: bool) -> None:
        """Have everyone take a turn beside ours, in one order or the other.

        Alternating, it favours none if the machine drifts.
        """
        others = [name for name in self.times if name != self._us]
        for name in others if ours_first else reversed(others):
            if name == YARDSTICK:
                self._beside_plain(ours_first)
            else:
                self._beside(name, ours_first)
        if self._us is None:
            return
        if not others:
            self._turn(self._us)
        if self._us in self.times and (peak := self._crew[self._us].peak_gflops()) is not None:
            self.peaks.append(peak)

    def _beside(self, peer: str, ours_first: bool) -> None:
        """Back to back, each in its process."""
        order = [self._us, peer] if ours_first else [peer, self._us]
        medians = {name: self._turn(name) for name in order if name is not None}
        ours, theirs = medians.get(self._us or ""), medians[peer]
        if ours is not None and theirs is not None:
            self.pairs[peer].append([ours, theirs])

    def _beside_plain(self, ours_first: bool) -> None:
        """Sample by sample, in one process; the pair's ratio is the median of neighbours'."""
        us, case = self._us, self._case
        if us is None or us not in self.times:
            return
        cases = (case, case.plain) if ours_first else (case.plain, case)
        try:
            found = self._crew[us].interleaved(cases, YARDSTICK_TURNS * self._turn_s)
        except BenchmarkError as error:
            self._out(YARDSTICK, error)
            return
        ours, plain = found if ours_first else reversed(found)
        self.times[us] += ours
        self.times[YARDSTICK] += plain
        ratio = statistics.median(b / a for a, b in zip(ours, plain, strict=True))
        median = statistics.median(ours)
        self.pairs[YARDSTICK].append([_rounded(median), _rounded(median * ratio)])

    def _turn(self, peer: str) -> float | None:
        """Return the median of a turn; None if the peer failed or is out."""
        if peer not in self.times:
            return None
        if self._rests:
            time.sleep(LONG_REST_S.get(self._before, REST_S))
            self._before = peer
        try:
            found = self._crew[peer].turn(self._turn_s)
        except BenchmarkError as error:
            self._out(peer, error)
            return None
        self.times[peer] += found
        return _rounded(statistics.median(found))

    def _out(self, peer: str, error: BenchmarkError) -> None:
        self._tell(peer, str(error))
        del self.times[peer]
        self.pairs.pop(peer, None)
        if peer == self._us:  # nobody is left to stand beside
            self.pairs.clear()
            self.times.pop(YARDSTICK, None)


def _rounded(seconds: float) -> float:
    return float(f"{seconds:.4g}")
