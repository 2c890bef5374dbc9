"""Scores of forecasts: plain functions of arrays. Rows first, quantiles last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gatewise.forecast.panel import Array

if TYPE_CHECKING:
    from jaxtyping import Float


def naive_scale(history: Float[Array, " n"], season: int) -> float:
    """Mean absolute change over a season: the unit of MASE (Hyndman & Koehler 2006).

    Args:
        history: [n] values before the first origin, NaN where missing.
        season: rows per season; 1 if the series is shorter.

    >>> naive_scale(np.array([1.0, 2.0, 4.0]), 1)
    1.5
    """
    lag = season if len(history) > season else 1
    change = np.abs(history[lag:] - history[:-lag])
    change = change[np.isfinite(change)]
    return float(change.mean()) if len(change) and change.mean() > 0 else 1.0


def crps(
    quantiles: Float[Array, "n Q"], actual: Float[Array, " n"], probabilities: Sequence[float]
) -> Float[Array, " n"]:
    """Continuous ranked probability score from quantiles: twice the integral of the pinball loss.

    The quantile form (Gneiting & Ranjan 2011); each quantile stands for the probabilities nearer
    to it than to its neighbours.

    >>> crps(np.array([[0.0, 1.0, 2.0]]), np.array([1.0]), (0.25, 0.5, 0.75))
    array([0.375])
    """
    p = np.asarray(probabilities)
    width = np.diff(np.concatenate([[0.0], (p[1:] + p[:-1]) / 2, [1.0]]))
    error = actual[:, None] - quantiles
    return 2 * (np.maximum(p * error, (p - 1) * error) * width).sum(axis=1)


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
