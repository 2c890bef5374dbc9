"""The statistics of the lab, by SciPy and statsmodels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A number with its interval and, where there is a test, its p-value."""

    value: float
    low: float
    high: float
    p: float = float("nan")


def proportion(successes: int, n: int, level: float = 0.95) -> Estimate:
    """Return a share with its Wilson interval (Wilson 1927).

    >>> found = proportion(30, 30)
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (1.0, 0.886, 1.0)
    """
    from scipy import stats

    found = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    return Estimate(successes / n, float(found.low), float(found.high))


def paired_success(a: Sequence[bool], b: Sequence[bool]) -> Estimate:
    """Compare how often two arms succeed on the same seeds: McNemar's exact test.

    Returns:
        The difference of the shares, a - b, with its interval by Newcombe's method for paired
        proportions (Newcombe 1998, method 8), and the p-value.
    """
    from scipy import stats

    x, y = np.asarray(a, bool), np.asarray(b, bool)
    n, only_x, only_y = len(x), int((x & ~y).sum()), int((y & ~x).sum())
    both, neither = int((x & y).sum()), int((~x & ~y).sum())
    changed = only_x + only_y
    p = float(stats.binomtest(only_x, changed).pvalue) if changed else 1.0
    one, two = proportion(int(x.sum()), n), proportion(int(y.sum()), n)
    product = (both + only_x) * (only_y + neither) * (both + only_y) * (only_x + neither)
    phi = (both * neither - only_x * only_y) / np.sqrt(product) if product else 0.0
    d, down, up = one.value - two.value, one.value - one.low, two.high - two.value
    lower = np.sqrt(max(down**2 - 2 * phi * down * up + up**2, 0.0))
    up_one, down_two = one.high - one.value, two.value - two.low
    upper = np.sqrt(max(up_one**2 - 2 * phi * up_one * down_two + down_two**2, 0.0))
    return Estimate(d, d - lower, d + upper, p)


def difference(
    a: Sequence[float], b: Sequence[float], level: float = 0.95, resamples: int = 9999
) -> Estimate:
    """Compare two arms on the same seeds: the mean of a - b.

    Args:
        a, b: a number for each seed.
        level: of the interval.
        resamples: of bootstrap and permutations.

    Returns:
        The mean with its interval by the BCa bootstrap over seeds (Efron 1987), and the p-value of
        the two-sided permutation test that flips signs of pairs.
    """
    from scipy import stats

    d = np.asarray(a, float) - np.asarray(b, float)
    if not np.ptp(d):
        same = float(d[0])
        return Estimate(same, same, same, 1.0 if same == 0 else 2.0 ** (1 - len(d)))
    first, second = np.random.default_rng(0), np.random.default_rng(1)
    drawn = stats.bootstrap(
        (d,), np.mean, confidence_level=level, n_resamples=resamples, rng=first
    )  # fmt: skip
    interval = drawn.confidence_interval
    test = stats.permutation_test(
        (d,), np.mean, permutation_type="samples", n_resamples=resamples, rng=second
    )
    return Estimate(float(d.mean()), float(interval.low), float(interval.high), float(test.pvalue))


def equivalent(a: Sequence[float], b: Sequence[float], margin: float) -> float:
    """Return the p-value of "a and b differ by less than the margin" (Schuirmann 1987).

    Two one-sided t-tests on the pairs; only this can say that there is no difference.
    """
    from statsmodels.stats.weightstats import ttost_paired

    x, y = np.asarray(a, float), np.asarray(b, float)
    if not np.ptp(x - y):
        return 0.0 if abs(x[0] - y[0]) < margin else 1.0
    return float(ttost_paired(x, y, -margin, margin)[0])


def time_to_solve(
    a: Sequence[float], solved_a: Sequence[bool], b: Sequence[float], solved_b: Sequence[bool]
) -> float:
    """Return the p-value of the log-rank test, where trials that did not solve are censored."""
    from scipy import stats

    if not (any(solved_a) or any(solved_b)):
        return 1.0
    return float(stats.logrank(_times(a, solved_a), _times(b, solved_b)).pvalue)


def median_time(times: Sequence[float], solved: Sequence[bool]) -> float | None:
    """Return the median time to solve by Kaplan and Meier; None where half never solve."""
    from scipy import stats

    if not any(solved):
        return None
    survival = stats.ecdf(_times(times, solved)).sf
    below = np.flatnonzero(survival.probabilities <= 0.5)
    return float(survival.quantiles[below[0]]) if len(below) else None


def _times(times: Sequence[float], solved: Sequence[bool]) -> Any:
    from scipy import stats

    return stats.CensoredData.right_censored(np.asarray(times, float), ~np.asarray(solved, bool))


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Return p-values adjusted for all comparisons of a family (Holm 1979)."""
    from statsmodels.stats.multitest import multipletests

    names = [name for name, value in p.items() if np.isfinite(value)]
    if not names:
        return dict(p)
    adjusted: Any = multipletests([p[name] for name in names], method="holm")[1]
    return dict(p) | {name: float(value) for name, value in zip(names, adjusted, strict=True)}


def explained(values: Array, factors: Mapping[str, Sequence[Any]]) -> dict[str, float]:
    """Return the share of variance that each factor explains: η², of main effects.

    Σ_level n_level (mean_level - mean)² / Σ (value - mean)², for each factor alone; in a balanced
    design the shares add up to at most 1.
    """
    total = float(((values - values.mean()) ** 2).sum())
    found = {}
    for name, levels in factors.items():
        given = np.asarray([str(level) for level in levels])
        between = sum(
            (given == level).sum() * (values[given == level].mean() - values.mean()) ** 2
            for level in np.unique(given)
        )
        found[name] = float(between / total) if total else 0.0
    return found
