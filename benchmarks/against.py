"""This commit beside another one, alternated: no row may have become slower beyond its quartiles.

    python -m benchmarks.against ../old/.venv/bin/python --isa avx2

Each round starts a process of either interpreter in turn; a process times all rows. A row is
slower if even the lower quartile of its times lies above the upper quartile of the other's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from gatewise.bench.machine import describe

ROOT = Path(__file__).parents[1]
GRID = [
    (1, 100, 1, 32), (1, 100, 64, 64), (1, 100, 256, 256), (32, 50, 1, 32), (32, 100, 16, 64),
    (32, 100, 64, 64), (32, 100, 128, 128), (64, 100, 256, 256), (256, 24, 32, 128),
    (8, 40, 32, 64), (1, 1, 8, 8),
]  # fmt: skip
# Of the last two backward alone is timed: all gradients, or with frozen weights that of the input.
KINDS = ("inference", "training", "ragged", "peepholes", "backward", "frozen")

WORKER = """
import json, sys, time
import torch, gatewise.nn
from gatewise import Cell, _native
grid, kinds, threads, isa, budget = json.loads(sys.argv[1])
_native.select_isa(isa)
torch.set_num_threads(threads)
found = {}
for B, T, I, H in grid:
    for kind in kinds:
        if kind == "ragged" and B == 1:
            continue
        torch.manual_seed(0)
        cell = Cell(peephole=True) if kind == "peepholes" else Cell()
        lstm = gatewise.nn.LSTM(I, H, cell=cell)
        x = torch.randn(T, B, I, requires_grad=kind in ("training", "backward", "frozen"))
        lstm.requires_grad_(kind != "frozen")
        lengths = torch.randint(1, T + 1, (B,)) if kind == "ragged" else None
        def before():
            return lstm(x)[0].sum() if kind in ("backward", "frozen") else None
        def call(loss):
            if loss is not None:
                loss.backward()
            elif kind == "training":
                y, _ = lstm(x)
                y.sum().backward()
            else:
                with torch.no_grad():
                    lstm(x) if lengths is None else lstm(x, lengths=lengths)
        call(before()); call(before())
        times, end = [], time.perf_counter() + budget
        while len(times) < 7 or time.perf_counter() < end:
            loss, start = before(), time.perf_counter()
            call(loss)
            times.append(time.perf_counter() - start)
            if len(times) >= 400:
                break
        found[f"{kind} {B},{T},{I},{H}"] = [round(t * 1e6, 2) for t in times]
print(json.dumps(found))
"""


def measure(python: str, threads: int, isa: str, budget_s: float) -> dict[str, list[float]]:
    """Times of all rows in a process of its own, in microseconds."""
    arguments = json.dumps([GRID, KINDS, threads, isa, budget_s])
    done = subprocess.run(
        [python, "-c", WORKER, arguments], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def commit_of(python: str) -> str:
    """The commit of the checkout that an interpreter's gatewise comes from."""
    code = "import gatewise; print(gatewise.__file__)"
    where = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    command = ["git", "-C", str(Path(where.stdout.strip()).parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Measure, print a line for each row, write the raw times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", help="interpreter of an environment of the other commit")
    parser.add_argument("--isa", default="avx2")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=0.15, help="seconds for each row and round")
    a = parser.parse_args()
    sides: dict[str, dict[str, list[float]]] = {"other": {}, "this": {}}
    for _ in range(a.rounds):
        for side, python in (("other", a.other), ("this", sys.executable)):
            for row, times in measure(python, a.threads, a.isa, a.budget).items():
                sides[side].setdefault(row, []).extend(times)
    slower = []
    for row, before in sides["other"].items():
        now = sides["this"][row]
        low, high = statistics.quantiles(now)[0], statistics.quantiles(before)[2]
        ratio = statistics.median(before) / statistics.median(now)
        slower += [row] * (low > high)
        print(f"{row:28} {statistics.median(before):10.1f} {statistics.median(now):10.1f} us  "
              f"{ratio:5.2f} x{'  SLOWER' if low > high else ''}", flush=True)  # fmt: skip
    of_full = {
        row.replace("frozen ", ""): round(statistics.median(times) / statistics.median(full), 3)
        for row, times in sides["this"].items()
        if row.startswith("frozen ") and (full := sides["this"][row.replace("frozen", "backward")])
    }
    print("backward with frozen weights, as a share of the full one:", of_full)
    commits = {"other": commit_of(a.other), "this": commit_of(sys.executable)}
    quartiles = {
        side: {row: statistics.quantiles(times) for row, times in rows.items()}
        for side, rows in sides.items()
    }
    result = {"machine": describe(), "commits": commits, "isa": a.isa, "threads": a.threads,
              "rounds": a.rounds, "quartiles_us": quartiles, "slower": slower,
              "frozen_backward_share": of_full}  # fmt: skip
    path = ROOT / "benchmarks" / "results" / f"against-{a.isa}-{a.threads}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{len(slower)} rows slower; {path.name}")


if __name__ == "__main__":
    main()
