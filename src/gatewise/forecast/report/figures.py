"""The pictures of a report. Steps are rows: time axes count rows, labelled with their times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import narwhals as nw
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gatewise.forecast.data.timestamps import time_labels
from gatewise.page.svg import INK

if TYPE_CHECKING:
    from gatewise.forecast.evaluation.result import Result
    from gatewise.forecast.explain.drivers import DriverEffect
    from gatewise.forecast.models.base import Training

MODEL: Final = "#3b82c4"
BASELINE: Final = "#d97706"
QUIET: Final = "#8b8f97"

_SHOWN_FOLDS = 60  # latest origins whose forecasts are drawn
_POINTS = 60  # means of neighbouring folds beyond that many


def fan_chart(
    past_time: NDArray[Any],
    past: NDArray[np.float64],
    time: NDArray[Any],
    forecast: Mapping[str, NDArray[np.float64]],
    levels: Sequence[float],
    target: str,
) -> Figure:
    """Draw the latest rows, the forecast with its intervals, and the last value as a line.

    Args:
        past_time, past: [N] times and values of the latest rows.
        time: [h] times of the forecast rows.
        forecast: columns "forecast", "lo-80", "hi-80", ... of [h] values.
        levels: of the intervals, in percent.
        target: name of the target column.
    """
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    axis = figure.subplots()
    n, h = len(past), len(time)
    ahead = np.arange(n, n + h)
    joined = np.r_[n - 1, ahead]
    seen = past[np.isfinite(past)]
    last = seen[-1] if len(seen) else np.nan
    axis.plot(np.arange(n), past, color=INK, linewidth=1.2, label=target)
    axis.axhline(last, color=BASELINE, linewidth=1, linestyle="--", label="last value")
    for k, level in enumerate(sorted(levels, reverse=True)):
        axis.fill_between(
            joined,
            np.r_[last, forecast[f"lo-{level:g}"]],
            np.r_[last, forecast[f"hi-{level:g}"]],
            color=MODEL,
            alpha=min(0.15 * (k + 1), 0.6),
            linewidth=0,
            label=f"{level:g} % interval",
        )
    axis.plot(joined, np.r_[last, forecast["forecast"]], color=MODEL, linewidth=1.8,
              label="forecast (median)")  # fmt: skip
    _label_rows(axis, np.r_[past_time, time])
    axis.set_xlim(0, n + h - 1)
    _finish(axis)
    return figure


def standing_chart(result: Result) -> Figure:
    """Draw how much lower the model's error is than each baseline's, with its 95 % interval."""
    tests = dict(sorted(result.tests.items(), key=lambda item: item[1].difference))
    mine = result.scores["gatewise"]["mase"]
    figure = Figure(figsize=(10, 0.9 + 0.36 * len(tests)), layout="constrained")
    axis = figure.subplots()
    for y, test in enumerate(tests.values()):
        theirs = 100 / (mine - test.difference)  # in percent of the baseline's own error
        shown = [theirs * value for value in (test.low, test.difference, test.high)]
        better, worse = test.p_adjusted < 0.05, test.p_worse_adjusted < 0.05
        colour = MODEL if better else BASELINE if worse else QUIET
        axis.plot([shown[0], shown[2]], [y, y], color=colour, linewidth=2.5, alpha=0.55,
                  solid_capstyle="round")  # fmt: skip
        axis.plot(shown[1], y, color=colour, marker="o", markersize=8)
    axis.axvline(0, color=INK, linewidth=0.8)
    axis.set_yticks(range(len(tests)), list(tests))
    axis.set_ylim(-0.6, len(tests) - 0.4)
    axis.set_xlabel("absolute error beside the baseline's, %")
    for x, side, text in ((0, "left", "← gatewise is better"), (1, "right", "gatewise is worse →")):
        axis.text(x, 1.02, text, ha=side, va="bottom", fontsize=8, transform=axis.transAxes)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", color=QUIET, alpha=0.25, linewidth=0.6)
    axis.set_axisbelow(True)
    return figure


def windows_chart(result: Result) -> Figure:
    """Draw what was forecast from the latest origins over what came, for the first series."""
    columns = _columns(result.forecasts)
    names = list(columns)
    time, series = names[names.index("origin") - 1], names[0] if names[1] != "origin" else None
    first = np.ones(len(columns["fold"]), dtype=bool)
    if series is not None:
        first = columns[series] == columns[series][0]
    latest = np.unique(columns["fold"][first])[-_SHOWN_FOLDS:]
    keep = first & np.isin(columns["fold"], latest)
    rows = {name: values[keep] for name, values in columns.items()}
    label, at = _in_order(rows[time])
    level = max(result.levels)
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    axis = figure.subplots()
    _, shown = np.unique(at, return_index=True)
    axis.plot(at[shown], rows["actual"][shown], color=INK, linewidth=1.1, label="what came")
    joined = len(np.unique(rows["step"])) == 1  # one row ahead: the windows make one band
    parts = [slice(None)] if joined else [rows["fold"] == fold for fold in latest]
    for part in parts:
        x = at[part]
        named = part is parts[-1]
        axis.fill_between(
            x, rows[f"lo-{level:g}"][part], rows[f"hi-{level:g}"][part], color=MODEL, alpha=0.25,
            linewidth=0, label=f"{level:g} % interval" if named else None,
        )  # fmt: skip
        axis.plot(x, rows["forecast"][part], color=MODEL, linewidth=1.8,
                  label="forecast (median)" if named else None)  # fmt: skip
    _label_rows(
        axis, label.astype("datetime64[us]") if label.dtype.kind == "M" else label.astype(str)
    )
    axis.set_xlim(0, max(len(label) - 1, 1))
    _finish(axis)
    return figure


def backtest_chart(result: Result) -> Figure:
    """Draw the absolute error of each fold: the model's, the naive one's, the best baseline's."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    axis = figure.subplots()
    shown = {"gatewise": MODEL, result.naive: BASELINE}
    if result.best_baseline not in shown:
        shown[result.best_baseline] = QUIET
    starts = np.array([str(fold["start"])[:10] for fold in result.folds])
    groups = np.array_split(np.arange(len(result.folds)), min(len(result.folds), _POINTS))
    for name, colour in shown.items():
        values = [np.mean([_mae(result.folds[k], name) for k in group]) for group in groups]
        axis.plot(range(len(groups)), values, color=colour, marker="o", markersize=4, label=name)
    _label_rows(axis, starts[[group[0] for group in groups]])
    axis.set_ylabel("absolute error" + (" (log)" if result.unit == "log" else ""))
    axis.set_ylim(bottom=0)
    _finish(axis)
    return figure


