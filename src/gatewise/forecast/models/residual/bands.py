"""The intervals of an ensemble, from the errors of its forecasts of held-out rows.

Errors in units of their step's scale are pooled over the steps (see `uncertainty.pooling`); the
quantiles of the pool, times the scale of each step, are the bands.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from gatewise.forecast.data.panel import Array
from gatewise.forecast.features.outliers import without_errors
from gatewise.forecast.models.residual.calibration import Errors
from gatewise.forecast.uncertainty.pooling import (
    error_scale,
    few_errors,
    independent_errors,
    independent_series,
    pooled_quantile,
)

if TYPE_CHECKING:
    from jaxtyping import Float

_PER_CHANGE: Final = 1.25
"""Standard deviation of normal changes per mean absolute change."""


def error_bands(
    errors: Errors, season_length: int, probabilities: Sequence[float]
) -> Float[Array, "h Q"]:
    """Quantiles of the errors at each step, in units of a series' usual change over a season.

    Each side has a quantile of its own, if there are errors enough to tell the sides apart; else
    both sides have that of the sizes. A distance from the forecast never falls with the step.

    Errors too few for the outermost quantile may widen the intervals of a random walk of usual
    changes, but do not narrow them.

    Args:
        errors: of forecasts of held-out rows.
        season_length: rows of the season whose usual change is the unit.
        probabilities: Q, ascending, 0.5 among them.

    Returns:
        [h, Q], ascending along Q; 0 at 0.5.
    """
    values, p = without_errors(errors.values), np.array(probabilities)
    least = round(1 / min(p.min(), 1 - p.max())) - 1
    seen = np.isfinite(values)
    sizes = np.where(seen, np.abs(values), 0.0).sum(0) / np.maximum(seen.sum(0), 1)
    scale = error_scale(np.where(seen.any(0), sizes**2, np.nan))
    scores = values / np.where(scale > 0, scale, 1.0)
    count = independent_errors(
        len(np.unique(errors.age[seen.any(1)])) + len(scale) - 1,
        scale,
        independent_series(_by_time(errors, scores)),
    )
    above, below = scores.ravel(), -scores.ravel()
    if count < least:
        above = below = np.concatenate([above, below])
    reach = np.array(
        [
            0.0 if q == 0.5 else few_errors(q, count) * pooled_quantile(above, q, count) if q > 0.5
            else -few_errors(1 - q, count) * pooled_quantile(below, 1 - q, count)
            for q in probabilities
        ]
    )  # fmt: skip
    bands = scale[:, None] * np.nan_to_num(reach)
    if seen.sum() < least:
        seasons = -(-np.arange(1, len(scale) + 1) // season_length)
        normal = np.array([NormalDist().inv_cdf(q) for q in probabilities])
        walk = _PER_CHANGE * np.sqrt(seasons)[:, None] * normal
        bands = np.where(p < 0.5, np.minimum(bands, walk), np.maximum(bands, walk))
    middle = list(probabilities).index(0.5)
    bands[:, middle::-1] = np.minimum.accumulate(bands[:, middle::-1], axis=1)
    bands[:, middle:] = np.maximum.accumulate(bands[:, middle:], axis=1)
    return bands


def aged(bands: Float[Array, "h Q"], stale: NDArray[np.intp]) -> Float[Array, "n h Q"]:
    """Bands of forecasts whose series have no value in the last rows: those of so many steps more.

    Beyond the last step the squares go on as they grew on average.

    Args:
        bands: of series with a value in the last row.
        stale: [n] rows since the last value.

    >>> aged(np.array([[1.0], [2.0]]), np.array([0, 1])).round(2).tolist()
    [[[1.0], [2.0]], [[2.0], [2.65]]]
    """
    h, squares = len(bands), bands**2
    slope = (squares[-1] - squares[0]) / (h - 1) if h > 1 else squares[0]
    at = np.arange(h) + stale[:, None]
    inside = np.minimum(at, h - 1)
    grown = squares[inside] + slope * (at - inside)[:, :, None]
    return np.sign(bands[inside]) * np.sqrt(grown)


def _by_time(errors: Errors, scores: Array) -> Array:
    """[S, times x h] the scores of each series at the same rows before the end; NaN between."""
    series, row = np.unique(errors.series, return_inverse=True)
    age, column = np.unique(errors.age, return_inverse=True)
    made = np.full((len(series), len(age), scores.shape[1]), np.nan)
    made[row, column] = scores
    return made.reshape(len(series), len(age) * scores.shape[1])
