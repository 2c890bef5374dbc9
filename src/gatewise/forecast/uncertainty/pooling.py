"""Errors of all steps of a horizon as one sample: how they grow, how many they are worth.

Windows that overlap, and series that move together, repeat one another. At the last of 20 steps a
year of daily rows holds a dozen windows that do not overlap: too few for the edge of a 95 %
interval. So scores of all steps are pooled. Three small pieces do it, each from the literature:

- `error_scale`: how errors grow with the step, as a smooth curve that never falls;
- `independent_errors`: how many independent errors the pooled ones are worth;
- `pooled_quantile` and `few_errors`: a quantile of so many, and what they do not tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import nnls
from scipy.stats import norm, t

from gatewise.forecast.data.panel import Array

if TYPE_CHECKING:
    from jaxtyping import Float

_MEMORIES: Final = (0.0, 0.5, 0.8, 0.95, 1.0)
"""Coefficients of the autoregressions whose error variances the growth of errors is made of."""

_MOST: Final = 1e6
"""So many independent errors are as good as any number."""


def error_scale(squares: Float[Array, " h"]) -> Float[Array, " h"]:
    """Smooth the sizes of errors by step: a curve that never falls.

    The variance of a forecast k steps ahead is fitted as a sum of parts, none negative: of
    autoregressions with coefficient φ, whose variance is 1 + φ² + ... + φ^(2k-2) (Box & Jenkins
    1970; φ = 0 is noise, φ = 1 a random walk), and of a slope that is not known, k². Least squares
    without negative weights (Lawson & Hanson 1974), each step relative to its own size. What is
    made of rising parts alone rises: the idea of monotone splines (Ramsay 1988).

    Args:
        squares: mean squared error of each step; NaN where there is none.

    Returns:
        [h] root of the fitted variances; 0 where no error is above 0.

    >>> error_scale(np.array([1.0, 2.0, 3.0, 4.0])).round(3)
    array([1.   , 1.414, 1.732, 2.   ])
    >>> error_scale(np.array([4.0, 3.0, 5.0])).round(2)  # noise: a level of its own
    array([1.88, 1.98, 2.13])
    """
    k = np.arange(1, len(squares) + 1)
    seen = np.isfinite(squares) & (squares > 0)
    if not seen.any():
        return np.zeros(len(k))
    parts = [np.cumsum(memory ** (2.0 * (k - 1))) for memory in _MEMORIES]
    curves = np.stack([*parts, k.astype(float) ** 2], axis=1)
    size = float(squares[seen].mean())
    target, made = squares[seen] / size, np.full(len(k), 1.0)
    for _ in range(
        4
    ):  # relative to the fit: to the squares themselves, small ones would count most
        weights, _ = nnls(curves[seen] / made[seen, None], target / made[seen])
        made = np.maximum(curves @ weights, 1e-6)
    return np.sqrt(size * made)


def independent_errors(rows: int, scale: Float[Array, " h"], together: float = 1.0) -> float:
    """Count the independent errors that pooled errors of all steps are worth.

    An error k steps ahead is made of scale_k² / scale_1² shocks of the size of one step's, and
    errors that overlap share them. There is one shock in every row that was forecast, and the
    number is the rows over the mean of the shocks: all rows for noise, 2 rows / (h + 1) for a
    random walk.

    Args:
        rows: different rows that were forecast, by time.
        scale: [h] size of errors by step, not falling.
        together: independent series among those that were forecast at a time; see
            `independent_series`.

    >>> independent_errors(65, np.sqrt(np.arange(1.0, 13.0)))
    10.0
    """
    first = scale[0] if len(scale) and scale[0] > 0 else 1.0
    shocks = float(np.maximum((scale / first) ** 2, 1.0).mean()) if len(scale) else 1.0
    return min(max(together * rows / shocks, 1.0), _MOST)


def independent_series(scores: Float[Array, "S n"]) -> float:
    """Count the independent series that the errors of S series at the same times are worth.

    A mean square over S series of which each two are correlated with ρ varies as one over
    S / (1 + (S - 1) ρ²) of them (the design effect of Kish 1965, for squares). ρ comes from the
    variance of the sum.

    Args:
        scores: errors in units of their scale; NaN where there is none.

    >>> shared, own = np.random.default_rng(0).normal(size=(2, 24, 500))
    >>> round(independent_series(own)), round(independent_series(own + 2 * shared[:1]))
    (24, 2)
    """
    seen = np.isfinite(scores)
    count = seen.sum(0)
    several = count > 1
    if not several.any():
        return 1.0
    z = np.where(seen, scores, 0.0)[:, several]
    n, squares = count[several], (z**2).sum(0)
    total = float((squares * (n - 1)).sum())
    rho = float((z.sum(0) ** 2 - squares).sum()) / total if total > 0 else 0.0
    series = float(n.mean())
    return series / (1 + (series - 1) * min(max(rho, 0.0), 1.0) ** 2)


def pooled_quantile(scores: Float[Array, " n"], probability: float, count: float) -> float:
    """Quantile of scores that are worth `count` independent ones.

    So many support no quantile beyond count / (count + 1) (Vovk, Gammerman & Shafer 2005): farther
    out the tail goes on like a normal one.

    Args:
        scores: signed, so that the median is near 0; NaN counts as none.
        probability: of the quantile, above 0.5; turn the signs for one below.
        count: independent scores.

    Returns:
        The quantile, at least 0; NaN without scores.

    >>> scores = np.random.default_rng(0).normal(size=100_000)
    >>> [round(pooled_quantile(scores, 0.975, n), 1) for n in (1e6, 10)]
    [2.0, 2.0]
    """
    scores = scores[np.isfinite(scores)]
    if not len(scores):
        return float("nan")
    inside = min(probability, max(count / (count + 1), 0.75))
    found = float(np.quantile(scores, inside, method="weibull"))
    return max(found, 0.0) * float(norm.ppf(probability) / norm.ppf(inside))


def few_errors(probability: float, count: float) -> float:
    """How much wider a quantile is for being known from `count` independent errors alone.

    Student's quantile over the normal one (Student 1908): errors in units of a scale that is
    itself estimated have his distribution.

    >>> [round(few_errors(0.975, n), 2) for n in (1e6, 30, 10, 4)]
    [1.0, 1.04, 1.14, 1.42]
    """
    return float(t.ppf(probability, max(count, 2.0)) / norm.ppf(probability))
