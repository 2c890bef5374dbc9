"""Pooled errors: their growth is smooth, their number honest, their quantiles wide enough."""

import numpy as np
import pytest
from scipy.stats import norm

from gatewise.forecast.models.residual.bands import error_bands
from gatewise.forecast.models.residual.calibration import Errors
from gatewise.forecast.uncertainty.pooling import (
    error_scale,
    few_errors,
    independent_errors,
    independent_series,
    pooled_quantile,
)

K = np.arange(1, 13)


@pytest.mark.parametrize(
    "variance", [K / 3, np.ones(12), 1 - 0.49**K, 1.0 + 0.2 * K, 0.1 + 0.02 * K**2]
)
def test_known_growth_is_found_in_few_noisy_squares(variance):
    rng = np.random.default_rng(0)
    noisy = variance * rng.chisquare(20, size=(200, 12)) / 20
    found = np.array([error_scale(squares) for squares in noisy])
    assert (np.diff(found, axis=1) >= -1e-12).all()
    np.testing.assert_allclose(np.median(found, axis=0), np.sqrt(variance), rtol=0.15)


def test_steps_without_errors_are_filled_in():
    found = error_scale(np.array([1.0, np.nan, 3.0, 0.0]))
    assert (np.diff(found) > 0).all()
    assert error_scale(np.array([np.nan, 0.0])).tolist() == [0.0, 0.0]


def test_one_series_is_one_and_copies_are_one():
    z = np.random.default_rng(0).normal(size=(1, 300))
    assert independent_series(z) == 1
    assert independent_series(np.repeat(z, 24, axis=0)) == pytest.approx(1)
    assert independent_series(np.full((3, 4), np.nan)) == 1


def test_noise_is_worth_its_rows_and_a_walk_much_less():
    assert independent_errors(65, np.ones(12)) == 65
    assert independent_errors(65, np.sqrt(K), together=2.0) == 20
    assert independent_errors(1, np.sqrt(K)) == 1


@pytest.mark.parametrize("count", [5, 12, 60])
@pytest.mark.parametrize("p", [0.9, 0.975])
def test_quantiles_of_few_scores_cover_as_promised(count, p):
    rng = np.random.default_rng(count)
    covers = [  # windows that overlap: many scores that say little
        norm.cdf(pooled_quantile(np.repeat([z, -z], 20), p, count) * few_errors(p, count))
        for z in rng.normal(size=(2000, count))
    ]
    assert np.mean(covers) == pytest.approx(p, abs=0.02)


def test_without_scores_there_is_no_quantile():
    assert np.isnan(pooled_quantile(np.array([np.nan]), 0.9, 3.0))


def test_jumps_of_a_series_that_mostly_stands_still_are_no_errors_of_the_data():
    rng = np.random.default_rng(0)
    missed = np.where(rng.random((200, 4)) < 0.8, 1e-3, 5.0) * rng.normal(size=(200, 4))
    errors = Errors(missed, np.zeros(200, np.intp), np.arange(200)[::-1] + 4, 1.0)
    low, _, high = error_bands(errors, 1, (0.025, 0.5, 0.975)).T
    assert ((low <= missed) & (missed <= high)).mean() > 0.9
