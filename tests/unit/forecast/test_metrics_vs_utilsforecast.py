"""Our scores are utilsforecast's, to rounding; where the units differ, the factor stands here."""

import numpy as np
import polars as pl
import pytest
from utilsforecast import losses

from gatewise.forecast.evaluation import metrics

P = (0.1, 0.3, 0.5, 0.7, 0.9)  # even, so that each stands for a share of 1 / 5
N = 200
RNG = np.random.default_rng(0)
ACTUAL = RNG.normal(10, 4, size=N)
QUANTILES = np.sort(ACTUAL[:, None] + RNG.normal(size=(N, 5)), axis=1)
HISTORY = RNG.normal(10, 4, size=60)
TABLE = pl.DataFrame(
    {"unique_id": "a", "ds": range(60, 60 + N), "y": ACTUAL, "m": QUANTILES[:, 2]}
    | {f"q{k}": QUANTILES[:, k] for k in range(5)}
    | {"m-lo-80": QUANTILES[:, 0], "m-hi-80": QUANTILES[:, 4]}
)
PAST = pl.DataFrame({"unique_id": "a", "ds": range(60), "y": HISTORY})
POINT = QUANTILES[:, 2]


def theirs(loss, *arguments, **options):
    return loss(TABLE, *arguments, **options)["m"][0]


@pytest.mark.parametrize(
    ("name", "factor"), [("mae", 1), ("mse", 1), ("smape", 200), ("mape", 100)]
)
def test_point_scores(name, factor):
    ours = getattr(metrics, name)(POINT, ACTUAL)
    assert ours == pytest.approx(factor * theirs(getattr(losses, name), ["m"]), rel=1e-12)


def test_rmse_is_the_root():
    assert metrics.mse(POINT, ACTUAL) ** 0.5 == pytest.approx(theirs(losses.rmse, ["m"]), rel=1e-12)


@pytest.mark.parametrize("season_length", [1, 12])
def test_mase(season_length):
    ours = metrics.mase(POINT, ACTUAL, metrics.naive_scale(HISTORY, season_length))
    assert ours == pytest.approx(theirs(losses.mase, ["m"], season_length, PAST), rel=1e-12)


def test_coverage():
    ours = metrics.coverage(QUANTILES[:, 0], QUANTILES[:, 4], ACTUAL)
    assert ours == pytest.approx(theirs(losses.coverage, ["m"], 80), rel=1e-12)


@pytest.mark.parametrize("k", range(5))
def test_pinball(k):
    ours = metrics.pinball(QUANTILES[:, k], ACTUAL, P[k]).mean()
    assert ours == pytest.approx(theirs(losses.quantile_loss, {"m": f"q{k}"}, P[k]), rel=1e-12)


def test_the_quantile_loss_over_the_mean_size():
    ours = metrics.weighted_quantile_loss(QUANTILES, ACTUAL, P).mean() / np.abs(ACTUAL).mean()
    columns = {"m": [f"q{k}" for k in range(5)]}
    assert ours == pytest.approx(theirs(losses.scaled_crps, columns, np.array(P)), rel=1e-12)
