"""What a second thread gains, beside what two cores can: by turns, for the batches of the grid.

    python -m benchmarks.threads

For each shape with 32 rows or more: a process with one thread and a process with two take turns;
then two processes with one thread each, each held on a core of its own, run alone and at once. The
speed of both at once is what two cores give to work that shares nothing.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any

from gatewise.bench.grid import Case, Shape
from gatewise.bench.machine import describe
from gatewise.bench.scaling import side_by_side
from gatewise.bench.worker import Worker

ROOT = Path(__file__).parents[1]
SHAPES = ("32x50x1x32", "32x100x16x64", "32x100x64x64", "32x100x128x128", "64x100x256x256",
          "128x50x512x512", "32x500x16x128", "256x24x32x128")  # fmt: skip
TURNS, TURN_S, REST_S = 15, 0.06, 0.03


def measure(case: Case) -> dict[str, Any]:
    """The time of one thread over that of two, and the ceiling; medians and quartiles of turns."""
    ratios = []
    with Worker("gatewise", 1) as one, Worker("gatewise", 2) as two:
        for worker in (one, two):
            worker.wait()
            worker.prepare(case)
        for turn in range(TURNS + 1):
            times = {}
            for worker in (one, two) if turn % 2 else (two, one):
                time.sleep(REST_S)  # for so long threads look for more work
                times[worker] = statistics.median(worker.turn(TURN_S))
            if turn:
                ratios.append(times[one] / times[two])
    ceiling = side_by_side(TURNS, TURN_S, case) or {"speeds": []}
    return {
        **case.to_dict(),
        "one thread / two": _summary(ratios),
        "two processes at once": _summary(ceiling["speeds"]),
    }


def _summary(values: list[float]) -> list[float]:
    """Quartiles: the lower, the median, the upper."""
    return [round(q, 3) for q in statistics.quantiles(values, n=4)] if values else []


def main() -> None:
    """Measure inference and training."""
    rows = []
    for mode in ("inference", "training"):
        for name in SHAPES:
            rows.append(measure(Case(mode, Shape.parse(name))))
            print(json.dumps(rows[-1]), flush=True)
    found = {"machine": describe(), "turns": TURNS, "turn_s": TURN_S, "rows": rows}
    path = ROOT / "benchmarks" / "results" / f"threads-{found['machine']['isa']}.json"
    path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
