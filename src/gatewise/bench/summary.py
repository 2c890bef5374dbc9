"""Ratios and means of a result, for tables and tests. Rows are those of `gatewise.bench.run`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from gatewise.bench.grid import MODES, Mode, Shape
from gatewise.bench.peers.registry import OURS, PEERS

Row = dict[str, Any]

_FIRST: Final[dict[str, str]] = {"streaming": "gatewise-runtime"}
"""Which of ours answers to the peers; elsewhere the module, as PyTorch's users call it."""


def ours(row: Row) -> str | None:
    """Return which of ours is compared: the module, or the runtime when streaming.

    Another of ours stands in where that one was not measured; None if none was.
    """
    preferred = (_FIRST.get(row["mode"], OURS[0]), *OURS)
    return next((name for name in preferred if name in row["times"]), None)


def peers(row: Row) -> dict[str, float]:
    """Return the medians of all that are not ours, in seconds."""
    return {k: v["median"] for k, v in row["times"].items() if k not in OURS}


def best_peer(row: Row) -> str | None:
    """Return the quickest peer, if one was measured."""
    medians = peers(row)
    return min(medians, key=medians.__getitem__) if medians else None


def ratio(row: Row, peer: str | None = None) -> float | None:
    """Return how many times quicker than a peer we are, by medians; None if not measured.

    Args:
        row: of a result.
        peer: default: the quickest.

    >>> times = {"gatewise": {"median": 2.0}, "torch": {"median": 3.0}, "jax": {"median": 5.0}}
    >>> row = {"mode": "inference", "times": times}
    >>> ratio(row), ratio(row, "jax"), ratio(row, "openvino")
    (1.5, 2.5, None)
    """
    us, them = ours(row), peer or best_peer(row)
    if us is None or them not in row["times"]:
        return None
    return row["times"][them]["median"] / row["times"][us]["median"]


def ratios(rows: Iterable[Row], peer: str | None = None) -> list[float]:
    """Return the ratio of every row that has one."""
    return [found for row in rows if (found := ratio(row, peer)) is not None]


def geometric_mean(values: Sequence[float]) -> float:
    """Return the mean of ratios.

    >>> geometric_mean([0.5, 2.0])
    1.0
    """
    return math.exp(sum(map(math.log, values)) / len(values))


def gflops(row: Row) -> float | None:
    """Return our speed in GF/s, by the operations of the matrix products; None for single steps."""
    us = ours(row)
    if us is None or row["mode"] == "streaming":
        return None
    return row["flops"] / row["times"][us]["median"] / 1e9


def peak_fraction(row: Row) -> float | None:
    """Return which part of the peak each of our threads reaches; None if that was not measured."""
    peak, speed = row.get("peak_gflops"), gflops(row)
    return None if peak is None or speed is None else speed / row["threads"] / peak


def groups(result: dict[str, Any]) -> Iterator[tuple[Mode, int, list[Row]]]:
    """Yield mode, threads and rows of each table, in order."""
    for mode in MODES:
        for threads in sorted({row["threads"] for row in result["rows"]}):
            rows = [r for r in result["rows"] if (r["mode"], r["threads"]) == (mode, threads)]
            if rows:
                yield mode, threads, rows


def columns(rows: Iterable[Row]) -> list[str]:
    """Return who was measured in any of the rows, in order."""
    found = {peer for row in rows for peer in row["times"]}
    return [peer for peer in PEERS if peer in found]


def shape(row: Row) -> Shape:
    """Return the shape of a row."""
    return Shape(**row["shape"])


def unit(mode: Mode) -> tuple[str, float]:
    """Return the unit in which times of a mode are shown, and how many there are in a second."""
    return ("µs", 1e6) if mode == "streaming" else ("ms", 1e3)


def digits(value: float | None) -> str:
    """Write a number with three significant digits, never in powers of ten.

    >>> [digits(v) for v in (0.01234, 1.5, 1234.5, None)]
    ['0.0123', '1.50', '1234', '']
    """
    if value is None:
        return ""
    places = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:.{places}f}"
