"""However a table is written, its forecasts are the same."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from gatewise.errors import TableError
from gatewise.forecast import Forecaster

QUICK = {"prediction_length": 4, "ensemble_size": 2, "max_epochs": 1, "threads": 1}
ROWS = 60


def several(series=22):
    rng = np.random.default_rng(5)
    months = pl.date_range(dt.date(2010, 1, 1), dt.date(2030, 1, 1), "1mo", eager=True).head(ROWS)
    season = 10 * np.sin(2 * np.pi * np.arange(ROWS) / 12)
    return pl.concat(
        pl.DataFrame(
            {
                "unique_id": f"s{i:02d}",
                "ds": months,
                "y": 90 + season + rng.normal(size=ROWS),
            }
        )
        for i in range(series)
    )


@pytest.fixture(scope="module")
def table():
    return several()


@pytest.fixture(scope="module")
def made(table):
    return forecasts(table)


def forecasts(table, **options):
    made = pl.DataFrame(Forecaster(**QUICK, **options).fit(table).predict())
    return made.sort("unique_id", "ds")


def numbers(made):
    return made.select(pl.selectors.float()).to_numpy()


@pytest.mark.parametrize("seed", [0, 1])
def test_in_any_order_of_rows(table, made, seed):
    shuffled = table.sample(fraction=1, shuffle=True, seed=seed)
    assert forecasts(shuffled).equals(made)
    assert forecasts(table.sort("ds")).equals(made)


def test_as_pandas_or_pyarrow(table, made):
    for other in (table.to_pandas(), table.to_arrow()):
        np.testing.assert_array_equal(numbers(forecasts(other)), numbers(made))


def test_as_pandas_with_an_index_of_its_own(table, made):
    shuffled = table.sample(fraction=1, shuffle=True, seed=3).to_pandas()
    odd = shuffled.set_index(shuffled["y"].rank().astype(int) % 7)
    np.testing.assert_array_equal(numbers(forecasts(odd)), numbers(made))


@pytest.mark.parametrize(
    "time",
    [
        pl.col("ds").cast(pl.Datetime("us")),
        pl.col("ds").cast(pl.Datetime("ns", "Europe/Berlin")),
        pl.col("ds").dt.strftime("%Y-%m-%d"),
        pl.col("ds").dt.strftime("%Y-%m-%d 00:00:00"),
    ],
    ids=["datetime", "zoned", "text", "text of datetimes"],
)
def test_however_dates_are_written(table, made, time):
    np.testing.assert_array_equal(numbers(forecasts(table.with_columns(time))), numbers(made))


def test_with_integer_times_and_the_season_named_or_found(table, made):
    counted = table.with_columns(ds=pl.int_range(ROWS).over("unique_id"))
    np.testing.assert_array_equal(numbers(forecasts(counted, season_length=12)), numbers(made))
    np.testing.assert_array_equal(numbers(forecasts(counted)), numbers(made))


def test_under_other_names_of_columns_and_series(table, made):
    other = table.rename({"unique_id": "shop", "ds": "month", "y": "sales"})
    f = Forecaster(**QUICK).fit(other, time="month", target="sales", series="shop")
    np.testing.assert_array_equal(numbers(f.predict()), numbers(made))
    categories = table.with_columns(pl.col("unique_id").cast(pl.Categorical))
    np.testing.assert_array_equal(numbers(forecasts(categories)), numbers(made))


def test_a_history_of_another_frequency_is_refused(table):
    f = Forecaster(**QUICK).fit(table)
    days = pl.date_range(dt.date(2020, 1, 1), dt.date(2020, 3, 1), eager=True)
    daily = pl.DataFrame({"unique_id": "s00", "ds": days, "y": np.arange(61.0)})
    with pytest.raises(
        TableError,
        match="rows of the table are 1 day apart, and the forecaster was fitted on rows 31 days",
    ):
        f.predict(history=daily)
    with pytest.raises(
        TableError, match=r"'ds' holds integers, .* fitted on dates: expected dates"
    ):
        f.predict(history=daily.with_columns(ds=pl.int_range(61)))
    assert f.predict(history=table.tail(2)).height == 4
    counted = Forecaster(**QUICK).fit(table.with_columns(ds=pl.int_range(ROWS).over("unique_id")))
    with pytest.raises(TableError, match=r"are 7 apart, and .* rows 1 apart"):
        counted.predict(history=daily.with_columns(ds=7 * pl.int_range(61)))


def test_the_options_are_those_of_an_estimator_of_scikit_learn():
    f = Forecaster(prediction_length=3, levels=[90], max_epochs=1)
    assert f.get_params()["levels"] == (90,)
    assert f.set_params(max_epochs=2, seed=4) is f
    assert f.config.max_epochs == 2
    assert Forecaster(**f.get_params()).config == f.config
    with pytest.raises(ValueError, match="Unknown option 'max_epoch'"):
        f.set_params(max_epoch=2)


def test_scikit_learn_clones_a_forecaster(table):
    base = pytest.importorskip("sklearn.base")
    f = Forecaster(**QUICK, learning_rate=1e-3)
    assert f.fit(table) is f
    copy = base.clone(f)
    assert copy.config == f.config
    assert not copy.is_fitted


def test_changed_options_hold_from_the_next_fit_on(table):
    f = Forecaster(**QUICK).fit(table)
    f.set_params(prediction_length=2, levels=(50,))
    assert f.predict().columns[-2:] == ["lo-95", "hi-95"]
    assert f.predict().height == 22 * 4
    assert f.fit(table).predict().columns[-1] == "hi-50"
