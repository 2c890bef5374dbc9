"""Scores that say what they say: each row once, each series by its own past, names that hold."""

import numpy as np
import polars as pl
import pytest

from gatewise.forecast import Forecaster, backtest
from gatewise.forecast.data.table import choose_columns, read_panel
from gatewise.forecast.evaluation import folds, scoring
from gatewise.forecast.evaluation.baselines import Baseline
from gatewise.forecast.evaluation.replaced import renamed
from gatewise.forecast.evaluation.significance import direction

from .simulated import random_walk, table

QUICK = {"max_epochs": 1, "model": "window"}


def panel_of(**series):
    return pl.concat(
        [pl.DataFrame({"unique_id": [n] * len(y), "ds": t, "y": y}) for n, (t, y) in series.items()]
    )


def test_a_row_counts_once_however_many_origins_forecast_it():
    data = random_walk(0, 120)
    every = backtest(Forecaster(6, **QUICK), data, folds=30, step=1, refit_every=30, checks=False,
                     direction=True)  # fmt: skip
    assert every.direction.calls <= 35  # 30 origins a row apart, 6 rows each: 35 rows
    alone = backtest(Forecaster(6, **QUICK), data, folds=5, refit_every=5, checks=False)
    assert alone.direction.calls <= 5  # one at each origin, unless more is asked for


def test_series_that_move_together_are_no_independent_evidence():
    rng = np.random.default_rng(1)
    common = np.tile([1.0, -1.0], 6)
    actual = np.repeat(common, 30) * rng.uniform(0.5, 1, size=360)
    right = np.repeat(np.arange(12) < 9, 30)
    forecast = np.where(right, actual, -actual)
    time = np.repeat(np.arange(12), 30)
    naive, clustered = direction(forecast, actual), direction(forecast, actual, time)
    assert naive.p_value < 1e-4
    assert clustered.p_value > 0.02
    assert clustered.effective == 11  # twelve times, less one for their mean
    assert clustered.hit_rate == naive.hit_rate
    assert clustered.high - clustered.low > 3 * (naive.high - naive.low)


def test_clustered_p_values_are_not_too_small():
    rng, found = np.random.default_rng(0), []
    for _ in range(300):
        common = np.repeat(rng.normal(size=40), 8)
        actual = common + 0.3 * rng.normal(size=320)
        forecast = np.repeat(rng.normal(size=40), 8) + 0.3 * rng.normal(size=320)
        found.append(direction(forecast, actual, np.repeat(np.arange(40), 8)).p_value)
    assert np.mean(np.array(found) < 0.05) < 0.08


@pytest.fixture(scope="module")
def mixed():
    """One that moves, one that never does, one that begins late and then far away."""
    rng = np.random.default_rng(0)
    t = np.arange(120)
    late = 1000 + rng.normal(size=30).cumsum()
    return panel_of(
        moving=(t, rng.normal(size=120).cumsum()),
        still=(t, np.where(t < 110, 7.0, 5007.0)),
        late=(t[90:], late),
    )


def test_a_constant_history_has_no_unit_and_does_not_own_the_table(mixed):
    made = backtest(Forecaster(5, **QUICK), mixed, folds=4, refit_every=4, checks=False,
                    series="unique_id")  # fmt: skip
    assert made.scores["last value"]["mase"] < 10
    assert any("Left out of MASE" in note and "'still'" in note for note in made.notes)


def test_a_late_series_is_scaled_by_rows_before_an_origin_alone(mixed):
    panel = read_panel(mixed, choose_columns(mixed, series="unique_id"))
    config = Forecaster(5, **QUICK).config
    origins = folds.rolling_origins(panel, config, 6, 5)
    assert origins[0].cuts[2] == 0
    baseline = Baseline("none")
    made = folds.forecast_folds(config, panel, origins, baseline)
    rows = scoring.collect(config, panel, made, "none")
    size, _ = scoring.scales_of(panel, rows, origins, baseline)
    first = min(f.index for f in origins if f.cuts[2] >= 2)
    y = panel.series[2].target[: origins[first].cuts[2]]
    mine = rows.series == 2
    assert (rows.fold[mine] >= first).all()
    np.testing.assert_allclose(size[mine], np.abs(np.diff(y)).mean())
    still = (rows.series == 1) & (rows.fold < 5)  # before the last origin it never changed
    assert np.isnan(size[still]).all()
    assert np.isfinite(size[~still]).all()


def test_no_unit_anywhere_is_said():
    still = table(np.r_[np.ones(60), np.arange(5.0)])
    made = backtest(Forecaster(5, **QUICK), still, folds=1, checks=False)
    assert any("not scaled" in note for note in made.notes)
    assert np.isfinite(made.scores["last value"]["mase"])


def test_a_baseline_that_is_another_takes_its_name_or_leaves():
    def run(replaced):
        fold = folds.Fold(0, 0, (5, 5), (6, 6))
        models = ("gatewise", "last value", "drift", "seasonal naive", "AutoETS", "linear")
        made = dict.fromkeys(models, np.zeros((2, 1, 7)))
        return folds.FoldForecast(fold, (0, 1), made, np.zeros((2, 1)), 0, 0, replaced)

    short = run({
        "seasonal naive": {"last value": 2},
        "AutoETS": {"AutoETS without a season": 2},
        "linear": {"mean": 1},
        "drift": {"last value": 2},
    })  # fmt: skip
    (made,), notes = renamed([short], ("last value", "drift"))
    assert list(made.quantiles) == [
        "gatewise", "last value", "drift", "AutoETS without a season", "linear"
    ]  # fmt: skip
    assert len(notes) == 4
    assert any("linear: the table allowed it for 1 of 2 forecasts" in note for note in notes)
    (made,), notes = renamed([run({})], ("last value", "drift"))
    assert list(made.quantiles)[-2:] == ["AutoETS", "linear"]
    assert notes == []


def test_short_monthly_tables_meet_the_true_seasonal_opponents():
    n = 42
    y = 100 + 30 * np.sin(2 * np.pi * np.arange(n) / 12) + np.random.default_rng(0).normal(size=n)
    months = pl.date_range(pl.date(2020, 1, 1), pl.date(2023, 6, 1), "1mo", eager=True)
    data = pl.DataFrame({"ds": months, "y": y})
    made = backtest(Forecaster.pretrained(12), data, folds=1, checks=False)
    assert made.scores["seasonal naive"]["mae"] < 1.6
    assert made.scores["AutoETS"]["mae"] < 1.6
    assert made.scores["last value"]["mae"] > 15
