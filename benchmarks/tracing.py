"""What it costs to look inside: recording beside a forward in training, edits, attention.

    python -m benchmarks.tracing

Alternates both sides in one process, on one thread; medians and quartiles, raw JSON beside.
"""

from __future__ import annotations

import json
import statistics
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


def main() -> None:
    """Measure, print, write the raw times."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    lstm, x = LSTM(64, 64), torch.randn(500, 8, 64)
    leaf, row = x.clone().requires_grad_(), x[:, :1]
    edits = trace.Edit("candidate", "identity"), trace.Edit("forget_gate", 1.0)
    forward, recorded, swapped, clamped = times(
        lambda: lstm(leaf),
        lambda: trace.record(lstm, x),
        lambda: trace.run_on(lstm, row, edits[0]),
        lambda: trace.run_on(lstm, row, edits[1]),
    )
    long = trace.record(lstm, torch.randn(2000, 1, 64))
    (attention,) = times(lambda: trace.attention(long))
    rows = {"forward in training": forward, "record": recorded, "swap": swapped,
            "clamp": clamped, "attention": attention}  # fmt: skip
    quartiles = {name: [round(q, 3) for q in statistics.quantiles(t)] for name, t in rows.items()}
    ratio = round(statistics.median(recorded) / statistics.median(forward), 3)
    for name, (low, middle, high) in quartiles.items():
        print(f"{name:22} {middle:8.2f} ms ({low:.2f} to {high:.2f})")
    print(f"recording costs {ratio} of a forward in training")
    result = {
        "machine": describe(),
        "sizes": {"T": 500, "B": 8, "I": 64, "H": 64, "edits": "B 1", "attention": "T 2000, B 1"},
        "quartiles_ms": quartiles,
        "record_of_forward": ratio,
    }
    path = ROOT / "benchmarks" / "results" / "tracing.json"
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
