"""python -m benchmarks: the grid, side by side with `torch.nn.LSTM`."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import statistics
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

import gatewise
from benchmarks.grid import GRID, MODES, Mode, Shape
from benchmarks.peers import PEERS
from benchmarks.report import markdown
from benchmarks.worker import Worker
from gatewise.files import write_atomically

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--turns", type=int, default=7, help="turns of each peer")
    parser.add_argument("--seconds", type=float, default=0.15, help="of one turn")
    parser.add_argument("--shapes", type=int, nargs="+", help="indices into the grid")
    parser.add_argument("--no-docs", action="store_true", help="write the JSON only")
    options = parser.parse_args()
    shapes = [GRID[k] for k in options.shapes] if options.shapes else GRID

    cases = [(s, m, t) for t in options.threads for m in MODES for s in shapes]
    rows = []
    with contextlib.ExitStack() as stack:
        bars = stack.enter_context(Progress(console=Console(stderr=True)))
        workers = {peer: stack.enter_context(Worker(peer)) for peer in PEERS}
        for shape, mode, threads in bars.track(cases, description="benchmarks"):
            rows.append(_measure(workers, shape, mode, threads, options.turns, options.seconds))

    result = {"machine": _machine(), "command": " ".join(sys.argv[1:]), "rows": rows}
    name = f"speed-{result['machine']['isa']}.json"
    source = Path("benchmarks") / "results" / name
    (ROOT / source).parent.mkdir(exist_ok=True)
    write_atomically(ROOT / source, json.dumps(result, indent=1) + "\n")
    page = markdown(result, source.as_posix())
    if not options.no_docs:
        (ROOT / "docs" / "benchmarks").mkdir(exist_ok=True)
        write_atomically(ROOT / "docs" / "benchmarks" / "speed.md", page)
    print(page)


def _measure(
    workers: dict[str, Worker], shape: Shape, mode: Mode, threads: int, turns: int, budget: float
) -> dict[str, Any]:
    times: dict[str, list[float]] = {peer: [] for peer in workers}
    for worker in workers.values():
        worker.prepare(shape, mode, threads)
    for turn in range(turns):
        order = list(workers) if turn % 2 else list(reversed(workers))
        for peer in order:
            times[peer] += workers[peer].turn(budget)
    row: dict[str, Any] = {"shape": asdict(shape), "flops": shape.flops, "mode": mode}
    row["threads"] = threads
    for peer, found in times.items():
        low, median, high = statistics.quantiles(found, n=4)
        row[peer] = {"median": median, "quartiles": [low, high], "runs": len(found)}
    return row


def _machine() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "isa": gatewise.native_info()["isa"],
        "python": platform.python_version(),
        "torch": version("torch"),
        "gatewise": version("gatewise"),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
