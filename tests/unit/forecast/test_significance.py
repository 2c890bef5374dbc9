import numpy as np
import pytest
from scipy import stats

from gatewise.forecast.evaluation.significance import (
    DieboldMariano,
    diebold_mariano,
    direction,
    holm,
)


def test_without_overlap_it_is_the_t_test():
    a, b = np.random.default_rng(0).exponential(size=(2, 20))
    made = diebold_mariano(a, b)
    expected = stats.ttest_rel(a, b, alternative="less")
    # HLN at lag 0 scales the variance with n - 1, as the t-test does.
    assert made.statistic == pytest.approx(expected.statistic)
    assert made.p_value == pytest.approx(expected.pvalue)
    assert made.origins == 20


def test_lag_widens_the_variance_of_dependent_losses():
    shocks = np.random.default_rng(1).normal(size=64)
    d = np.convolve(shocks, np.ones(5) / 5, mode="valid") + 0.1
    made = diebold_mariano(d, np.zeros(60) + 1e-9, lag=4)
    gamma = [(d - d.mean())[k:] @ (d - d.mean())[: len(d) - k] / 60 for k in range(5)]
    variance = (gamma[0] + 2 * sum(gamma[1:])) / 60
    factor = np.sqrt((60 + 1 - 10 + 5 * 4 / 60) / 60)
    assert made.statistic == pytest.approx(d.mean() / np.sqrt(variance) * factor, rel=1e-6)


def test_a_negative_variance_falls_back_to_bartlett():
    d = np.tile([1.0, -1.0], 10) + np.linspace(0, 0.1, 20)
    made = diebold_mariano(d, np.zeros(20), lag=1)
    assert np.isfinite(made.statistic)
    assert 0 < made.p_value < 1


def test_equal_losses_and_few_origins_are_no_evidence():
    loss = np.arange(10.0)
    assert diebold_mariano(loss, loss).p_value == 1.0
    assert diebold_mariano(np.zeros(2), np.ones(2)).p_value == 1.0


def test_missing_losses_drop_out():
    a, b = np.random.default_rng(0).normal(size=(2, 9))
    a[3] = np.nan
    assert diebold_mariano(a, b).origins == 8


def test_direction_stands_against_the_majority_class():
    rng = np.random.default_rng(0)
    actual = np.where(rng.random(1000) < 0.6, 1.0, -1.0)
    always_up = direction(np.ones(1000), actual)
    assert always_up.hit_rate == always_up.majority_rate == pytest.approx(0.6, abs=0.03)
    assert always_up.p_value > 0.4
    assert always_up.low < 0.6 < always_up.high
    assert direction(actual, actual).p_value < 1e-6


def test_forecasts_without_a_sign_are_no_calls():
    made = direction(np.zeros(5), np.ones(5))
    assert made.calls == 0
    assert np.isnan(made.hit_rate)


def test_holm_multiplies_by_the_tests_that_are_left():
    p = {"a": 0.04, "b": 0.01, "c": 0.03, "d": 0.9}
    made = holm({name: DieboldMariano(0.0, v, 9, p_worse=1 - v) for name, v in p.items()})
    adjusted = {name: test.p_adjusted for name, test in made.items()}
    assert adjusted == pytest.approx({"a": 0.09, "b": 0.04, "c": 0.09, "d": 0.9})
    assert made["d"].p_worse_adjusted == pytest.approx(0.4)
    assert made["b"].p_value == 0.01
    assert holm({}) == {}


def test_both_directions_and_the_interval_belong_to_one_test():
    a, b = np.random.default_rng(0).exponential(size=(2, 30))
    made, turned = diebold_mariano(a, b), diebold_mariano(b, a)
    assert made.p_worse == pytest.approx(turned.p_value)
    interval = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (made.low, made.high) == pytest.approx((interval.low, interval.high))
    assert made.difference == pytest.approx(np.mean(a - b))
    assert diebold_mariano(a, a).p_worse == 1.0


@pytest.mark.parametrize("unit", [1e-300, 1e-160, 1e60])
def test_a_test_does_not_hang_on_the_unit_of_the_losses(unit):
    a, b = np.random.default_rng(0).exponential(size=(2, 30))
    one, other = diebold_mariano(a, b, 2), diebold_mariano(a * unit, b * unit, 2)
    assert other.p_value == pytest.approx(one.p_value, rel=1e-9)
    assert other.high == pytest.approx(one.high * unit, rel=1e-9)
