"""Charts of plain arrays, which forecasters, backtests, searches and reports share.

Every chart takes its width in inches: below 6, for phones, it has fewer labels and is higher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import MissingExtraError
from gatewise.page.time_axis import row_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK: Final = "#010203"
"""What pages draw in their own text colour (`gatewise.page.svg.INK`), light or dark."""

MODEL: Final = "#3b82c4"
BASELINE: Final = "#d97706"
QUIET: Final = "#8b8f97"

WIDE: Final = 10.0
_PHONE: Final = 6.0


def is_narrow(width: float) -> bool:
    """Whether a chart of this width in inches is for a phone."""
    return width < _PHONE


def subplots(
    width: float, height: float, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Figure, Any]:
    """Return a figure and its axes [rows, columns].

    Args:
        width: in inches.
        height: in inches, of the wide figure; narrow ones are not as flat.
        rows, columns: of axes.
        **options: of `Figure.subplots`.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("Plotting", "trace") from None
    if is_narrow(width):
        height = max(height, 0.8 * width) if rows == 1 else height
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def fan_chart(
    past_time: NDArray[Any],
    past: NDArray[np.float64],
    time: NDArray[Any],
    forecast: Mapping[str, NDArray[np.float64]],
    levels: Sequence[float],
    target: str,
    width: float = WIDE,
) -> Figure:
    """Draw the latest rows, the forecast with its intervals, and the last value as a line.

    Args:
        past_time, past: [N] times and values of the latest rows.
        time: [h] times of the forecast rows.
        forecast: columns "forecast", "lo-80", "hi-80", ... of [h] values.
        levels: of the intervals, in percent.
        target: name of the target column.
        width: in inches. Default 10.
    """
    figure, axes = subplots(width, 3.8)
    axis = axes[0, 0]
    if is_narrow(width):  # a phone shows less of the past, or the forecast would be a sliver
        kept = max(4 * len(time), 24)
        past_time, past = past_time[-kept:], past[-kept:]
    n, h = len(past), len(time)
    joined = np.r_[n - 1, np.arange(n, n + h)]
    seen = past[np.isfinite(past)]
    last = seen[-1] if len(seen) else np.nan
    axis.plot(np.arange(n), past, color=INK, linewidth=1.2, label=target)
    axis.axhline(last, color=BASELINE, linewidth=1, linestyle="--", label="last value")
    for k, level in enumerate(sorted(levels, reverse=True)):
        low, high = (np.r_[last, forecast[f"{side}-{level:g}"]] for side in ("lo", "hi"))
        band(axis, joined, low, high, f"{level:g} % interval", alpha=min(0.2 + 0.15 * k, 0.6))
    axis.plot(joined, np.r_[last, forecast["forecast"]], color=MODEL, linewidth=1.8,
              label="forecast (median)")  # fmt: skip
    label_rows(axis, np.r_[past_time, time], width)
    axis.set_xlim(0, max(n + h - 1, 1))
    axis.set_ylabel(target.replace("$", r"\$"))
    finish(axis, width)
    return figure


def band(
    axis: Any,
    x: NDArray[Any],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    label: str | None,
    alpha: float = 0.25,
) -> None:
    """Draw an interval as an area whose edges are lines: the area alone is hard to see in the dark.

    Args:
        axis: of matplotlib.
        x, low, high: [N].
        label: for the legend; None for none.
        alpha: of the area, 0 to 1.
    """
    axis.fill_between(x, low, high, color=MODEL, alpha=alpha, linewidth=0, label=label)
    for edge in (low, high):
        axis.plot(x, edge, color=MODEL, linewidth=0.7, alpha=0.9, label="_")


def trials_chart(
    scores: NDArray[np.float64], complete: NDArray[np.bool_], width: float = WIDE
) -> Figure:
    """Draw the loss of each trial of a search, the best so far, and the default's.

    Args:
        scores: [N] of the trials in order, the default first; NaN for those that failed.
        complete: [N] whether all folds of the trial were run.
        width: in inches. Default 10.
    """
    figure, axes = subplots(width, 3.2)
    axis = axes[0, 0]
    number = np.arange(len(scores))
    seen = np.where(complete & np.isfinite(scores), scores, np.inf)
    best = np.minimum.accumulate(np.minimum(seen, scores[0]))
    axis.axhline(scores[0], color=BASELINE, linewidth=1, linestyle="--", label="default")
    axis.plot(number, best, color=MODEL, linewidth=1.6, drawstyle="steps-post", label="best so far")
    for chosen, marker, label in ((complete, "o", "trial"), (~complete, "x", "stopped early")):
        if chosen.any():
            axis.plot(number[chosen], scores[chosen], linestyle="none", marker=marker, color=QUIET,
                      markersize=5, label=label)  # fmt: skip
    axis.set_xlabel("trial (0 is the default)")
    axis.set_ylabel("quantile loss, in naive errors")
    axis.xaxis.get_major_locator().set_params(integer=True)
    finish(axis, width)
    return figure


def label_rows(axis: Any, labels: Any, width: float = WIDE, most: int = 6) -> None:
    """Label an axis that counts rows, at the starts of months or other periods.

    Args:
        axis: of matplotlib.
        labels: [N] times, numbers or text of the rows.
        width: of the figure in inches.
        most: labels at most, half of it on phones.
    """
    at, texts = row_ticks(labels, most // 2 if is_narrow(width) else most)
    axis.set_xticks(at, texts)


def finish(axis: Any, width: float = WIDE, columns: int = 6, narrow_columns: int = 2) -> None:
    """Take away the frame, and put the legend above, where no line runs under it.

    Args:
        axis: of matplotlib.
        width: of the figure in inches.
        columns, narrow_columns: of the legend, on screens and on phones.
    """
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1.01), frameon=False, fontsize=8,
                ncols=narrow_columns if is_narrow(width) else columns, borderaxespad=0,
                borderpad=0.2)  # fmt: skip
