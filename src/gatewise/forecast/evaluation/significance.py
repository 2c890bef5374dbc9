"""Is it better, or was it luck? Tests on the losses and the directions of a backtest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from gatewise.forecast.data.panel import Array

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True, slots=True)
class DieboldMariano:
    """Result of the test that a is better than b.

    Attributes:
        statistic: negative if a has the lower loss.
        p_value: one-sided, small if a is better.
        origins: number of loss differences.
        lag: up to which they may depend on each other, because their windows share rows.
        p_worse: one-sided the other way, small if a is worse.
        p_adjusted, p_worse_adjusted: the same, corrected for the number of tests; see `holm`.
        difference: mean loss of a minus b's.
        low, high: its 95 % interval, which the correction does not widen.
    """

    statistic: float
    p_value: float
    origins: int
    lag: int = 0
    p_worse: float = 1.0
    p_adjusted: float = 1.0
    p_worse_adjusted: float = 1.0
    difference: float = 0.0
    low: float = 0.0
    high: float = 0.0


def diebold_mariano(
    loss_a: Float[Array, " n"], loss_b: Float[Array, " n"], lag: int = 0
) -> DieboldMariano:
    """Test whether a's mean loss is lower than b's.

    Diebold & Mariano 1995, with the small-sample correction of Harvey, Leybourne & Newbold 1997
    (equation 9) and Student's t with n - 1 degrees of freedom. The long-run variance has a uniform
    kernel up to `lag`; where that is not positive, Bartlett's (Newey & West 1987).

    Args:
        loss_a: [n] losses per origin, in order.
        loss_b: [n] of the other model.
        lag: origins after which two windows share no row, minus 1; h - 1 for rolling one by one.

    >>> rng = np.random.default_rng(0)
    >>> b = rng.exponential(size=40)
    >>> diebold_mariano(b - 0.5 + rng.normal(size=40) / 10, b).p_value < 0.001
    True
    """
    keep = np.isfinite(loss_a) & np.isfinite(loss_b)
    d = (loss_a - loss_b)[keep]
    n = len(d)
    if n < 3 or np.ptp(d) <= 1e-12 * np.abs(loss_b[keep]).max():
        # Too few origins, or the same loss at each: there is no evidence either way.
        mean = float(d.mean()) if n else 0.0
        return DieboldMariano(0.0, 1.0, n, lag, difference=mean, low=mean, high=mean)
    unit = float(np.abs(d).max())  # squares of tiny losses would vanish
    d = d / unit
    usable = min(lag, n - 2)
    variance = _long_run_variance(d, np.ones(usable)) / n
    if variance <= 0:
        variance = _long_run_variance(d, 1 - np.arange(1, usable + 1) / (usable + 1)) / n
    h = usable + 1
    correction = max(n + 1 - 2 * h + h * (h - 1) / n, 1.0) / n
    mean, error = float(np.mean(d)), float(np.sqrt(variance / correction))
    statistic, reach = mean / error, float(stats.t.ppf(0.975, n - 1)) * error
    p, p_worse = (float(stats.t.cdf(side * statistic, n - 1)) for side in (1, -1))
    return DieboldMariano(
        statistic, p, n, lag, p_worse, p, p_worse,
        unit * mean, unit * (mean - reach), unit * (mean + reach),
    )  # fmt: skip


def _long_run_variance(d: Float[Array, " n"], weights: Float[Array, " lags"]) -> float:
    """Variance of the values plus twice their weighted autocovariances at lag 1, 2, ..."""
    rest = d - d.mean()
    covariances = [rest[k:] @ rest[: len(d) - k] for k in range(len(weights) + 1)]
    return float(covariances[0] + 2 * np.dot(weights, covariances[1:])) / len(d)


def holm(tests: Mapping[str, DieboldMariano]) -> dict[str, DieboldMariano]:
    """Correct tests against several models for their number.

    Holm 1979: the chance of even one false claim stays below the level, whatever the tests depend
    on. Both directions are corrected, each on its own.

    >>> made = {name: DieboldMariano(-1.0, p, 20) for name, p in (("a", 0.01), ("b", 0.03))}
    >>> {name: test.p_adjusted for name, test in holm(made).items()}
    {'a': 0.02, 'b': 0.03}
    """
    better, worse = (
        _step_down(np.array(p))
        for p in ([t.p_value for t in tests.values()], [t.p_worse for t in tests.values()])
    )
    return {
        name: replace(test, p_adjusted=float(b), p_worse_adjusted=float(w))
        for (name, test), b, w in zip(tests.items(), better, worse, strict=True)
    }


def _step_down(p: Float[Array, " n"]) -> Float[Array, " n"]:
    """Holm's corrected values: the k-th smallest times n - k, no less than those below it."""
    order = np.argsort(p)
    made = np.empty_like(p)
    made[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(made, 1.0)


def hardest(
    names: Sequence[str], tests: Mapping[str, DieboldMariano], errors: Mapping[str, float]
) -> str:
    """Return the baseline that is hardest to beat: of the largest p-value, then the lowest error.

    Args:
        names: of the baselines to choose from.
        tests: Diebold-Mariano against each, corrected for their number.
        errors: mean absolute error of each.

    >>> mean, drift = DieboldMariano(0.3, 0.61, 24), DieboldMariano(0.3, 0.01, 24)
    >>> tests = holm({"mean": mean, "drift": drift})
    >>> hardest(["mean", "drift"], tests, {"mean": 1.0, "drift": 0.9})
    'mean'
    """
    return max(names, key=lambda name: (tests[name].p_adjusted, -errors[name]))


@dataclass(frozen=True, slots=True)
class Direction:
    """How often the sign of the next row's change was right.

    Attributes:
        hits, calls: right ones, and all in which both the forecast and the truth had a sign.
        effective: so many independent calls tell as much: series that rise and fall together count
            as few (Kish 1965).
        hit_rate: hits / calls; NaN without a call.
        low, high: 95 % Wilson interval of the hit rate.
        majority_rate: what always naming the more frequent sign would have scored.
        p_value: one-sided binomial test of the hit rate against the majority rate.
    """

    hits: int
    calls: int
    effective: int
    hit_rate: float
    low: float
    high: float
    majority_rate: float
    p_value: float


def direction(
    forecast: Float[Array, " n"], actual: Float[Array, " n"], time: NDArray[Any] | None = None
) -> Direction:
    """Compare the signs of forecast and actual changes, against the majority class.

    Args:
        forecast: [n] changes, each of a row of its own.
        actual: [n] what they were.
        time: [n] when; calls of one time depend on each other. None: each has its own.

    >>> direction(np.array([1.0, 1, -1, 1]), np.array([2.0, 1, -3, -1])).hit_rate
    0.75
    """
    keep = np.isfinite(forecast) & np.isfinite(actual) & (actual != 0) & (forecast != 0)
    up, said_up = actual[keep] > 0, forecast[keep] > 0
    hit = up == said_up
    calls, hits = int(keep.sum()), int(hit.sum())
    if not calls:
        nan = float("nan")
        return Direction(0, 0, 0, nan, nan, nan, nan, 1.0)
    effective = calls
    if time is not None:
        effective = max(1, int(calls / _design_effect(hit.astype(float), time[keep])))
    scaled = round(hits * effective / calls)
    majority = max(float(up.mean()), 1 - float(up.mean()))
    test = stats.binomtest(scaled, effective, min(majority, 1 - 1e-12), alternative="greater")
    interval = stats.binomtest(scaled, effective).proportion_ci(method="wilson")
    return Direction(
        hits, calls, effective, hits / calls, float(interval.low), float(interval.high), majority,
        float(test.pvalue),
    )  # fmt: skip


def _design_effect(values: Float[Array, " n"], cluster: NDArray[Any]) -> float:
    """Variance of a mean of clustered values over that of independent ones; at least 1."""
    code = np.unique(cluster, return_inverse=True)[1]
    count = int(code.max()) + 1
    if count == len(values):
        return 1.0
    rest = values - values.mean()
    alone = float((rest**2).sum())
    if count == 1 or alone == 0:  # nothing to see it by: each cluster counts once
        return len(values) / count
    together = float((np.bincount(code, rest) ** 2).sum()) * count / (count - 1)
    return max(together / alone, 1.0)
