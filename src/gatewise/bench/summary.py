"""Ratios and means of a result, for tables and tests. Rows are those of `gatewise.bench.run`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from gatewise.bench.grid import MAIN, MODES, Mode, Shape
from gatewise.bench.peers.registry import OURS, PEERS, YARDSTICK

Row = dict[str, Any]

_FIRST: Final[dict[str, str]] = {"streaming": "gatewise-runtime"}
"""Which of ours answers to the peers; elsewhere the module, as PyTorch's users call it."""


def ours(row: Row) -> str | None:
    """Return which of ours is compared: the module, or the runtime when streaming.

    Another of ours stands in where that one was not measured; None if none was.
    """
    return first_of_ours(row["mode"], row["times"])


def first_of_ours(mode: str, names: Iterable[str]) -> str | None:
    """Return which of ours is compared in a mode, if any is among the names."""
    preferred, found = (_FIRST.get(mode, OURS[0]), *OURS), set(names)
    return next((name for name in preferred if name in found), None)


def peers(row: Row) -> dict[str, float]:
    """Return the ratios to all that are not ours, nor the yardstick."""
    found = {peer: ratio(row, peer) for peer in row["times"] if peer not in (*OURS, YARDSTICK)}
    return {peer: value for peer, value in found.items() if value is not None}


def best_peer(row: Row) -> str | None:
    """Return the peer of the smallest ratio, if one was measured."""
    found = peers(row)
    return min(found, key=found.__getitem__) if found else None


def ratio(row: Row, peer: str | None = None) -> float | None:
    """Return how many times quicker than a peer we are; None if not measured.

    That is the median over turns of the ratio of the two that ran back to back; in a row without
    pairs, the ratio of the medians.

    Args:
        row: of a result.
        peer: default: the one of the smallest ratio.

    >>> times = {"gatewise": {"median": 2.0}, "torch": {"median": 3.0}, "jax": {"median": 5.0}}
    >>> row = {"mode": "inference", "times": times}
    >>> ratio(row), ratio(row, "jax"), ratio(row, "openvino")
    (1.5, 2.5, None)
    """
    us, them = ours(row), peer or best_peer(row)
    if us is None or them not in row["times"]:
        return None
    if found := row.get("pairs", {}).get(them):
        return statistics.median(theirs / own for own, theirs in found)
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


def limit_fraction(row: Row) -> float | None:
    """Return which part of the roofline's speed we reach; None if that was not measured."""
    us, least = ours(row), row.get("limit")
    if us is None or least is None:
        return None
    return least["s"] / row["times"][us]["median"]


def groups(result: dict[str, Any]) -> Iterator[tuple[Mode, int, list[Row]]]:
    """Yield mode, threads and rows of each table, in order."""
    for mode in MODES:
        for threads in sorted({row["threads"] for row in result["rows"]}):
            rows = [r for r in result["rows"] if (r["mode"], r["threads"]) == (mode, threads)]
            if rows:
                yield mode, threads, rows


def parts(rows: Iterable[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Yield the rows of the main grid and the others, each with a word for them, if there are any.

    A mode whose shapes are none of the grid's has one part, without a word.
    """
    found: dict[str, list[Row]] = {"grid": [], "extra shapes": []}
    for row in rows:
        found["grid" if shape(row) in MAIN else "extra shapes"].append(row)
    if not found["grid"]:
        yield "", found["extra shapes"]
        return
    yield from ((name, part) for name, part in found.items() if part)


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
