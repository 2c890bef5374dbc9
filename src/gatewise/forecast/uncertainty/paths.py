"""Sample paths: whole futures, drawn so that their steps hang together.

Quantiles tell of each step by itself. A path needs to know how steps go together: a Gaussian copula
(Sklar 1959; for forecasts Pinson et al. 2009, "From probabilistic forecasts to statistical
scenarios") joins them, with the rank correlation that past errors had.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.stats import norm, rankdata

from gatewise.forecast.data.panel import Array

if TYPE_CHECKING:
    from jaxtyping import Float

_ENOUGH: Final = 30
"""Past forecasts from which on their errors tell how steps go together."""


def step_correlation(errors: Float[Array, "n h"]) -> Float[Array, "h h"]:
    """Correlation of the steps' errors, of their normal scores; NaN rows are left out.

    With fewer than 30 forecasts it is a random walk's, sqrt(min(i, j) / max(i, j)).

    >>> step_correlation(np.empty((0, 2))).round(2)
    array([[1.  , 0.71],
           [0.71, 1.  ]])
    """
    whole = errors[np.isfinite(errors).all(1)]
    h = errors.shape[1]
    k = np.arange(1, h + 1)
    if len(whole) < _ENOUGH:
        return np.sqrt(np.minimum.outer(k, k) / np.maximum.outer(k, k))
    scores = norm.ppf(rankdata(whole, axis=0) / (len(whole) + 1))
    found = np.corrcoef(scores, rowvar=False).reshape(h, h)
    found = np.where(np.isfinite(found), found, 0.0)
    np.fill_diagonal(found, 1.0)
    return found


def sample_paths(
    quantiles: Float[Array, "S h Q"],
    probabilities: Sequence[float],
    correlation: Float[Array, "h h"],
    count: int,
    rng: np.random.Generator,
) -> Float[Array, "S n h"]:
    """Draw `count` paths of each series.

    Between quantiles a step's values are interpolated over normal scores; beyond the outermost ones
    the line through the two at the edge goes on, so tails are Gaussian.

    >>> rng = np.random.default_rng(0)
    >>> normal = np.array([[[-1.2816, 0.0, 1.2816]]])
    >>> drawn = sample_paths(normal, (0.1, 0.5, 0.9), np.ones((1, 1)), 5000, rng)
    >>> drawn.shape, bool(abs(drawn.mean()) < 0.05), bool(abs(drawn.std() - 1) < 0.05)
    ((1, 5000, 1), True, True)
    """
    h = quantiles.shape[1]
    weights, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(weights, 0.0))
    made = np.empty((len(quantiles), count, h))
    places = norm.ppf(probabilities)
    for s, of_series in enumerate(quantiles):
        scores = rng.normal(size=(count, h)) @ root.T
        for k in range(h):
            made[s, :, k] = _interpolated(scores[:, k], places, of_series[k])
    return made


def _interpolated(at: Array, places: Array, values: Array) -> Array:
    """Piecewise linear through (places, values), going on at both ends."""
    inner = np.interp(at, places, values)
    low = values[0] + (at - places[0]) * (values[1] - values[0]) / (places[1] - places[0])
    high = values[-1] + (at - places[-1]) * (values[-1] - values[-2]) / (places[-1] - places[-2])
    return np.where(at < places[0], low, np.where(at > places[-1], high, inner))
