"""JSON -> a picture: everyone's error over the seasonal naive's, and error against time."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.forecasts.report import seconds
from benchmarks.forecasts.sets import COMPETITIONS, GENERAL
from benchmarks.picture import mark_commit

COLOURS: Final = {
    "gatewise": "#2f9e44",
    "gatewise, joint": "#1864ab",
    "gatewise, pretrained": "#94d82d",
    "seasonal naive": "#868e96",
    "AutoETS": "#edae49",
    "AutoTheta": "#00798c",
    "neuralforecast LSTM": "#d1495b",
}
NAIVE: Final = "seasonal naive"


def draw(result: dict[str, Any], path: Path, source: str) -> None:
    """Draw the picture.

    Args:
        result: as written by `python -m benchmarks.forecasts`.
        path: a PNG file.
        source: kept in the file, to tell what it was drawn from.
    """
    figure = Figure(figsize=(12, 5.6), layout="constrained")
    errors, times = figure.subplots(1, 2)
    _errors(errors, result["rows"])
    _times(times, result)
    found = dict(zip(*reversed(errors.get_legend_handles_labels()), strict=True))
    found |= dict(zip(*reversed(times.get_legend_handles_labels()), strict=True))
    figure.legend(
        found.values(), found.keys(), loc="outside upper center", ncols=len(found), frameon=False
    )
    mark_commit(figure, result)
    figure.savefig(path, dpi=110, facecolor="white", metadata={"Source": source})


def _errors(ax: Axes, rows: list[dict[str, Any]]) -> None:
    """A dot for each forecaster and set."""
    mases = {(row["set"], row["peer"]): row["scores"]["mase"] for row in rows}
    shown = [name for name in (*COMPETITIONS, *GENERAL) if (name, NAIVE) in mases]
    for peer, colour in COLOURS.items():
        found = {
            y: mases[name, peer] / mases[name, NAIVE]
            for y, name in enumerate(shown)
            if (name, peer) in mases
        }
        if found and peer != NAIVE:
            ax.plot(found.values(), found.keys(), "o", color=colour, ms=6, label=peer)
    ax.axvline(1, color=COLOURS[NAIVE], lw=1.5, label=NAIVE)
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_yticks(range(len(shown)), shown)
    ax.set_ylim(len(shown) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("MASE ÷ the seasonal naive's: left is better")
    _finish(ax)


def _times(ax: Axes, result: dict[str, Any]) -> None:
    """Seconds on one core and error, on the set of the neural peer."""
    neural = result.get("neural") or {}
    name = neural.get("set", COMPETITIONS[0])
    for row in result["rows"]:
        if row["set"] == name and row["peer"] in COLOURS:
            ax.plot(
                max(seconds(row), 0.01),
                row["scores"]["mase"],
                "o",
                color=COLOURS[row["peer"]],
                ms=8,
            )
    little = sorted((seconds(row), row["scores"]["mase"]) for row in result.get("little", []))
    if little:
        ax.plot(*zip(*little, strict=True), "o-", color=COLOURS["gatewise"], ms=4)
    points = neural.get("points", [])
    if points:
        times = [point["fit_s"] for point in points]
        errors = [point["scores"]["mase"] for point in points]
        ax.plot(times, errors, "o-", color=COLOURS[neural["peer"]], ms=4, label=neural["peer"])
    ax.set_xscale("log")
    ax.set_xlabel(f"seconds on one core, {name}")
    ax.set_ylabel("MASE")
    _finish(ax)


def _finish(ax: Axes) -> None:
    ax.grid(color="#dddddd", lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
