"""The pictures of a report. Steps are rows: time axes count rows, labelled with their times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gatewise.forecast.report.svg import INK

if TYPE_CHECKING:
    from gatewise.forecast.drivers import DriverEffect
    from gatewise.forecast.result import Backtest
    from gatewise.forecast.train import Training

MODEL: Final = "#3b82c4"
BASELINE: Final = "#d97706"
QUIET: Final = "#8b8f97"


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


def backtest_chart(result: Backtest) -> Figure:
    """Draw the absolute error of each fold: the model's, the last value's, the best baseline's."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    axis = figure.subplots()
    folds = np.arange(len(result.folds))
    shown = {"gatewise": MODEL, "last value": BASELINE}
    if result.best_baseline not in shown:
        shown[result.best_baseline] = QUIET
    for name, colour in shown.items():
        values = [fold["mae"][name] for fold in result.folds]
        axis.plot(folds, values, color=colour, marker="o", markersize=4, label=name)
    starts = np.array([str(fold["start"])[:10] for fold in result.folds])
    _label_rows(axis, starts)
    axis.set_ylabel("absolute error" + (" (log)" if result.unit == "log" else ""))
    axis.set_ylim(bottom=0)
    _finish(axis)
    return figure


def calibration_chart(result: Backtest) -> Figure:
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
    axis.plot(epochs, [e.validation for e in training.history], color=MODEL,
              label="validation (the last rows of the training part)")  # fmt: skip
    axis.axvline(training.best, color=BASELINE, linewidth=1, linestyle="--", label="kept")
    axis.set_xlabel("epoch (0 = the untrained, neutral forecast)")
    axis.set_ylabel("pinball loss")
    _finish(axis)
    return figure


def time_labels(time: NDArray[Any]) -> NDArray[np.str_]:
    """Times as short text: dates without a midnight, integers as they are."""
    if time.dtype.kind != "M":
        return time.astype(str)
    days = time.astype("datetime64[D]")
    if (days == time).all():
        return days.astype(str)
    return np.char.replace(time.astype("datetime64[m]").astype(str), "T", " ")


def _label_rows(axis: Any, labels: NDArray[Any]) -> None:
    text = labels if labels.dtype.kind == "U" else time_labels(labels)
    at = np.unique(np.linspace(0, len(text) - 1, min(6, len(text))).astype(int))
    axis.set_xticks(at, [text[k] for k in at])


def _finish(axis: Any) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    above = (0, 1.01)  # where no line of the data can run under it
    axis.legend(loc="lower left", bbox_to_anchor=above, frameon=False, fontsize=8, ncols=6,
                borderaxespad=0, borderpad=0.2)  # fmt: skip
