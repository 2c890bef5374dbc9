"""Empty rows, a floor, a typing error: what a few values may not do to the rest of a forecast."""

import numpy as np
import polars as pl
import pytest

from gatewise.errors import ConfigError
from gatewise.forecast import Forecaster

MODELS = ("window", "pretrained")
COLUMNS = ("lo-95", "lo-80", "forecast", "hi-80", "hi-95")


def fitted(y, model, h=12, **options):
    table = pl.DataFrame({"ds": np.arange(len(y)), "y": np.asarray(y, float)})
    return Forecaster(h, model=model, threads=1, **options).fit(table)


def quantiles(y, model, h=12, **options):
    return fitted(y, model, h, **options).predict().select(COLUMNS).to_numpy()


def walk(n, seed=0, start=50.0):
    return start + np.cumsum(np.random.default_rng(seed).normal(size=n))


def seasonal(n, seed=0):
    noise = np.random.default_rng(seed).normal(size=n)
    return 100 + 20 * np.sin(2 * np.pi * np.arange(n) / 12) + 2 * noise


def but(y, rows, value=np.nan):
    y = y.copy()
    y[rows] = value
    return y


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("rows", [24, 40, 120])
@pytest.mark.parametrize("empty", [1, 5, 30])
def test_empty_rows_before_the_first_value_do_not_matter(model, rows, empty):
    y = 20 + np.random.default_rng(rows).normal(size=rows)
    late = np.arange(empty, empty + rows)
    table = pl.DataFrame({"ds": late, "y": y})
    longer = pl.DataFrame({"ds": np.arange(empty + rows), "y": np.append([np.nan] * empty, y)})
    made = [
        Forecaster(6, model=model, threads=1).fit(t).predict().select(COLUMNS).to_numpy()
        for t in (table, longer)
    ]
    np.testing.assert_array_equal(*made)


def test_empty_rows_do_not_choose_the_model():
    y = walk(12)
    options = {"ensemble_size": 1, "max_epochs": 1}
    models = [fitted(v, "auto", 6, **options).fitted.model for v in (y, np.append([np.nan] * 9, y))]
    assert type(models[0]) is type(models[1])


@pytest.mark.parametrize("model", MODELS)
def test_gaps_do_not_make_a_walk_look_wilder(model):
    ratio = []
    for seed in range(4):
        y = walk(400, seed)
        gaps = np.random.default_rng(seed).choice(399, 130, replace=False)
        with_gaps, whole = quantiles(but(y, gaps), model), quantiles(y, model)
        ratio.append((with_gaps[:, 4] - with_gaps[:, 0]) / (whole[:, 4] - whole[:, 0]))
    assert 0.75 < np.median(ratio) < 1.35


@pytest.mark.parametrize("model", MODELS)
def test_after_empty_rows_at_the_end_the_forecast_goes_on(model):
    y = walk(400)
    whole, late = quantiles(y, model), quantiles(but(y, slice(-4, None)), model)
    assert np.isfinite(late).all()
    assert np.abs(late[:, 2] - y[-5]).max() < 4
    assert (late[0, 4] - late[0, 0]) > 1.3 * (whole[0, 4] - whole[0, 0])


@pytest.mark.parametrize("model", MODELS)
def test_what_was_never_negative_is_forecast_above_zero_by_both_models(model):
    y = np.abs(walk(200, start=1.0))
    f = fitted(y, model)
    assert f.predict().select(COLUMNS).to_numpy().min() >= 0
    assert any("no forecast is below 0" in note for note in f.fitted.notes)
    free = fitted(y, model, lower=None, transform="none")
    assert free.predict().select(COLUMNS).to_numpy().min() < 0
    assert not any("no forecast is below" in note for note in free.fitted.notes)
    paths = f.sample(50)["value"]
    assert paths.min() >= 0


@pytest.mark.parametrize("model", MODELS)
def test_a_floor_of_ones_own_holds_and_is_kept_in_the_file(model, tmp_path):
    y = 10 + np.abs(walk(200, start=0.0))
    f = fitted(y, model, lower=9.5)
    made = f.predict()
    assert made["lo-95"].min() >= 9.5
    assert any("lower is 9.5: no forecast is below 9.5." in note for note in f.fitted.notes)
    f.save(tmp_path / "m")
    assert Forecaster.load(tmp_path / "m").predict().equals(made)


def test_a_floor_above_a_value_is_refused():
    with pytest.raises(ConfigError, match=r"lower is 60, and target 'y' goes down to"):
        fitted(walk(60), "window", lower=60)
    with pytest.raises(ConfigError, match='lower is nan: expected a number, "auto" or None'):
        Forecaster(lower=float("nan"))


def test_minus_infinity_is_no_floor():
    assert Forecaster(lower=-np.inf).config.lower is None


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("rows", [72, 180])
@pytest.mark.parametrize("place", [30, -40, -5, -1])
def test_one_gross_outlier_loses_neither_season_nor_forecast(model, rows, place):
    y = seasonal(rows)
    f = fitted(but(y, place, 1e6), model)
    assert f.fitted.model.season_length == 12
    made = f.predict().select(COLUMNS).to_numpy()
    truth = 100 + 20 * np.sin(2 * np.pi * np.arange(rows, rows + 12) / 12)
    assert np.abs(made[:, 2] - truth).max() < 12
    assert np.median(made[:, 4] - made[:, 0]) < 3 * 7.84
    assert any("holds 1e+06, far outside" in note for note in f.fitted.notes)


def test_a_month_that_stands_out_each_year_is_no_outlier():
    y = but(seasonal(120), slice(11, None, 12), 900.0)
    f = fitted(y, "pretrained")
    assert f.fitted.model.season_length == 12
    assert f.predict()["forecast"][11] == pytest.approx(900, rel=0.1)
    assert not any("far outside" in note for note in f.fitted.notes)


def test_a_series_on_another_level_is_no_outlier_of_the_others():
    """Bounds that are common to all series once made every value of a large one missing."""
    rng, rows = np.random.default_rng(0), 120
    small = [10 + rng.normal(size=rows).cumsum() * 0.1 for _ in range(3)]
    large = 1e6 + 100 * rng.normal(size=rows).cumsum()
    typed = small[0].copy()
    typed[50] = 1e9
    names = np.repeat(["a", "b", "c", "large"], rows)

    def table(first):
        y = np.concatenate([first, *small[1:], large])
        return pl.DataFrame({"unique_id": names, "ds": np.tile(np.arange(rows), 4), "y": y})

    quick = {"model": "window", "max_epochs": 1}
    f = Forecaster(4, **quick).fit(table(small[0]))
    assert not any("far outside" in note for note in f.fitted.notes)
    made = f.predict().filter(pl.col("unique_id") == "large")
    assert made["forecast"].is_between(0.99e6, 1.01e6).all()
    mistyped = Forecaster(4, **quick).fit(table(typed))
    assert any("1e+09" in note for note in mistyped.fitted.notes)
    elsewhere = f.predict(history=table(small[0]).with_columns(y=pl.col("y") + 1e8))
    assert (elsewhere["forecast"] > 0.9e8).all()