def _mae(fold: Mapping[str, Any], name: str) -> float:
    return fold["mae"].get(name, np.nan)


def coverage_chart(result: Result) -> Figure:
    """Draw coverage over the origins, as forecast and adapted: one panel for each level."""
    figure = Figure(figsize=(10, 2.8), layout="constrained")
    axes = figure.subplots(1, len(result.adaptive), squeeze=False, sharey=True)[0]
    starts = np.array([str(fold["start"])[:10] for fold in result.folds])
    for axis, found in zip(axes, result.adaptive, strict=True):
        many = max(len(found["fold"]) // 8, 1)
        shown = slice(many - 1, None)  # before, the mean is of few
        for key, colour, label in (
            ("covered_before", QUIET, "as forecast"),
            ("covered_after", MODEL, "adapted"),
        ):
            values = _moving_mean(np.array(found[key]), many)
            axis.plot(found["fold"][shown], 100 * values[shown], color=colour, linewidth=1.8,
                      label=label)  # fmt: skip
        axis.axhline(found["level"], color=BASELINE, linewidth=1, linestyle="--",
                     label=f"{found['level']:g} %")  # fmt: skip
        _label_rows(axis, starts, 4)
        _finish(axis)
    axes[0].set_ylabel("% inside")
    axes[0].set_ylim(top=101)
    return figure


def _moving_mean(values: NDArray[np.float64], many: int) -> NDArray[np.float64]:
    """Mean of the latest `many` values; of as many as there are at the start."""
    total = np.cumsum(np.r_[0.0, values])
    stop = np.arange(1, len(values) + 1)
    start = np.maximum(stop - many, 0)
    return (total[stop] - total[start]) / (stop - start)


def _columns(table: Any) -> dict[str, NDArray[Any]]:
    frame = nw.from_native(table, eager_only=True)
    return {name: frame[name].to_numpy() for name in frame.columns}


def calibration_chart(result: Result) -> Figure:
    """Draw how often actual values fell between the forecast quantiles, or not (PIT)."""
    figure = Figure(figsize=(10, 2.6), layout="constrained")
    axis = figure.subplots()
    edges = np.array(result.pit["edges"])
    width = np.diff(edges)
    density = np.array(result.pit["observed"]) / width
    axis.bar(edges[:-1], density, width=width, align="edge", color=MODEL, alpha=0.7, linewidth=0)
    axis.axhline(1, color=BASELINE, linewidth=1, linestyle="--", label="calibrated")
    axis.set_xlim(0, 1)
    axis.set_xlabel("probability that the forecast gave to values below the actual one")
    axis.set_ylabel("density")
    _finish(axis)
    return figure


def drivers_chart(effects: Sequence[DriverEffect]) -> Figure:
    """Draw each driver's effect per lag, and its interval at the strongest one."""
    figure = Figure(figsize=(10, 0.9 + 1.3 * len(effects)), layout="constrained")
    axes = figure.subplots(len(effects), 1, squeeze=False)[:, 0]
    limit = max((abs(v) for e in effects for v in (*e.profile, e.low, e.high)), default=0) * 1.15
    for axis, effect in zip(axes, effects, strict=True):
        lags = [effect.lag] if effect.kind == "future" else range(1, len(effect.profile) + 1)
        axis.bar(list(lags), effect.profile, color=MODEL, alpha=0.45, width=0.6)
        axis.errorbar(
            [effect.lag],
            [effect.effect],
            yerr=[[max(effect.effect - effect.low, 0)], [max(effect.high - effect.effect, 0)]],
            color=BASELINE,
            marker="o",
            markersize=5,
            capsize=4,
        )
        axis.axhline(0, color=INK, linewidth=0.6)
        axis.set_ylim(-limit or -1, limit or 1)
        axis.set_title(f"{effect.name} ({effect.kind}): {effect.sign}", loc="left", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("lag in rows (1 = the last row before the forecast)")
    return figure


def training_chart(training: Training) -> Figure:
    """Draw the losses over epochs; the epoch whose weights were kept is marked."""
    figure = Figure(figsize=(10, 2.6), layout="constrained")
    axis = figure.subplots()
    epochs = [e.epoch for e in training.history]
    axis.plot(epochs, [e.train for e in training.history], color=QUIET, label="training")
    validation = [e.validation for e in training.history]
    if np.isfinite(validation).all():
        axis.plot(epochs, validation, color=MODEL,
                  label="validation (the last rows of the training part)")  # fmt: skip
        axis.axvline(training.best, color=BASELINE, linewidth=1, linestyle="--", label="kept")
    axis.set_xlabel("epoch (0 = the untrained, neutral forecast)")
    axis.set_ylabel("loss")
    _finish(axis)
    return figure


def _in_order(times: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Each time once, ascending, and the number of each row's; rows go by origin, then by step."""
    if times.dtype.kind != "O":
        found, at = np.unique(times, return_inverse=True)
        return found, at
    known = {t: i for i, t in enumerate(dict.fromkeys(times.tolist()))}  # text has its own order
    return np.array(list(known), dtype=object), np.array([known[t] for t in times.tolist()])


def _label_rows(axis: Any, labels: NDArray[Any], most: int = 6) -> None:
    text = labels if labels.dtype.kind == "U" else time_labels(labels)
    at = np.unique(np.linspace(0, len(text) - 1, min(most, len(text))).astype(int))
    axis.set_xticks(at, [text[k] for k in at])


def _finish(axis: Any) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    above = (0, 1.01)  # where no line of the data can run under it
    axis.legend(loc="lower left", bbox_to_anchor=above, frameon=False, fontsize=8, ncols=6,
                borderaxespad=0, borderpad=0.2)  # fmt: skip
