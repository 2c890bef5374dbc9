"""What other cells, ragged batches and float64 are to reach, and whether a result reaches it.

Rows are those of `gatewise.bench.run` on `gatewise.bench.variants`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from gatewise.bench import summary
from gatewise.bench.grid import Mode, Shape
from gatewise.bench.peers import YARDSTICK
from gatewise.bench.summary import Row

Kind = Literal["cell", "ragged", "dtype"]
"""What is not plain in a row."""

Figure = Callable[[Row], float | None]
"""A number of a row; None if it was not measured."""


@dataclass(frozen=True)
class Target:
    """A figure of some rows, and the bound that it is to keep.

    Attributes:
        title: what is compared with what.
        kind, mode: which rows.
        figure: what is bounded.
        bound: for each shape.
        at_most: whether the figure is to be at most the bound; else at least.
    """

    title: str
    kind: Kind
    mode: Mode
    figure: Figure
    bound: Callable[[Shape], float]
    at_most: bool = False

    def rows(self, rows: Iterable[Row]) -> list[Row]:
        """Return those that the target speaks of and that have the figure."""
        found = [row for row in rows if (kind(row), row["mode"]) == (self.kind, self.mode)]
        return [row for row in found if self.figure(row) is not None]

    def holds(self, row: Row) -> bool:
        """Whether a row keeps the bound; only for one of `rows`."""
        return self.margin(row) >= 1

    def margin(self, row: Row) -> float:
        """Return how many times better than the bound a row is; only for one of `rows`."""
        value, bound = self.figure(row), self.bound(summary.shape(row))
        if value is None:
            raise ValueError(f"no figure of {self.title!r} in {row}: expected one of rows().")
        return bound / value if self.at_most else value / bound

    def worst(self, rows: Iterable[Row]) -> Row | None:
        """Return the row of the smallest margin, if the target speaks of any."""
        return min(self.rows(rows), key=self.margin, default=None)


def kind(row: Row) -> Kind:
    """Return what is not plain in a row.

    >>> kind({"cell": "relu"}), kind({"steps": 43}), kind({"dtype": "float64"})
    ('cell', 'ragged', 'dtype')
    """
    return "cell" if "cell" in row else "ragged" if "steps" in row else "dtype"


def cost(row: Row) -> float | None:
    """Return our time per valid step, relative to ours on the plain case; None if not measured.

    >>> pairs = {"gatewise-plain": [[3.0, 4.0]]}
    >>> row = {"mode": "training", "shape": {"B": 2, "T": 10, "I": 1, "H": 1}, "steps": 15}
    >>> cost(row | {"times": {"gatewise": {}, "gatewise-plain": {}}, "pairs": pairs})
    1.0
    """
    ratio, shape = summary.ratio(row, YARDSTICK), summary.shape(row)
    steps = shape.B * shape.T
    return None if ratio is None else steps / row.get("steps", steps) / ratio


def speedup(peer: str) -> Figure:
    """Return the figure: how many times quicker than a peer we are."""
    return lambda row: summary.ratio(row, peer)


def _always(bound: float) -> Callable[[Shape], float]:
    return lambda _: bound


def _within(H: int, B: int, inside: float, outside: float) -> Callable[[Shape], float]:
    return lambda shape: inside if shape.H <= H and shape.B <= B else outside


TARGETS: Final = (
    Target("cell ÷ default cell, inference", "cell", "inference", cost, _always(1.15), True),
    Target("cell ÷ default cell, training", "cell", "training", cost, _always(1.15), True),
    Target(
        "eager PyTorch loop ÷ ours, training",
        "cell",
        "training",
        speedup("torch-loop"),
        _within(64, 32, inside=8.0, outside=1.5),
    ),
    Target(
        "fastest eager loop we could write ÷ ours, inference",
        "cell",
        "inference",
        speedup("torch-tuned-loop"),
        _always(1.0),
    ),
    Target(
        "fastest eager loop we could write ÷ ours, training",
        "cell",
        "training",
        speedup("torch-tuned-loop"),
        _always(1.0),
    ),
    Target(
        "`torch.compile` of a loop ÷ ours, training",
        "cell",
        "training",
        speedup("torch-compiled"),
        _always(1.0),
    ),
    Target(
        "PyTorch's packed path ÷ ours, ragged training",
        "ragged",
        "training",
        speedup("torch"),
        _within(128, 32, inside=4.0, outside=1.5),
    ),
    Target(
        "ragged ÷ dense, time per valid step, training",
        "ragged",
        "training",
        cost,
        _always(1.15),
        True,
    ),
    Target(
        "`torch.nn.LSTM` ÷ ours, float64 training",
        "dtype",
        "training",
        speedup("torch"),
        _always(2.5),
    ),
)
"""The acceptance of cells, ragged batches and float64."""


def verdicts(result: dict[str, Any]) -> list[tuple[Target, int, list[Row]]]:
    """Return each target with a number of threads and the rows it speaks of, if there are any."""
    counts = sorted({row["threads"] for row in result["rows"]})
    found = [
        (target, threads, [row for row in target.rows(result["rows"]) if row["threads"] == threads])
        for target in TARGETS
        for threads in counts
    ]
    return [verdict for verdict in found if verdict[2]]
