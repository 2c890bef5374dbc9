"""Intervals from what was missed before: split conformal, and adaptive conformal inference.

Plain functions of arrays. Split conformal turns residuals of held-out rows into quantiles around a
point forecast; it covers as promised while the future is exchangeable with those rows. Adaptive
conformal inference moves the level itself after each miss, so that coverage holds in the long run
even where the data drift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gatewise.forecast.data.panel import Array

if TYPE_CHECKING:
    from jaxtyping import Float

GAMMA = 0.02
"""Step of the level per origin. Gibbs & Candès use .005 over thousands of steps; backtests have
dozens."""

_NARROWEST = 0.1
"""Held-out rows narrow no interval to less than this share of itself, and widen none as much."""


def residual_quantiles(
    residuals: Float[Array, "n h"], probabilities: Sequence[float]
) -> Float[Array, "h Q"]:
    """Quantiles of residuals at each step, each side on its own, for intervals around a forecast.

    The p-quantile is the value at place p (n + 1) among the n sorted residuals, between neighbours
    by interpolation: a new residual exchangeable with them falls below it with probability p
    (Vovk, Gammerman & Shafer 2005; Lei et al. 2018). Beyond the first and the last residual there
    is nothing to read, so the ends stop there. Where n + 1 < 1 / p for the outermost p, a step
    takes in the residuals of its nearest neighbours until there are enough.

    Args:
        residuals: [n, h] actual minus forecast on held-out rows, in units of the scale that the
            forecast will be multiplied by; NaN where not known.
        probabilities: Q, ascending.

    Returns:
        [h, Q], ascending along Q; 0 where there is no residual at all.

    >>> residual_quantiles(np.arange(-4.0, 5.0)[:, None], (0.1, 0.5, 0.9))
    array([[-4.,  0.,  4.]])
    """
    p = np.asarray(probabilities, dtype=np.float64)
    h = residuals.shape[1]
    least = round(1 / min(p.min(), 1 - p.max())) - 1
    made = np.zeros((h, len(p)))
    for k in range(h):
        near, reach = np.empty(0), 0
        while len(near) < least and reach < h:
            near = residuals[:, max(k - reach, 0) : k + reach + 1]
            near = near[np.isfinite(near)]
            reach += 1
        if len(near):
            made[k] = np.quantile(near, p, method="weibull")
    return made


def split_conformal(
    point: Float[Array, "B h"],
    scale: Float[Array, "B h"],
    residuals: Float[Array, "n h"],
    probabilities: Sequence[float],
) -> Float[Array, "B h Q"]:
    """Quantiles around a point forecast: point + scale × `residual_quantiles`.

    >>> ones = np.ones((1, 1))
    >>> split_conformal(5 * ones, 2 * ones, np.arange(-4.0, 5.0)[:, None], (0.1, 0.9))
    array([[[-3., 13.]]])
    """
    return point[:, :, None] + scale[:, :, None] * residual_quantiles(residuals, probabilities)


def stretches(
    quantiles: Float[Array, "n h Q"],
    actual: Float[Array, "n h"],
    probabilities: Sequence[float],
) -> Float[Array, "h Q"]:
    """What each quantile's distance from the median must be multiplied by to cover as promised.

    Conformalised quantile regression (Romano, Patterson & Candès 2019), with distances in place of
    differences, so that wide forecasts are stretched as calm ones are; each side on its own.
    Windows that overlap are worth less than their number: at step k, of N windows a row apart
    n = N / k do not. The rank is the one that n of them need, p (n + 1) / n, and the logarithm of
    what so few say is shrunk by n / (n + 4).

    Args:
        quantiles: forecasts from held-out rows, ascending along Q.
        actual: what came; NaN where not known.
        probabilities: Q, ascending, 0.5 among them.

    >>> y = np.random.default_rng(0).normal(size=(4000, 1))  # the forecast believes in half of it
    >>> narrow = np.broadcast_to([-0.64, 0.0, 0.64], (4000, 1, 3))
    >>> stretches(narrow, y, (0.1, 0.5, 0.9)).round(1).tolist()
    [[2.0, 1.0, 2.0]]
    """
    middle = list(probabilities).index(0.5)
    median = quantiles[:, :, middle]
    made = np.ones(quantiles.shape[1:])
    for q, p in enumerate(probabilities):
        if q == middle:
            continue
        ratio = (actual - median) / (quantiles[:, :, q] - median)
        for k in range(len(made)):
            seen = ratio[np.isfinite(ratio[:, k]), k]
            if not len(seen):
                continue
            n = len(seen) / (k + 1)
            share = min(max(p, 1 - p) * (1 + 1 / n), 1.0)
            reach = np.quantile(seen, share * len(seen) / (len(seen) + 1), method="weibull")
            made[k, q] = np.clip(reach, _NARROWEST, 1 / _NARROWEST) ** (n / (n + 4))
    return made


def stretched(quantiles: Float[Array, "B h Q"], factors: Float[Array, "h Q"]) -> Array:
    """Quantiles whose distances from the median were multiplied; they do not cross.

    >>> stretched(np.array([[[-2.0, -1.0, 0.0, 1.0, 2.0]]]), np.array([[1.0, 1, 1, 3, 1]]))
    array([[[-2., -1.,  0.,  3.,  3.]]])
    """
    middle = quantiles.shape[2] // 2  # the levels are central
    median = quantiles[:, :, middle : middle + 1]
    away = (quantiles - median) * factors
    below = np.minimum.accumulate(away[:, :, middle::-1], axis=2)[:, :, ::-1]
    above = np.maximum.accumulate(away[:, :, middle:], axis=2)
    return median + np.concatenate([below[:, :, :-1], above], axis=2)


@dataclass(frozen=True, eq=False)
class Adapted:
    """Intervals whose level followed their misses.

    Attributes:
        low, high: [R] the new edges.
        alpha: [F, 2] the miss rate aimed at from each origin, below and above.
        usable: [R] False where too little had been seen to change anything.
    """

    low: Array
    high: Array
    alpha: Array
    usable: NDArray[np.bool_]


def adaptive_intervals(
    low: Float[Array, " R"],
    high: Float[Array, " R"],
    actual: Float[Array, " R"],
    origin: NDArray[np.intp],
    level: float,
    *,
    gamma: float = GAMMA,
    lag: int = 1,
) -> Adapted:
    """Move the edges of intervals by what the origins before have missed.

    Adaptive conformal inference (Gibbs & Candès 2021, equation 2), on each edge by itself: from
    origin t an edge goes out by the (1 − α_t)-quantile of the past scores, which are distances of
    actual values beyond that edge in widths of their interval (negative: there was room); then
    α_{t+1} = α_t + γ (α − misses). Where α_t < 0 the paper's interval is infinite, and ours takes
    the largest score seen. An origin sees those scores only whose window had ended before it.

    Args:
        low, high: [R] edges as forecast.
        actual: [R] what came.
        origin: [R] number of the origin, ascending.
        level: of the interval in percent.
        gamma: step γ of the level. Default `GAMMA`.
        lag: origins after which a window is over: 1 if windows do not overlap.

    >>> y = np.random.default_rng(0).normal(size=600)  # the forecast believes in half the spread
    >>> edge, origin = np.full(600, 0.64), np.arange(600)
    >>> made = adaptive_intervals(-edge, edge, y, origin, 80)
    >>> shares = ((abs(y) <= edge).mean(), ((made.low <= y) & (y <= made.high)).mean())
    >>> [round(float(share), 2) for share in shares]
    [0.47, 0.8]
    """
    goal = (1 - level / 100) / 2
    least = round(1 / goal) - 1
    width = high - low
    width = np.where(width > 0, width, np.finfo(float).tiny)
    scores = np.stack([low - actual, actual - high]) / width
    numbers = np.unique(origin)
    first = np.searchsorted(origin, numbers)
    stop = np.append(first[1:], len(origin))
    edges = np.stack([low, high])
    alpha, usable = np.full((len(numbers), 2), goal), np.zeros(len(low), dtype=bool)
    for t in range(len(numbers)):
        mine, known = slice(first[t], stop[t]), stop[t - lag] if t >= lag else 0
        if t:
            alpha[t] = alpha[t - 1]
        if known < least:
            continue
        latest = slice(first[t - lag], known)  # its window has ended since
        if usable[latest].all():
            missed = np.stack([edges[0] - actual, actual - edges[1]])[:, latest] > 0
            alpha[t] += gamma * (goal - missed.mean(axis=1))
        for side, sign in enumerate((-1, 1)):
            p = np.clip(1 - alpha[t, side], 0, 1)
            reach = np.quantile(scores[side, :known], p, method="weibull")
            edges[side, mine] += sign * reach * width[mine]
        usable[mine] = True
    return Adapted(np.minimum(*edges), np.maximum(*edges), alpha, usable)
