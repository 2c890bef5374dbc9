"""Sample paths: each step as the quantiles say, steps together as the errors were."""

import numpy as np
import polars as pl
import pytest

from gatewise.errors import ConfigError
from gatewise.forecast.uncertainty.paths import sample_paths, step_correlation

P = (0.025, 0.1, 0.5, 0.9, 0.975)


def normal_errors(rng, n=4000):
    walk = np.cumsum(rng.normal(size=(n, 4)), axis=1)
    return walk, np.quantile(walk, P, axis=0).T[None]


def test_paths_have_the_quantiles_and_the_correlation_of_the_errors():
    errors, quantiles = normal_errors(np.random.default_rng(0))
    drawn = sample_paths(quantiles, P, step_correlation(errors), 8000, np.random.default_rng(1))[0]
    np.testing.assert_allclose(np.quantile(drawn, P, axis=0).T, quantiles[0], atol=0.12)
    np.testing.assert_allclose(
        np.corrcoef(drawn, rowvar=False), np.corrcoef(errors, rowvar=False), atol=0.05
    )


def test_a_step_without_spread_stays_where_it_is():
    drawn = sample_paths(np.full((1, 2, 5), 3.0), P, np.eye(2), 10, np.random.default_rng(0))
    assert (drawn == 3).all()


def test_samples_stand_in_a_long_table(shop_forecaster, shops_known):
    made = shop_forecaster.sample(5, future=shops_known[1], seed=3)
    assert made.columns == ["shop", "month", "sample", "value"]
    assert made.height == 3 * 5 * 6
    assert made["value"].is_finite().all()
    assert made.equals(shop_forecaster.sample(5, future=shops_known[1], seed=3))
    assert not made.equals(shop_forecaster.sample(5, future=shops_known[1], seed=4))
    predicted = shop_forecaster.predict(future=shops_known[1])
    assert made["month"][:6].equals(predicted["month"][:6])


def test_paths_lie_within_the_intervals_as_often_as_said(walk_forecaster):
    made = walk_forecaster.sample(2000)
    spread = made.group_by("ds", maintain_order=True).agg(
        pl.col("value").quantile(0.1).alias("low"), pl.col("value").quantile(0.9).alias("high")
    )
    predicted = walk_forecaster.predict()
    width = (predicted["hi-80"] - predicted["lo-80"]).to_numpy()
    assert (np.abs(spread["low"] - predicted["lo-80"]) < 0.12 * width).all()
    assert (np.abs(spread["high"] - predicted["hi-80"]) < 0.12 * width).all()


def test_no_paths_are_refused(walk_forecaster):
    with pytest.raises(ConfigError, match="count is 0: expected at least 1"):
        walk_forecaster.sample(0)
