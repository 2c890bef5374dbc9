"""The lab's statistics: known values, error rates under the null, power with planted effects."""

import numpy as np
import pytest
from scipy import stats

from gatewise.lab import statistics as s


def test_wilson():
    found = s.proportion(8, 10)
    assert (found.low, found.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_pairs_of_successes():
    a = [True] * 36 + [False] * 14
    b = [True] * 20 + [False] * 16 + [True] * 4 + [False] * 10
    found = s.paired_success(a, b)
    assert found.value == pytest.approx(0.24)
    assert found.p == pytest.approx(stats.binomtest(16, 20).pvalue)
    assert s.paired_success([True] * 5, [True] * 5).p == 1.0


@pytest.mark.parametrize("both", [0.1, 0.5, 0.85])
def test_intervals_of_pairs_cover_the_difference(both):
    rng, covered = np.random.default_rng(0), 0
    only_a, only_b = 0.7 * (1 - both), 0.1 * (1 - both)
    for _ in range(400):
        kind = rng.choice(4, 30, p=[both, only_a, only_b, 1 - both - only_a - only_b])
        found = s.paired_success(kind <= 1, (kind == 0) | (kind == 2))
        covered += found.low <= only_a - only_b <= found.high
    assert covered / 400 >= 0.92


def test_log_rank_and_medians_with_censoring():
    a, solved = [5, 8, 12, 20], [True, True, True, False]
    assert s.median_time(a, solved) == 8
    assert s.median_time(a, [False] * 4) is None
    assert s.time_to_solve(a, [False] * 4, a, [False] * 4) == 1.0
    rng = np.random.default_rng(0)
    quick, slow = rng.exponential(1, 30), rng.exponential(4, 30)
    assert s.time_to_solve(quick, [True] * 30, slow, slow < 6) < 0.001


def test_holm():
    found = s.holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": float("nan")})
    assert found["a"] == pytest.approx(0.03)
    assert found["b"] == found["c"] == pytest.approx(0.06)
    assert np.isnan(found["d"])


def test_equivalence_needs_evidence():
    rng = np.random.default_rng(0)
    a = rng.normal(size=30)
    assert s.equivalent(a, a + rng.normal(0, 0.01, 30), 0.05) < 0.001
    assert s.equivalent(a[:4], rng.normal(size=4), 0.05) > 0.05
    assert s.equivalent(a, a + 1, 0.05) > 0.5


def test_explained_variance_is_that_of_a_balanced_design():
    a, b = np.repeat([0, 1], 50), np.tile([0, 1], 50)
    rng = np.random.default_rng(0)
    found = s.explained(3.0 * a + rng.normal(0, 0.1, 100), {"a": a, "b": b})
    assert found["a"] > 0.98
    assert found["b"] < 0.02


def pairs(rng, effect, n=30):
    """Two arms on the same seeds: they share what is easy, and one may be better."""
    shared = rng.normal(size=n)
    return (shared + rng.normal(size=n) - shift for shift in (0.0, effect))


def p_of(test, rng, effect):
    a, b = pairs(rng, effect)
    if test == "paired_success":
        return s.paired_success(a > 0, b > 0).p
    if test == "difference":
        return s.difference(a, b, resamples=999).p
    return s.time_to_solve(np.exp(-a), np.exp(-a) < 6, np.exp(-b), np.exp(-b) < 6)


@pytest.mark.parametrize("test", ["paired_success", "time_to_solve", "difference"])
def test_false_verdicts_are_as_rare_as_promised_and_planted_effects_are_found(test, monkeypatch):
    """Families of five comparisons of 30 pairs, Holm at .05, with nothing and with one planted."""
    monkeypatch.setattr("gc.collect", lambda *_: 0)  # which statsmodels calls for each family
    rng, families = np.random.default_rng(7), 250 if test == "difference" else 400
    nothing = np.array([[p_of(test, rng, 0.0) for _ in range(5)] for _ in range(families)])
    claimed = [min(s.holm(dict(zip("abcde", p, strict=True))).values()) < 0.05 for p in nothing]
    assert np.mean(claimed) <= 0.07
    planted = [
        s.holm(dict(zip("abcde", (p_of(test, rng, 2.0), *p[1:]), strict=True)))["a"] < 0.05
        for p in nothing[:60]
    ]
    assert np.mean(planted) >= 0.8


def test_differences_of_pairs():
    rng = np.random.default_rng(0)
    a = rng.normal(size=30)
    found = s.difference(a + 0.5, a + rng.normal(0, 0.1, 30))
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(0.5, abs=0.06)
    assert found.p < 0.001
    null = [s.difference(rng.normal(size=12), rng.normal(size=12)).p for _ in range(60)]
    assert np.mean(np.array(null) < 0.05) <= 0.15
    assert s.difference([1.0, 1.0], [1.0, 1.0]).p == 1.0
