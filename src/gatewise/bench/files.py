"""A result as JSON text that reads well in a diff: one row on one line."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from gatewise.bench.grid import Shape


def to_json(result: dict[str, Any]) -> str:
    """Write a result as JSON.

    >>> print(to_json({"date": "2026-01-01", "rows": [{"threads": 1}, {"threads": 2}]}), end="")
    {
     "date": "2026-01-01",
     "rows": [
      {"threads":1},
      {"threads":2}
     ]
    }
    """
    lines = []
    for key, value in result.items():
        text = json.dumps(value)
        if isinstance(value, list) and value:
            items = (json.dumps(item, separators=(",", ":")) for item in value)
            text = "[\n  " + ",\n  ".join(items) + "\n ]"
        lines.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def shortened(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result whose rows take a third of the room, for one of many rows.

    Shapes are their names, times are in µs; the quartiles over all samples, the operations and the
    peak are left out, the medians of each turn are kept.

    >>> shape = {"B": 1, "T": 100, "I": 32, "H": 32, "layers": 1, "bidirectional": False}
    >>> row = {"shape": shape, "times": {"torch": {"median": 8.671e-05}}, "flops": 1638400.0}
    >>> short = shortened({"rows": [row | {"pairs": {"torch": [[8.7e-05, 0.003]]}}]})
    >>> short["rows"][0]
    {'shape': '1x100x32x32', 'median_us': {'torch': 86.71}, 'pairs_us': {'torch': [[87, 3000]]}}
    """
    return {**result, "rows": [_short(row) for row in result["rows"]]}


def restored(result: dict[str, Any]) -> dict[str, Any]:
    """Return a shortened result as rows are used, less what was left out.

    >>> row = {"shape": "1x9x3x2", "median_us": {"torch": 86.71}, "pairs_us": {"torch": [[87, 30]]}}
    >>> found = restored({"rows": [row]})["rows"][0]
    >>> found["times"], found["pairs"], found["shape"]["H"]
    ({'torch': {'median': 8.671e-05}}, {'torch': [[8.7e-05, 3e-05]]}, 2)
    """
    return {**result, "rows": [_long(row) for row in result["rows"]]}


def _short(row: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in row.items() if k not in ("times", "pairs", "flops", "peak_gflops")}
    return {
        **kept,
        "shape": Shape(**row["shape"]).name,
        "median_us": {peer: _us(found["median"]) for peer, found in row["times"].items()},
        "pairs_us": {
            peer: [[_us(ours), _us(theirs)] for ours, theirs in found]
            for peer, found in row["pairs"].items()
        },
    }


def _long(row: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in row.items() if k not in ("median_us", "pairs_us")}
    return {
        **kept,
        "shape": asdict(Shape.parse(row["shape"])),
        "times": {peer: {"median": _seconds(found)} for peer, found in row["median_us"].items()},
        "pairs": {
            peer: [[_seconds(ours), _seconds(theirs)] for ours, theirs in found]
            for peer, found in row["pairs_us"].items()
        },
    }


def _us(seconds: float) -> float:
    """To four digits, as times are kept."""
    us = float(f"{seconds * 1e6:.4g}")
    return int(us) if us.is_integer() else us


def _seconds(us: float) -> float:
    return float(f"{us / 1e6:.4g}")
