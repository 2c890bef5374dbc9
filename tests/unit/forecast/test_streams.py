import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from gatewise.errors import ConfigError, TableError
from gatewise.forecast import Forecaster
from gatewise.forecast.data import streams
from gatewise.forecast.data.panel import Columns
from gatewise.forecast.data.table import choose_columns

QUICK = {"prediction_length": 4, "ensemble_size": 1, "max_epochs": 1}


def many(series=30, rows=60):
    rng = np.random.default_rng(1)
    season = 10 * np.sin(2 * np.pi * np.arange(rows) / 12)
    return pl.concat(
        pl.DataFrame(
            {
                "unique_id": f"s{i:02d}",
                "ds": np.arange(rows),
                "y": 100 + season + rng.normal(size=rows),
            }
        )
        for i in range(series)
    )


@pytest.fixture(scope="module")
def table():
    return many()


@pytest.fixture(scope="module")
def fitted(table):
    return Forecaster(**QUICK).fit(table)


@pytest.fixture
def file(table, tmp_path):
    table.sample(fraction=1, shuffle=True, seed=0).write_parquet(tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(streams, "ROWS", 7 * 60)


def same(made, expected):
    assert made.equals(expected.sort("unique_id", "ds"))


def test_a_file_that_fits_gives_what_its_table_gives(file, fitted):
    for source in (file, str(file), file.parent, pl.scan_parquet(file), ds.dataset(file)):
        made = Forecaster(**QUICK).fit(source)
        assert made.fitted.whole
        assert made.predict().sort("unique_id", "ds").equals(fitted.predict())


def test_of_a_large_file_series_are_drawn_by_the_seed(file, small):
    made = Forecaster(**QUICK).fit(file)
    assert len(made.fitted.tail.series) == 7
    assert not made.fitted.whole
    note = "Fitted on 7 of 30 series, drawn at random (420 of 1800 rows)."
    assert made.fitted.notes[0] == note
    names = [s.name for s in made.fitted.tail.series]
    again = Forecaster(**QUICK).fit(file)
    assert sorted(s.name for s in again.fitted.tail.series) == sorted(names)
    with pytest.raises(ConfigError, match=r"fitted on 7 series drawn .* predict\(history=\.\.\.\)"):
        made.predict()
    assert made.predict(history=file).height == 30 * 4


def test_a_saved_forecaster_knows_that_it_saw_a_sample(file, small, tmp_path):
    Forecaster(**QUICK).fit(file).save(tmp_path / "m")
    with pytest.raises(ConfigError, match="drawn from a file"):
        Forecaster.load(tmp_path / "m").predict()


def test_batches_of_a_file_in_any_order_give_the_forecast_of_the_table(file, fitted, small):
    expected = fitted.predict()
    same(fitted.predict(history=file), expected)
    same(fitted.predict(history=pl.scan_parquet(file)), expected)
    made = fitted.predict(history=ds.dataset(file))
    assert isinstance(made, pa.Table)
    same(pl.DataFrame(made), expected)


def test_the_forecast_is_written_as_it_is_made(file, fitted, small, tmp_path):
    out = fitted.predict(history=file, out=tmp_path / "made.parquet")
    same(pl.read_parquet(out), fitted.predict())
    assert pl.scan_parquet(out).collect_schema().names()[:3] == ["unique_id", "ds", "forecast"]
    plain = fitted.predict(out=tmp_path / "plain.parquet")
    assert pl.read_parquet(plain).equals(fitted.predict())


def test_a_write_that_fails_half_way_leaves_nothing(fitted, small, table, tmp_path):
    broken = table.with_columns(
        y=pl.when(pl.col("unique_id") == "s29").then(None).otherwise(pl.col("y"))
    )
    with pytest.raises(TableError, match="of series 's29' has no value"):
        fitted.predict(history=broken.lazy(), out=tmp_path / "made.parquet")
    assert not list(tmp_path.glob("*made*"))


def test_batches_hold_whole_series_and_no_more_rows_than_asked_for(table):
    stream = streams.open_stream(table.lazy(), choose_columns(table))
    batches = list(stream.batches(130))
    assert [len(batch) for batch in batches] == [120] * 15
    assert pl.concat(batches).sort("unique_id", "ds").equals(table)
    assert [len(batch) for batch in stream.batches(10)] == [60] * 30


def test_one_series_is_read_whole(small):
    table = pl.DataFrame({"ds": range(1000), "y": np.sin(np.arange(1000) * np.pi / 6) + 3})
    made = Forecaster(**QUICK).fit(table.lazy())
    assert made.fitted.whole
    assert made.predict(history=table.lazy())["ds"].to_list() == [1000, 1001, 1002, 1003]


def test_categories_and_numbers_name_series(table, small):
    number = pl.col("unique_id").str.tail(2)
    for series in (number.cast(pl.Int64), pl.col("unique_id").cast(pl.Categorical)):
        made = Forecaster(**QUICK).fit(table.with_columns(unique_id=series).lazy())
        assert len(made.fitted.tail.series) == 7


def test_known_future_drivers_may_be_in_a_file(table, small, tmp_path):
    both = table.with_columns(x=pl.col("ds") % 3)
    past, ahead = both.filter(pl.col("ds") < 56), both.filter(pl.col("ds") >= 56).drop("y")
    ahead.write_parquet(tmp_path / "ahead.parquet")
    made = Forecaster(4, max_epochs=1).fit(past.lazy(), future=["x"])
    found = made.predict(future=tmp_path / "ahead.parquet", history=past.lazy())
    assert found.height == 30 * 4


def test_what_cannot_be_read_is_said(table, tmp_path):
    f = Forecaster(**QUICK)
    with pytest.raises(TableError, match=r"'none.parquet' does not exist"):
        f.fit("none.parquet")
    with pytest.raises(TableError, match="has no Parquet file"):
        f.fit(tmp_path)
    with pytest.raises(TableError, match="no column 'z'"):
        f.fit(table.lazy(), target="z")
    with pytest.raises(TableError, match="rows without a value"):
        f.fit(table.with_columns(unique_id=pl.lit(None, pl.String)).lazy())
    with pytest.raises(TableError, match="no column 'y'"):
        streams.open_stream(table.drop("y").lazy(), Columns("ds", "y"))


def test_a_csv_file_is_read_whole(table, fitted, tmp_path):
    table.write_csv(tmp_path / "t.csv")
    assert Forecaster(**QUICK).fit(tmp_path / "t.csv").predict().equals(fitted.predict())
