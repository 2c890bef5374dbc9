import numpy as np
import pytest
from scipy import stats

from gatewise.forecast.evaluation import metrics


def test_the_quantile_loss_of_many_quantiles_is_that_of_the_distribution():
    p = tuple((np.arange(999) + 1) / 1000)
    q = stats.norm.ppf(p)[None]
    y = 0.7
    exact = y * (2 * stats.norm.cdf(y) - 1) + 2 * stats.norm.pdf(y) - 1 / np.sqrt(np.pi)
    assert metrics.weighted_quantile_loss(q, np.array([y]), p)[0] == pytest.approx(exact, rel=1e-2)


def test_scales_never_divide_by_zero():
    assert np.isnan(metrics.naive_scale(np.ones(20), 1))  # no unit, and not 1
    assert np.isnan(metrics.naive_scale(np.array([np.nan, np.nan]), 1))
    assert metrics.naive_scale(np.array([1.0, 3.0]), 12) == 2.0
    assert metrics.smape(np.zeros(2), np.zeros(2)) == 0.0
    assert np.isnan(metrics.mape(np.ones(2), np.zeros(2)))


def test_percentages_and_coverage():
    actual = np.array([100.0, 200.0])
    assert metrics.mape(np.array([110.0, 180.0]), actual) == pytest.approx(10.0)
    assert metrics.coverage(actual - 1, np.array([100.0, 199.0]), actual) == 0.5


def test_pit_of_true_quantiles_is_as_expected():
    p = (0.1, 0.5, 0.9)
    y = np.random.default_rng(0).normal(size=4000)
    made = metrics.pit(np.tile(stats.norm.ppf(p), (4000, 1)), y, p)
    np.testing.assert_allclose(made["observed"], made["expected"], atol=0.03)
