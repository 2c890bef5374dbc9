"""Scores of forecasts: plain functions of arrays. Rows first, quantiles last.

`DEFINITIONS` says what each score is and where it comes from; reports print it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from gatewise.forecast.data.panel import Array

if TYPE_CHECKING:
    from jaxtyping import Float


DEFINITIONS: Final[Mapping[str, str]] = {
    "mae": "mean of |y − ŷ|, ŷ the median forecast",
    "mse": "mean of (y − ŷ)²",
    "rmse": "√mse",
    "mse_ratio": "mse over that of the naive forecast; below 1 is better",
    "mase": "mae over the mean |y_t − y_{t−m}| before the first origin, m the season "
    "(Hyndman & Koehler 2006)",
    "smape": "200 · mean of |y − ŷ| / (|y| + |ŷ|), from 0 to 200 (Makridakis & Hibon 2000)",
    "mape": "100 · mean of |y − ŷ| / |y|, without rows where y = 0",
    "wql": "mean weighted quantile loss: twice the pinball losses of the forecast quantiles, each "
    "weighted with the probabilities nearest to it; near the CRPS of many (Gneiting & Ranjan 2011)",
    "wis": "weighted interval score of the median and the levels (Bracher et al. 2021)",
    "winkler": "width of the interval, and 2/α times the miss of each value outside "
    "(Winkler 1972; Gneiting & Raftery 2007)",
    "coverage": "share of actual values inside the interval; its level is what it should be",
    "pit": "probability that the forecast gave to values below the actual one; uniform if "
    "calibrated (Dawid 1984; Gneiting, Balabdaoui & Raftery 2007)",
    "dm_p": "one-sided p-value of the Diebold–Mariano test (1995) with the correction of Harvey, "
    "Leybourne & Newbold (1997)",
    "dm_p_holm": "the same, corrected for the number of baselines (Holm 1979)",
}
"""What each score is, in one line, with its source."""


def mae(point: Float[Array, " n"], actual: Float[Array, " n"]) -> float:
    """Mean absolute error.

    >>> mae(np.array([1.0, 2.0]), np.array([2.0, 5.0]))
    2.0
    """
    return float(np.mean(np.abs(actual - point)))


def mse(point: Float[Array, " n"], actual: Float[Array, " n"]) -> float:
    """Mean squared error.

    >>> mse(np.array([1.0, 2.0]), np.array([2.0, 5.0]))
    5.0
    """
    return float(np.mean((actual - point) ** 2))


def mase(
    point: Float[Array, " n"], actual: Float[Array, " n"], scale: float | Float[Array, " n"]
) -> float:
    """Mean absolute scaled error (Hyndman & Koehler 2006).

    Args:
        point: [n] forecasts.
        actual: [n] what came.
        scale: `naive_scale` of the history, one for all rows or one for each.

    >>> mase(np.array([1.0, 2.0]), np.array([2.0, 5.0]), 4.0)
    0.5
    """
    return float(np.mean(np.abs(actual - point) / scale))


def naive_scale(history: Float[Array, " n"], season_length: int) -> float:
    """Mean absolute change over a season: the unit of MASE (Hyndman & Koehler 2006).

    Args:
        history: [n] values before the first origin, NaN where missing.
        season_length: rows per season; 1 if the series is shorter.

    Returns:
        NaN for a history without two values or without a change: it has no such unit.

    >>> naive_scale(np.array([1.0, 2.0, 4.0]), 1)
    1.5
    """
    lag = season_length if len(history) > season_length else 1
    change = np.abs(history[lag:] - history[:-lag])
    change = change[np.isfinite(change)]
    return float(change.mean()) if len(change) and change.mean() > 0 else float("nan")


def pinball(
    quantile: Float[Array, "*n"], actual: Float[Array, "*n"], p: float | Float[Array, " Q"]
) -> Float[Array, "*n"]:
    """Quantile loss max(p e, (p − 1) e) of e = actual − quantile (Koenker & Bassett 1978).

    >>> pinball(np.array([1.0, 1.0]), np.array([2.0, 0.0]), 0.9)
    array([0.9, 0.1])
    """
    error = actual - quantile
    return np.maximum(p * error, (p - 1) * error)


def weighted_quantile_loss(
    quantiles: Float[Array, "n Q"], actual: Float[Array, " n"], probabilities: Sequence[float]
) -> Float[Array, " n"]:
    """Twice the pinball losses of quantiles, each weighted with the probabilities nearest to it.

    With more and more quantiles it becomes the continuous ranked probability score (CRPS; the
    quantile form of Gneiting & Ranjan 2011).

    >>> weighted_quantile_loss(np.array([[0.0, 1.0, 2.0]]), np.array([1.0]), (0.25, 0.5, 0.75))
    array([0.375])
    """
    p = np.asarray(probabilities)
    width = np.diff(np.concatenate([[0.0], (p[1:] + p[:-1]) / 2, [1.0]]))
    return 2 * (pinball(quantiles, actual[:, None], p) * width).sum(axis=1)


def winkler(
    low: Float[Array, " n"], high: Float[Array, " n"], actual: Float[Array, " n"], level: float
) -> Float[Array, " n"]:
    """Interval score: the width, and 2/α times the distance of a value outside, α = 1 − level/100.

    Winkler 1972; Gneiting & Raftery 2007, equation 43. Lower is better; it is least in expectation
    for the true quantiles, so neither a narrow nor a wide interval can cheat.

    >>> winkler(np.zeros(2), np.ones(2), np.array([0.5, 1.5]), 80)
    array([1., 6.])
    """
    alpha = 1 - level / 100
    outside = np.maximum(low - actual, 0) + np.maximum(actual - high, 0)
    return high - low + 2 / alpha * outside


def weighted_interval_score(
    median: Float[Array, " n"],
    intervals: Sequence[tuple[float, Float[Array, " n"], Float[Array, " n"]]],
    actual: Float[Array, " n"],
) -> Float[Array, " n"]:
    """Interval scores of several levels with weights α/2, and |y − median| with weight 1/2.

    Bracher, Ray, Gneiting & Reich 2021, equation 1: twice the mean pinball loss of the median and
    the edges, the median counted once.

    Args:
        median: [n].
        intervals: level in percent, low [n] and high [n] of each.
        actual: [n] what came.

    >>> y = np.array([1.5])
    >>> weighted_interval_score(np.array([0.5]), [(80, np.zeros(1), np.ones(1))], y)
    array([0.73333333])
    """
    total = 0.5 * np.abs(actual - median)
    for level, low, high in intervals:
        total = total + (1 - level / 100) / 2 * winkler(low, high, actual, level)
    return total / (len(intervals) + 0.5)


def coverage(
    low: Float[Array, " n"], high: Float[Array, " n"], actual: Float[Array, " n"]
) -> float:
    """Share of actual values between the edges of an interval, edges included.

    >>> coverage(np.array([0.0, 0.0]), np.array([1.0, 1.0]), np.array([1.0, 2.0]))
    0.5
    """
    return float(np.mean((low <= actual) & (actual <= high)))


def smape(point: Float[Array, " n"], actual: Float[Array, " n"]) -> float:
    """Symmetric mean absolute percentage error, 0 to 200 (M3's definition).

    >>> smape(np.array([110.0]), np.array([90.0]))
    20.0
    """
    size = (np.abs(point) + np.abs(actual)) / 2
    return float(100 * np.mean(np.abs(point - actual) / np.where(size > 0, size, 1.0)))


def mape(point: Float[Array, " n"], actual: Float[Array, " n"]) -> float:
    """Mean absolute percentage error; rows whose actual value is 0 are left out.

    >>> mape(np.array([110.0, 1.0]), np.array([100.0, 0.0]))
    10.0
    """
    keep = actual != 0
    if not keep.any():
        return float("nan")
    return float(100 * np.mean(np.abs((point - actual)[keep] / actual[keep])))


def pit(
    quantiles: Float[Array, "n Q"], actual: Float[Array, " n"], probabilities: Sequence[float]
) -> dict[str, list[float]]:
    """Probability integral transform: the share of actual values between neighbouring quantiles.

    Returns:
        edges: the probabilities from 0 to 1; observed and expected: shares between them.

    >>> pit(np.array([[0.0, 1.0]] * 2), np.array([0.5, 2.0]), (0.25, 0.75))["observed"]
    [0.0, 0.5, 0.5]
    """
    edges = [0.0, *probabilities, 1.0]
    bins = (actual[:, None] > quantiles).sum(axis=1)
    observed = np.bincount(bins, minlength=len(edges) - 1) / max(len(actual), 1)
    return {"edges": edges, "observed": observed.tolist(), "expected": np.diff(edges).tolist()}
