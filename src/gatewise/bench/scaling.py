"""How much faster two cores are than one at work that shares nothing: the ceiling of two threads.

On a virtual machine the two may be halves of one core, or share its power; then no program gets
twice the speed.
"""

from __future__ import annotations

import contextlib
import os
import statistics
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from gatewise.bench.grid import Case, Shape
from gatewise.bench.worker import Worker

CASE: Final = Case("inference", Shape(32, 500, 16, 128))


def side_by_side(turns: int, turn_s: float, case: Case = CASE) -> dict[str, Any] | None:
    """Time two runs of ours, each with one thread on a core of its own, alone and at once.

    Args:
        turns: how often; alone and at once by turns.
        turn_s: length of a turn, in seconds.
        case: what is run.

    Returns:
        ``speeds``: of both at once, relative to one alone, for each turn; their ``median``; and the
        case. None where there are no two cores, or processes cannot be held on one.
    """
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        return None
    cores = sorted(os.sched_getaffinity(0))[:2]
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(len(cores)))
        workers = []
        for core in cores:
            with _held_on(core):  # processes start where their parent may run
                workers.append(stack.enter_context(Worker("gatewise", 1)))
        for worker in workers:
            worker.wait()
            worker.prepare(case)

        def at_once() -> list[float]:
            return [statistics.median(t) for t in pool.map(lambda w: w.turn(turn_s), workers)]

        at_once()  # warms both
        speeds = []
        for _ in range(turns):
            alone = [statistics.median(worker.turn(turn_s)) for worker in workers]
            speeds.append(sum(a / b for a, b in zip(alone, at_once(), strict=True)))
    speeds = [round(speed, 3) for speed in speeds]
    return {**case.to_dict(), "speeds": speeds, "median": statistics.median(speeds)}


@contextlib.contextmanager
def _held_on(core: int) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
