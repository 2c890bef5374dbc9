"""Tables that are honest but awkward: zones, late starts, open ends, odd names, mixed calendars."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest

from gatewise.errors import ConfigError
from gatewise.forecast import Forecaster, backtest

QUICK = {"prediction_length": 3, "max_epochs": 1}


def days(n, first=dt.date(2024, 1, 1)):
    return [first + dt.timedelta(days=i) for i in range(n)]


def walk(n, seed=0):
    return np.random.default_rng(seed).normal(size=n).cumsum() + 50


def test_zoned_pandas_times_keep_their_zone():
    time = pd.date_range("2024-01-01", periods=80, freq="D", tz="Europe/Berlin")
    made = Forecaster(**QUICK).fit(pd.DataFrame({"ds": time, "y": walk(80)})).predict()
    assert made["ds"].dtype == time.dtype
    assert made["ds"].iloc[0] == pd.Timestamp("2024-03-21", tz="Europe/Berlin")


@pytest.mark.parametrize("rows", [5, 8, 14])
def test_a_series_that_starts_late_is_backtested_with_the_rest(rows):
    table = pl.concat(
        pl.DataFrame({"unique_id": name, "ds": days(150)[-n:], "y": walk(n, seed)})
        for seed, (name, n) in enumerate((("old", 150), ("young", rows)))
    )
    made = backtest(Forecaster(**QUICK), table, folds=4, checks=False)
    assert made.forecasts.filter(pl.col("unique_id") == "young")["forecast"].is_finite().all()


def test_a_target_missing_at_the_end_is_learnt_from_all_the_same():
    rng = np.random.default_rng(2)
    x = rng.normal(size=300)
    y = np.r_[0, 2 * x[:-1]] + 0.1 * rng.normal(size=300)
    y[-60:] = np.nan
    f = Forecaster(3, max_epochs=6).fit(
        pl.DataFrame({"ds": range(300), "y": y, "x": x}), past=["x"]
    )
    assert f.fitted.training.best > 0


@pytest.mark.parametrize("name", ["forecast", "origin", "actual", "lo-80", "linear"])
@pytest.mark.parametrize("role", ["time", "series"])
def test_names_of_result_columns_are_refused(name, role):
    table = pl.DataFrame({"ds": range(60), "unique_id": "a", "y": walk(60)})
    columns = {"time": "ds", "series": "unique_id"}
    table = table.rename({columns[role]: name})
    with pytest.raises(ConfigError, match="Rename it"):
        Forecaster(**QUICK).fit(table, **(columns | {role: name}))


def test_sparse_series_are_scored_inside_the_window_only():
    daily = days(400, dt.date(2022, 1, 1))
    monthly = [d for d in daily if d.day == 1]
    table = pl.concat(
        pl.DataFrame({"unique_id": name, "ds": time, "y": walk(len(time))})
        for name, time in (("daily", daily), ("monthly", monthly))
    )
    made = backtest(Forecaster(**QUICK), table, folds=12, refit_every=12, checks=False)
    sparse = made.forecasts.filter(pl.col("unique_id") == "monthly")
    assert not sparse["ds"].is_duplicated().any()


def test_the_quantile_loss_does_not_depend_on_the_levels_asked_for():
    table = pl.DataFrame({"ds": range(100), "y": walk(100)})
    found = {
        backtest(Forecaster(3, levels, max_epochs=0), table, folds=4, checks=False).scores[
            "last value"
        ]["wql"]
        for levels in ((80, 95), (90,), (10, 20, 30))
    }
    assert len(found) == 1


def test_overlapping_windows_need_more_origins_for_a_verdict():
    table = pl.DataFrame({"ds": range(120), "y": walk(120)})
    made = backtest(Forecaster(**QUICK), table, folds=8, step=1, refit_every=8, checks=False)
    assert made.verdict == "No verdict: 8 origins are too few for a test. Use at least 16 folds."
