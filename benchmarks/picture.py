"""JSON -> a picture: how many times longer than ours each peer takes, shape by shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatewise.bench import summary as s

WAYS: Final = {
    "torch, its fastest way": ("#d1495b", ("torch", "torch-no-mkldnn", "torch-lstmcell")),
    "onnxruntime": ("#edae49", ("onnxruntime",)),
    "openvino": ("#00798c", ("openvino",)),
    "jax": ("#8d6cab", ("jax",)),
}
"""What is drawn: colours, and the peers of which the fastest counts."""

PANELS: Final = (("inference", "streaming"), ("training", "training-step"))
"""Modes of a column of panels, one below the other."""

_TICKS: Final = {0.25: "¼", 0.5: "½", 1: "1", 2: "2", 4: "4", 8: "8", 16: "16", 32: "32"}


def draw(result: dict[str, Any], path: Path, source: str) -> None:
    """Draw the picture.

    Args:
        result: of `gatewise.bench.run`.
        path: a PNG file.
        source: kept in the file, to tell what it was drawn from.
    """
    threads = sorted({row["threads"] for row in result["rows"]})
    drawn = [r for row in result["rows"] for name in WAYS if (r := _ratio(row, name)) is not None]
    limits = (min(0.7, 0.9 * min(drawn)), 1.1 * max(drawn))
    figure = Figure(figsize=(12, 7.2), layout="constrained")
    axes = figure.subplots(1, len(PANELS) * len(threads), squeeze=False)[0]
    for k, modes in enumerate(PANELS):
        for j, count in enumerate(threads):
            rows = [
                row for m in modes for row in result["rows"]
                if (row["mode"], row["threads"]) == (m, count)
            ]  # fmt: skip
            ax = axes[k * len(threads) + j]
            _panel(ax, rows, limits, labelled=j == 0)
            ax.set_title(f"{modes[0]}, {count} thread{'s' * (count > 1)}", fontsize=10)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(names), frameon=False)
    figure.supxlabel("peer's time ÷ gatewise's: right of 1, gatewise is faster", fontsize=10)
    mark_commit(figure, result)
    figure.savefig(path, dpi=110, facecolor="white", metadata={"Source": source})


def mark_commit(figure: Figure, result: dict[str, Any]) -> None:
    """Write the commit that was measured into a corner."""
    if told := result["machine"].get("commit"):
        figure.text(
            0.995, 0.005, f"commit {told}", ha="right", va="bottom", fontsize=7, color="#666"
        )


def _panel(ax: Axes, rows: list[s.Row], limits: tuple[float, float], labelled: bool) -> None:
    ax.axvspan(limits[0], 1, color="#f6dfdf", zorder=0)
    ax.axvline(1, color="black", linewidth=1)
    for y, row in enumerate(rows):
        best = s.ratio(row) or 1
        colour = "#2f9e44" if best >= 1 else "#c92a2a"
        ax.hlines(y, *sorted((1, best)), color=colour, linewidth=4, alpha=0.5)
    for name, (colour, _) in WAYS.items():
        found = {y: value for y, row in enumerate(rows) if (value := _ratio(row, name))}
        ax.plot(found.values(), found.keys(), "o", color=colour, markersize=5, label=name)
    ax.set_xscale("log")
    ax.set_xlim(limits)
    inside = {tick: text for tick, text in _TICKS.items() if limits[0] <= tick <= limits[1]}
    ax.set_xticks(list(inside), list(inside.values()))
    ax.minorticks_off()
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_yticks(range(len(rows)), [_label(row) for row in rows] if labelled else [""] * len(rows))
    ax.tick_params(axis="y", length=0, labelsize=8)
    ax.grid(axis="x", color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)


def _ratio(row: s.Row, name: str) -> float | None:
    """The ratio of the fastest of a name's peers, if any was measured."""
    return min(
        (found for peer in WAYS[name][1] if (found := s.ratio(row, peer)) is not None),
        default=None,
    )


def _label(row: s.Row) -> str:
    shape = s.shape(row)
    if row["mode"] == "streaming":
        return f"a step, {shape.I}x{shape.H}"
    return f"whole step, {shape.name}" if row["mode"] == "training-step" else shape.name
