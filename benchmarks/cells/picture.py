"""JSON -> a picture: what each cell costs, and how many times longer PyTorch takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatewise.bench import summary as s
from gatewise.bench.summary import Row
from gatewise.bench.targets import TARGETS, Target

COLOURS: Final = {"inference": "#00798c", "training": "#d1495b"}
SPEEDUPS: Final = ("#d1495b", "#edae49", "#8d6cab")
MISSED: Final = "#f6dfdf"
"""Behind what misses a target."""

_LABELS: Final = {
    "eager PyTorch loop ÷ ours, training": "eager loop",
    "fastest eager loop we could write ÷ ours, training": "fastest eager loop",
    "`torch.compile` of a loop ÷ ours, training": "torch.compile",
}


def draw(result: dict[str, Any], path: Path, source: str) -> None:
    """Draw the picture.

    Args:
        result: of `gatewise.bench.run` on `variants()`.
        path: a PNG file.
        source: kept in the file, to tell what it was drawn from.
    """
    threads = sorted({row["threads"] for row in result["rows"]})
    figure = Figure(figsize=(12, 1.0 + 4.2 * len(threads)), layout="constrained")
    grid = figure.subplots(len(threads), len(_PANELS), squeeze=False)
    for axes, count in zip(grid, threads, strict=True):
        rows = [row for row in result["rows"] if row["threads"] == count]
        for ax, (title, panel) in zip(axes, _PANELS.items(), strict=True):
            panel(ax, rows)
            ax.set_title(f"{title}, {count} thread{'s' * (count > 1)}", fontsize=10)
    for ax in grid[0]:
        ax.legend(
            loc="lower center", bbox_to_anchor=(0.5, 1.06), ncols=3, fontsize=9, frameon=False,
            columnspacing=1, handletextpad=0.2,
        )  # fmt: skip
    figure.savefig(path, dpi=110, facecolor="white", metadata={"Source": source})


def _costs(ax: Axes, rows: list[Row]) -> None:
    """A dot for each cell: its time over the default cell's."""
    targets = [target for target in TARGETS if target.kind == "cell" and target.at_most]
    shapes = _shapes([row for target in targets for row in target.rows(rows)])
    for k, target in enumerate(targets):
        found = target.rows(rows)
        y = [shapes.index(s.shape(row)) + 0.3 * k - 0.15 for row in found]
        colour = COLOURS[target.mode]
        ax.plot(list(map(target.figure, found)), y, "o", color=colour, ms=3.5, label=target.mode)
    highest = max(
        (target.figure(r) or 1 for target in targets for r in target.rows(rows)), default=1
    )
    limits = (0.8, max(1.4, 1.1 * highest))
    ax.axvspan(1.15, limits[1], color=MISSED, zorder=0)
    _finish(ax, shapes, limits, {0.9: "0.9", 1: "1", 1.15: "1.15", 1.3: "1.3", 2: "2", 8: "8"})


def _loops(ax: Axes, rows: list[Row]) -> None:
    """The span of all cells and its slowest; a bar where the target is."""
    targets = [target for target in TARGETS if target.title in _LABELS]
    _speedups(ax, rows, targets, [_LABELS[target.title] for target in targets])


def _ragged(ax: Axes, rows: list[Row]) -> None:
    targets = [target for target in TARGETS if target.kind == "ragged" and not target.at_most]
    _speedups(ax, rows, targets, ["packed path"])


def _speedups(ax: Axes, rows: list[Row], targets: list[Target], labels: list[str]) -> None:
    shapes = _shapes([row for target in targets for row in target.rows(rows)])
    lowest_of_all, highest = 0.55, 2.0
    for k, (target, label) in enumerate(zip(targets, labels, strict=True)):
        colour = SPEEDUPS[k]
        lowest: dict[float, float] = {}
        for line, shape in enumerate(shapes):
            y = line + 0.24 * (k - (len(targets) - 1) / 2)
            found = [row for row in target.rows(rows) if s.shape(row) == shape]
            values = [value for row in found if (value := target.figure(row)) is not None]
            if not values:
                continue
            lowest[y] = min(values)
            lowest_of_all, highest = min(lowest_of_all, *values), max(highest, *values)
            ax.hlines(y, min(values), max(values), color=colour, lw=3, alpha=0.35)
            ax.vlines(target.bound(shape), line - 0.35, line + 0.35, color=colour, lw=1.5)
        ax.plot(lowest.values(), lowest.keys(), "o", color=colour, ms=5, label=label)
    limits = (0.9 * lowest_of_all, 1.1 * highest)
    ax.axvspan(limits[0], 1, color=MISSED, zorder=0)
    ax.axvline(1, color="black", lw=1)
    ticks = {0.25: "¼", 0.5: "½", 1: "1", 2: "2", 4: "4", 8: "8", 16: "16", 32: "32", 64: "64"}
    _finish(ax, shapes, limits, ticks)


def _finish(
    ax: Axes, shapes: list[s.Shape], limits: tuple[float, float], ticks: dict[float, str]
) -> None:
    ax.set_xscale("log")
    ax.set_xlim(limits)
    inside = {tick: text for tick, text in ticks.items() if limits[0] <= tick <= limits[1]}
    ax.set_xticks(list(inside), list(inside.values()))
    ax.minorticks_off()
    ax.set_ylim(len(shapes) - 0.4, -0.6)
    ax.set_yticks(range(len(shapes)), [f"B {shape.B}, H {shape.H}" for shape in shapes])
    ax.tick_params(axis="y", length=0, labelsize=8)
    ax.grid(axis="x", color="#dddddd", lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)


def _shapes(rows: list[Row]) -> list[s.Shape]:
    return sorted(dict.fromkeys(map(s.shape, rows)), key=lambda shape: (shape.B, shape.H))


_PANELS: Final[dict[str, Callable[[Axes, list[Row]], None]]] = {
    "a cell's time ÷ the default cell's": _costs,
    "PyTorch's time ÷ ours, training": _loops,
    "the same, ragged": _ragged,
}
