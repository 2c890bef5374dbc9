"""The pictures of a backtest, of the drivers and of the training.

As in `forecast.charts`, every chart takes its width in inches: below 6 it is for a phone. Steps are
rows: time axes count rows, labelled at the starts of months or other periods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from gatewise.forecast.charts import (
    BASELINE,
    INK,
    MODEL,
    QUIET,
    WIDE,
    band,
    finish,
    is_narrow,
    label_rows,
    subplots,
)
from gatewise.forecast.data.codes import read_numbers
from gatewise.forecast.data.spellings import UnreadableError, read_texts
from gatewise.page.time_axis import as_times, period_starts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gatewise.forecast.evaluation.result import Result
    from gatewise.forecast.explain.baseline import BaselinePaths
    from gatewise.forecast.explain.drivers import DriverEffect
    from gatewise.forecast.models.base import Training

_SHOWN_FOLDS = 60  # latest origins whose forecasts are drawn
_POINTS = 60  # means of neighbouring folds beyond that many


def standing_chart(result: Result, width: float = WIDE) -> Figure:
    """Draw how much lower the model's error is than each baseline's, with its 95 % interval."""
    tests = dict(sorted(result.tests.items(), key=lambda item: item[1].difference))
    mine = result.scores["gatewise"]["mase"]
    names = [fill(name, 16 if is_narrow(width) else 40) for name in tests]
    lines = sum(1 + name.count("\n") for name in names)
    figure, axes = subplots(width, 0.9 + 0.36 * len(tests) + 0.1 * (lines - len(tests)))
    axis = axes[0, 0]
    for y, test in enumerate(tests.values()):
        theirs = 100 / (mine - test.difference)  # in percent of the baseline's own error
        shown = [theirs * value for value in (test.low, test.difference, test.high)]
        better, worse = test.p_adjusted < 0.05, test.p_worse_adjusted < 0.05
        colour = MODEL if better else BASELINE if worse else QUIET
        axis.plot([shown[0], shown[2]], [y, y], color=colour, linewidth=2.5, alpha=0.55,
                  solid_capstyle="round")  # fmt: skip
        axis.plot(shown[1], y, color=colour, marker="o", markersize=8)
    axis.axvline(0, color=INK, linewidth=0.8)
    axis.set_yticks(range(len(tests)), names)
    axis.set_ylim(-0.6, len(tests) - 0.4)
    axis.set_xlabel(
        "relative error, %" if is_narrow(width) else "error relative to the baseline, %"
    )
    axis.xaxis.get_major_locator().set_params(nbins=4 if is_narrow(width) else 9)
    for x, side, text in ((0, "left", "← gatewise is better"), (1, "right", "worse →")):
        axis.text(x, 1.02, text, ha=side, va="bottom", fontsize=8, transform=axis.transAxes)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", color=QUIET, alpha=0.25, linewidth=0.6)
    axis.set_axisbelow(True)
    return figure


def windows_chart(result: Result, width: float = WIDE) -> Figure:
    """Draw what was forecast from the latest origins over what came, for the first series.

    On a phone these are the latest third of the origins.
    """
    columns = _columns(result.forecasts)
    names = list(columns)
    time, series = names[names.index("origin") - 1], names[0] if names[1] != "origin" else None
    first = np.ones(len(columns["fold"]), dtype=bool)
    if series is not None:
        first = columns[series] == columns[series][0]
    latest = np.unique(columns["fold"][first])[-_SHOWN_FOLDS:]
    latest = latest[-(len(latest) // 3 + 1) :] if is_narrow(width) else latest
    keep = first & np.isin(columns["fold"], latest)
    rows = {name: values[keep] for name, values in columns.items()}
    label, at = _in_order(rows[time])
    level = max(result.levels)
    figure, axes = subplots(width, 3.6)
    axis = axes[0, 0]
    _, shown = np.unique(at, return_index=True)
    axis.plot(at[shown], rows["actual"][shown], color=INK, linewidth=1.1, label="actual")
    joined = len(np.unique(rows["step"])) == 1  # one row ahead: the windows make one band
    parts = [slice(None)] if joined else [rows["fold"] == fold for fold in latest]
    for part in parts:
        x = at[part]
        named = part is parts[-1]
        band(axis, x, rows[f"lo-{level:g}"][part], rows[f"hi-{level:g}"][part],
             f"{level:g} % interval" if named else None)  # fmt: skip
        axis.plot(x, rows["forecast"][part], color=MODEL, linewidth=1.8,
                  label="forecast (median)" if named else None)  # fmt: skip
    label_rows(axis, label, width)
    axis.set_xlim(0, max(len(label) - 1, 1))
    axis.set_ylabel(_plain(result.target))
    finish(axis, width)
    return figure


def backtest_chart(result: Result, width: float = WIDE) -> Figure:
    """Draw the absolute error of each fold: the model's, the rival's, the best baseline's."""
    figure, axes = subplots(width, 3.2)
    axis = axes[0, 0]
    shown = {"gatewise": MODEL, result.naive: BASELINE}
    if result.best_baseline not in shown:
        shown[result.best_baseline] = QUIET
    groups = np.array_split(np.arange(len(result.folds)), min(len(result.folds), _POINTS))
    at = _place_origins(axis, result, [group[0] for group in groups], width)
    for name, colour in shown.items():
        values = [np.mean([_mae(result.folds[k], name) for k in group]) for group in groups]
        axis.plot(at, values, color=colour, marker="o", markersize=4, label=name)
    unit = f"log of {result.target}" if result.unit == "log" else result.target
    axis.set_ylabel(_plain(f"absolute error, {unit}"))
    axis.set_ylim(bottom=0)
    finish(axis, width)
    return figure


