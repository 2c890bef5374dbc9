"""Distributions: quantiles invert the likelihood, and forecasters use them."""

import numpy as np
import polars as pl
import pytest
import torch
from scipy.stats import nbinom, t

from gatewise.errors import ConfigError, TableError
from gatewise.forecast import Forecaster
from gatewise.forecast.models.residual import distribution as ds

P = (0.1, 0.5, 0.9)


def test_the_losses_are_the_negative_log_likelihoods():
    location, spread, outputs = torch.full((1, 1), 6.0), torch.ones(1, 1), torch.zeros(1, 1, 2)
    unit, label = torch.full((1, 1), 2.0), torch.full((1, 1), 9.0)
    soft = np.log(2)
    scale, freedom = soft + 1e-3, 2 + soft
    made = ds.loss("student-t", location, spread, outputs, label, unit)
    expected = -t.logpdf(4.5, freedom, 3.0, scale / 2)
    assert float(made) == pytest.approx(expected, rel=1e-5)
    total = 1 / (soft + 1e-3)
    made = ds.loss("negative-binomial", location, spread, outputs[..., :1], label, unit)
    assert float(made) == pytest.approx(-nbinom.logpmf(9, total, total / (total + 6)), rel=1e-5)
    made = ds.loss("empirical", location, spread, outputs[..., :0], label, unit)
    assert float(made) == pytest.approx(1.5)


def test_quantiles_are_those_of_the_distributions():
    at, outputs = np.full((1, 1), 6.0), np.zeros((1, 1, 2))
    found = ds.quantiles("student-t", at, np.ones((1, 1)), outputs, P)
    np.testing.assert_allclose(t.cdf(found, 2 + np.log(2), 6.0, np.log(2) + 1e-3)[0, 0], P)
    counts = ds.quantiles("negative-binomial", at, at, outputs[..., :1], P)
    total = 1 / (np.log(2) + 1e-3)
    np.testing.assert_array_equal(counts[0, 0], nbinom.ppf(P, total, total / (total + 6)))


def counts(series=24, rows=60, seed=0):
    rng = np.random.default_rng(seed)
    t = np.arange(rows)
    parts = [
        pl.DataFrame({"unique_id": [f"s{i}"] * rows, "ds": t,
                      "y": rng.poisson(np.exp(1.5 + 0.5 * np.sin(2 * np.pi * t / 4) + i / 30))})
        for i in range(series)
    ]  # fmt: skip
    return pl.concat(parts)


@pytest.mark.parametrize("kind", ["student-t", "negative-binomial"])
def test_forecasts_come_from_the_distribution(kind, tmp_path):
    options = {"max_epochs": 8, "ensemble_size": 2, "season_length": 4, "model": "residual"}
    f = Forecaster(4, distribution=kind, **options).fit(counts())
    made = f.predict()
    for lower, upper in (("lo-95", "lo-80"), ("lo-80", "forecast"), ("forecast", "hi-80")):
        assert (made[lower] <= made[upper]).all()
    assert (made["lo-95"] >= 0).all()
    whole = (made["hi-95"] == made["hi-95"].round()).all()
    assert whole == (kind == "negative-binomial")
    f.save(tmp_path / "m")
    assert Forecaster.load(tmp_path / "m").predict().equals(made)


def test_what_is_no_count_is_refused():
    table = counts().with_columns(pl.col("y") + 0.5)
    with pytest.raises(TableError, match=r"holds .*\.5: expected counts"):
        Forecaster(4, distribution="negative-binomial", model="residual").fit(table)
    with pytest.raises(ConfigError, match="distribution is 'normal'"):
        Forecaster(4, distribution="normal")
