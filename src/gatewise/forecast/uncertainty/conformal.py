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
from gatewise.forecast.uncertainty.pooling import few_errors, pooled_quantile

if TYPE_CHECKING:
    from jaxtyping import Float

GAMMA = 0.02
"""Step of the level per origin. Gibbs & Candès use .005 over thousands of steps; backtests have
dozens."""

_WIDER, _NARROWER = 4, 40
"""Independent errors that the training rows' word is worth, beside held-out ones that say more or
less."""

_NARROWEST = 0.1
"""Held-out rows narrow no interval to less than this share of itself, and widen none as much."""


def stretches(
    quantiles: Float[Array, "n h Q"],
    actual: Float[Array, "n h"],
    probabilities: Sequence[float],
    count: float,
) -> Float[Array, " Q"]:
    """What each quantile's distance from the median must be multiplied by to cover as promised.

    Conformalised quantile regression (Romano, Patterson & Candès 2019), with distances in place of
    differences, so that wide forecasts are stretched as calm ones are. The scores of all steps are
    pooled: the network tells how uncertainty grows with the step, held-out rows how much of it
    there is. Each side has scores of its own, if there are enough to tell the sides apart; else
    both sides share theirs. The logarithm of what few scores say is shrunk by
    count / (count + 4), and by count / (count + 40) where it would narrow the forecast: the
    held-out rows have also chosen among networks, so that errors there are a little too small.
    What is left to chance widens all quantiles (`pooling.few_errors`).

    Args:
        quantiles: forecasts from held-out rows, ascending along Q.
        actual: what came; NaN where not known.
        probabilities: Q, ascending, 0.5 among them.
        count: independent errors that the held-out ones are worth; see
            `pooling.independent_errors`.

    Returns:
        [Q], 1 at the median.

    >>> y = np.random.default_rng(0).normal(size=(4000, 1))  # the forecast believes in half of it
    >>> narrow = np.broadcast_to([-0.64, 0.0, 0.64], (4000, 1, 3))
    >>> stretches(narrow, y, (0.1, 0.5, 0.9), 4000).round(1).tolist()
    [2.0, 1.0, 2.0]
    """
    middle, least = list(probabilities).index(0.5), round(1 / min(*probabilities)) - 1
    median = quantiles[:, :, middle : middle + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = (actual[:, :, None] - median) / (quantiles - median)
    made = np.ones(len(probabilities))
    for q, p in enumerate(probabilities):
        if q == middle:
            continue
        sides = [q] if count >= least else [q, len(probabilities) - 1 - q]
        found = pooled_quantile(scores[:, :, sides].ravel(), max(p, 1 - p), count)
        if np.isfinite(found):
            prior = _WIDER if found > 1 else _NARROWER
            ratio = np.clip(found, _NARROWEST, 1 / _NARROWEST) ** (count / (count + prior))
            made[q] = ratio * few_errors(max(p, 1 - p), count + prior)
    return made


def widening(quantiles: Float[Array, "B h Q"], unit: Float[Array, " h"]) -> Float[Array, "B h Q"]:
    """Quantiles whose distances from the median, times `unit`, do not fall with the step.

    For targets whose errors add up: what is not known of a step is not known of the next one. A
    distance that would fall keeps that of the step before.

    >>> falling = np.array([[[-2.0, 0.0, 1.0], [-1.0, 0.0, 3.0]]])
    >>> widening(falling, np.ones(2)).tolist()
    [[[-2.0, 0.0, 1.0], [-2.0, 0.0, 3.0]]]
    """
    middle = quantiles.shape[2] // 2  # the levels are central
    median = quantiles[:, :, middle : middle + 1]
    away = np.abs(quantiles - median) * unit[:, None]
    away = np.maximum.accumulate(away, axis=1) / unit[:, None]
    side = np.sign(np.arange(quantiles.shape[2]) - middle)
    return median + side * away


def stretched(quantiles: Float[Array, "B h Q"], factors: Float[Array, " Q"]) -> Array:
    """Quantiles whose distances from the median were multiplied; they do not cross.

    >>> stretched(np.array([[[-2.0, -1.0, 0.0, 1.0, 2.0]]]), np.array([1.0, 1, 1, 3, 1]))
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
    wide = width > 0  # an interval of no width tells no score, and cannot be widened by one
    scores = np.stack([low - actual, actual - high]) / np.where(wide, width, 1.0)
    numbers = np.unique(origin)
    first = np.searchsorted(origin, numbers)
    stop = np.append(first[1:], len(origin))
    edges = np.stack([low, high])
    alpha, usable = np.full((len(numbers), 2), goal), np.zeros(len(low), dtype=bool)
    for t in range(len(numbers)):
        mine, known = slice(first[t], stop[t]), stop[t - lag] if t >= lag else 0
        if t:
            alpha[t] = alpha[t - 1]
        if wide[:known].sum() < least:
            continue
        latest = slice(first[t - lag], known)  # its window has ended since
        if usable[latest].all() and wide[latest].any():
            missed = (
                np.stack([edges[0] - actual, actual - edges[1]])[:, latest][:, wide[latest]] > 0
            )
            alpha[t] += gamma * (goal - missed.mean(axis=1))
        for side, sign in enumerate((-1, 1)):
            p = np.clip(1 - alpha[t, side], 0, 1)
            reach = np.quantile(scores[side, :known][wide[:known]], p, method="weibull")
            edges[side, mine] += sign * reach * width[mine]
        usable[mine] = True
    return Adapted(np.minimum(*edges), np.maximum(*edges), alpha, usable)
