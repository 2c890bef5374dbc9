"""What it costs to look inside: recording beside a forward in training, edits, attention, memory.

    python -m benchmarks.tracing

Alternates all calls in one process, on one thread; medians and quartiles of milliseconds. Variables
of a trace are read from the tape when they are first asked for, so recording is measured without
reading, with one gate read, and with all that the tape holds read. What needs much memory runs in a
process of its own, which tells by how much its peak grew.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gatewise import trace
from gatewise.bench.machine import describe
from gatewise.nn import LSTM

ROOT = Path(__file__).parents[1]
ROUNDS = 60
READ = ("input_gate", "forget_gate", "candidate", "output_gate", "cell_state", "cell_output")

LARGE = {
    "a million steps x 64 units, cell states kept": """
lstm, x = LSTM(4, 64), torch.randn(1_000_000, 1, 4)
measured(lambda: trace.record(lstm, x, keep="cell_state").data["cell_state"].values)
""",
    "attention, 2,000 steps x 64 units": """
recorded = trace.record(LSTM(64, 64), torch.randn(2000, 1, 64))
measured(lambda: trace.attention(recorded))
""",
    "attention of all units together, 10,000 steps x 64 units": """
recorded = trace.record(LSTM(64, 64), torch.randn(10_000, 1, 64))
measured(lambda: trace.attention(recorded, units="share"))
""",
}

WORKER = """
import json, resource, time, torch
from gatewise import trace
from gatewise.nn import LSTM
torch.set_num_threads(1)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
def measured(call):
    before, start = peak(), time.perf_counter()
    call()
    took, grown = time.perf_counter() - start, peak() - before
    print(json.dumps({"seconds": round(took, 3), "GiB": round(grown, 3)}))
trace.attention(trace.record(LSTM(4, 8), torch.randn(30, 1, 4)))  # what is loaded first
"""


def times(*calls: Callable[[], Any]) -> list[list[float]]:
    """Milliseconds of each call, by turns."""
    found: list[list[float]] = [[] for _ in calls]
    for k in range(ROUNDS + 5):
        for own, call in zip(found, calls, strict=True):
            start = time.perf_counter()
            call()
            if k >= 5:
                own.append(1e3 * (time.perf_counter() - start))
    return found


def large() -> dict[str, dict[str, float]]:
    """Seconds, and by how much the peak of memory grew."""
    found = {}
    for name, code in LARGE.items():
        command = [sys.executable, "-c", WORKER + code]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[name] = json.loads(done.stdout)
        print(f"{name}: {found[name]}", flush=True)
    return found


def main() -> None:
    """Measure, print, write the raw times."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    lstm, x = LSTM(64, 64), torch.randn(500, 8, 64)
    leaf, row = x.clone().requires_grad_(), x[:, :1]
    swap, clamp = trace.Edit("candidate", "identity"), trace.Edit("forget_gate", 1.0)
    calls: dict[str, Callable[[], Any]] = {
        "forward in training": lambda: lstm(leaf),
        "forward and backward": lambda: lstm(leaf)[0].sum().backward(),
        "record": lambda: trace.record(lstm, x),
        "record, forget gate read": lambda: trace.record(lstm, x).data["forget_gate"].values,
        "record, all but gates_pre read": lambda: read(trace.record(lstm, x)),
        "swap": lambda: trace.run_on(lstm, row, swap).data["hidden_state"].values,
        "clamp": lambda: trace.run_on(lstm, row, clamp).data["hidden_state"].values,
    }
    rows = dict(zip(calls, times(*calls.values()), strict=True))
    quartiles = {name: [round(q, 3) for q in statistics.quantiles(t)] for name, t in rows.items()}
    forward = statistics.median(rows["forward in training"])
    ratios = {name: round(statistics.median(t) / forward, 2) for name, t in rows.items()}
    for name, (low, middle, high) in quartiles.items():
        print(f"{name:32} {middle:8.2f} ms ({low:.2f} to {high:.2f}) {ratios[name]:6.2f} x forward")
    result = {
        "machine": describe(),
        "sizes": {"T": 500, "B": 8, "I": 64, "H": 64, "edits": "B 1"},
        "quartiles_ms": quartiles,
        "of_forward": {k: ratios[k] for k in rows if k.startswith("record")},
        "large": large(),
    }
    path = ROOT / "benchmarks" / "results" / "tracing.json"
    path.write_text(json.dumps(result, indent=1) + "\n")


def read(recorded: trace.Trace) -> None:
    """Have everything that the tape holds."""
    for name in READ:
        recorded.data[name].values  # noqa: B018


if __name__ == "__main__":
    main()