def _place_origins(
    axis: Any, result: Result, which: Sequence[Any], width: float, most: int = 6
) -> NDArray[np.int64]:
    """[K] where origins stand on the x axis, which is labelled: at their times, or counted."""
    starts = [str(fold["start"]) for fold in result.folds]
    times = as_times(starts)
    most = 3 if is_narrow(width) else most
    if times is not None:
        ticks, texts = period_starts(times.min(), times.max(), most)
        if len(texts) > 1:
            axis.set_xticks(ticks.astype(np.int64), texts)
            return times[which].astype(np.int64)
    label_rows(axis, [starts[k] for k in which], width, most)
    return np.arange(len(which))


def _plain(text: str) -> str:
    """Text that matplotlib does not read as mathematics."""
    return text.replace("$", r"\$")


def _mae(fold: Mapping[str, Any], name: str) -> float:
    return fold["mae"].get(name, np.nan)


def coverage_chart(result: Result, width: float = WIDE) -> Figure:
    """Draw coverage over the origins, as forecast and adapted: one panel for each level."""
    count = len(result.adaptive)
    rows = count if is_narrow(width) else 1
    height = 2.2 * rows if rows > 1 else 2.8
    figure, axes = subplots(width, height, rows, count // rows, sharey=True)
    axes = axes.ravel()
    for axis, found in zip(axes, result.adaptive, strict=True):
        many = max(len(found["fold"]) // 8, 1)
        shown = slice(many - 1, None)  # before, the mean is of few
        for key, colour, label in (
            ("covered_before", QUIET, "as forecast"),
            ("covered_after", MODEL, "adapted"),
        ):
            values = _moving_mean(np.array(found[key]), many)
            at = _place_origins(axis, result, found["fold"], width, 3)
            axis.plot(at[shown], 100 * values[shown], color=colour, linewidth=1.8, label=label)
        axis.axhline(found["level"], color=BASELINE, linewidth=1, linestyle="--",
                     label=f"{found['level']:g} %")  # fmt: skip
        axis.set_ylabel("% inside")
        finish(axis, width, 3)
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


def calibration_chart(result: Result, width: float = WIDE) -> Figure:
    """Draw how often actual values fell between the forecast quantiles, or not (PIT)."""
    figure, axes = subplots(width, 2.6)
    axis = axes[0, 0]
    edges = np.array(result.pit["edges"])
    widths = np.diff(edges)
    density = np.array(result.pit["observed"]) / widths
    axis.bar(edges[:-1], density, width=widths, align="edge", color=MODEL, alpha=0.7, linewidth=0)
    axis.axhline(1, color=BASELINE, linewidth=1, linestyle="--", label="calibrated")
    axis.set_xlim(0, 1)
    axis.set_xlabel("forecast probability of a lower value")
    axis.set_ylabel("density")
    finish(axis, width)
    return figure


def drivers_chart(effects: Sequence[DriverEffect], width: float = WIDE) -> Figure:
    """Draw each driver's effect per lag, and its interval at the strongest one."""
    figure, axes = subplots(width, 0.9 + 1.3 * len(effects), len(effects))
    axes = axes[:, 0]
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
        told = f"{effect.name} ({effect.kind}): {effect.sign.replace('-', '−')}"
        axis.set_title(_plain(told), loc="left", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("lag in rows before the forecast")
    figure.supylabel("effect, standard deviations", fontsize=9, color=INK)
    return figure


def training_chart(training: Training, width: float = WIDE) -> Figure:
    """Draw the losses over epochs; the epoch whose weights were kept is marked."""
    figure, axes = subplots(width, 2.6)
    axis = axes[0, 0]
    epochs = [e.epoch for e in training.history]
    axis.plot(epochs, [e.train for e in training.history], color=QUIET, label="training")
    validation = [e.validation for e in training.history]
    if np.isfinite(validation).all():
        axis.plot(epochs, validation, color=MODEL, label="validation (the last rows)")
        axis.axvline(training.best, color=BASELINE, linewidth=1, linestyle="--", label="kept")
    axis.set_xlabel("epoch (0: the untrained network)")
    axis.set_ylabel("loss (a ratio, no unit)")
    finish(axis, width)
    return figure


def _in_order(times: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Each time once, ascending, and the number of each row's; rows go by origin, then by step."""
    if times.dtype.kind in "Mifu":
        read = None if times.dtype.kind == "M" else read_numbers(times)
        found, at = np.unique(times if read is None else read[0], return_inverse=True)
        return found, at
    texts = [str(t) for t in times]  # they have the order of the rows, not of the alphabet
    try:
        return _in_order(read_texts(texts).time)
    except UnreadableError:  # such as days that cannot be told from months
        known = {t: i for i, t in enumerate(dict.fromkeys(texts))}
        return np.array(list(known), dtype=object), np.array([known[t] for t in texts])


def baseline_chart(
    past_time: NDArray[Any],
    past: NDArray[np.float64],
    time: NDArray[Any],
    paths: BaselinePaths,
    target: str,
    width: float = WIDE,
) -> Figure:
    """Draw the baseline's level, slope and season, and the forecast that the networks make of it.

    Args:
        past_time, past: [N] times and values of the latest rows.
        time: [h] times of the forecast rows.
        paths: of the baseline.
        target: name of the target column.
        width: in inches. Default 10.
    """
    figure, axes = subplots(width, 3.8)
    axis = axes[0, 0]
    kept = 2 * len(time) if is_narrow(width) else 4 * len(time)
    past_time, past = past_time[-kept:], past[-kept:]
    n, h = len(past), len(time)
    ahead = np.arange(n, n + h)
    axis.plot(np.arange(n), past, color=INK, linewidth=1.2, label=target)
    for values, colour, style, label in (
        (paths.level, QUIET, ":", "level"),
        (paths.with_slope, QUIET, "--", "level and slope"),
        (paths.with_season, BASELINE, "-", "baseline: level, slope, season"),
        (paths.forecast, MODEL, "-", "forecast: baseline and networks"),
    ):
        axis.plot(ahead, values, color=colour, linestyle=style, linewidth=1.6, label=label)
    label_rows(axis, np.r_[past_time, time], width)
    axis.set_xlim(0, max(n + h - 1, 1))
    axis.set_ylabel(_plain(target))
    finish(axis, width, 5, 1)
    return figure
