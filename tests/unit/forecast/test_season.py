"""Seasons are found where they are: a day of hours, a week of days; and not where they are not."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from gatewise.errors import ConfigError
from gatewise.forecast import Forecaster
from gatewise.forecast.data.table import choose_columns, read_panel
from gatewise.forecast.features import season

WEEKS = 8
WEEKDAY = np.array([1.0, 1.1, 1.2, 1.1, 1.0, 0.6, 0.4])


def demand(rows_a_day=24, days=7, weeks=WEEKS, noise=0.05, weekly=True):
    rng = np.random.default_rng(0)
    day = 100 + 40 * np.sin(2 * np.pi * np.arange(rows_a_day) / rows_a_day)
    week = np.outer(WEEKDAY[:days] if weekly else np.ones(days), day).ravel()
    return np.tile(week, weeks) * np.exp(noise * rng.normal(size=weeks * len(week)))


def hours(count):
    start = np.datetime64("2024-01-01T00", "us")  # a Monday
    return start + np.arange(count) * np.timedelta64(1, "h")


def opening_hours(weeks):
    time = hours(168 * weeks)
    hour = np.arange(len(time))
    return time[(hour % 24 >= 9) & (hour % 24 < 18) & (hour // 24 % 7 < 5)]


def panel(time, y):
    table = pl.DataFrame({"ds": time, "y": y})
    return read_panel(table, choose_columns(table))


def test_hours_have_a_day_and_a_week():
    y = demand()
    found = panel(hours(len(y)), y)
    assert season.find(found) == 24
    assert season.find_longer(found, 24) == 168
    assert season.find_longer(panel(np.arange(len(y)), y), 24) == 168


def test_a_week_of_working_days_is_as_long_as_its_rows():
    y = demand(9, 5, weeks=12)
    found = panel(opening_hours(12), y)
    assert season.find_longer(found, 9) == 45
    assert season.find_longer(found, 12) == 1  # no whole days


@pytest.mark.parametrize("kind", ["noise", "walk", "days"])
def test_no_week_is_seen_where_there_is_none(kind):
    rows, found = 24 * 7 * WEEKS, 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        y = demand(weekly=False, noise=0.1)
        if kind == "walk":
            y = y * np.exp(np.cumsum(0.02 * rng.normal(size=rows)))
        if kind == "days":  # days differ, but not by their place in the week
            y = y * np.exp(np.repeat(0.1 * rng.normal(size=rows // 24), 24))
        found += season.find_longer(panel(np.arange(rows), y), 24) > 1
    assert found <= 1


def test_what_has_no_day_has_no_week():
    y = demand()
    months = np.arange("1970-01", "2010-01", dtype="datetime64[M]").astype("datetime64[us]")
    assert season.find_longer(panel(months, y[: len(months)]), 12) == 1
    assert season.find_longer(panel(np.arange(len(y)), y), 1) == 1
    row = panel(hours(2), y[:2])
    row = replace(row, series=(row.series[0].rows(0, 1),))
    assert season.find_longer(row, 24) == 1
    weeks = np.datetime64("1980-01-06", "us") + np.arange(20 * 52) * np.timedelta64(7, "D")
    years = np.resize(demand(52, 7, weeks=3), len(weeks))  # as if of seven years
    assert season.find_longer(panel(weeks, years), 52) == 1


def test_a_week_of_days_is_forecast():
    y = demand(noise=0.01)
    table = pl.DataFrame({"ds": hours(len(y) - 24 * 7), "y": y[: -24 * 7]})
    options = {"prediction_length": 24 * 7, "max_epochs": 1, "ensemble_size": 2}
    missed = {}
    for longer in (None, 1, 168):
        f = Forecaster(long_season_length=longer, **options).fit(table)
        made = f.predict()["forecast"].to_numpy()
        missed[longer] = np.abs(made - y[-24 * 7 :]).mean()
        assert f.fitted.model.context_length == (240 if longer == 1 else 1056)
    assert missed[None] == missed[168]
    assert missed[None] < 0.1 * missed[1]
    notes = " ".join(Forecaster(**options).fit(table).fitted.notes)
    assert "a season of 24 rows and one of 168" in notes


@pytest.mark.parametrize(("longer", "short"), [(24, 24), (100, 24), (168, 1)])
def test_a_long_season_is_a_multiple(longer, short):
    with pytest.raises(
        ConfigError, match=f"long_season_length is {longer} with a season of {short}"
    ):
        Forecaster(season_length=short, long_season_length=longer)


def test_a_long_season_goes_with_the_season_found():
    y = demand()[:400]
    f = Forecaster(prediction_length=4, long_season_length=100, model="residual", max_epochs=1)
    with pytest.raises(ConfigError, match="long_season_length is 100 with a season of 24"):
        f.fit(pl.DataFrame({"ds": np.arange(400), "y": y}))
    noise = pl.DataFrame({"ds": np.arange(80), "y": np.random.default_rng(0).lognormal(size=80)})
    f.fit(noise)  # no season, so none beside it
    assert f.fitted.model.ensemble.plan.long_season_length == 1


def test_a_day_that_shows_goes_before_the_week():
    weekdays = np.repeat(WEEKDAY, 24) * (50 + 10 * np.sin(2 * np.pi * np.arange(168) / 24))
    y = np.tile(weekdays, WEEKS) * np.exp(0.05 * np.random.default_rng(0).normal(size=168 * WEEKS))
    found = panel(hours(len(y)), y)
    assert (season.find(found), season.find_longer(found, 24)) == (24, 168)


@pytest.mark.parametrize("shift", [0.0, 150.0])
def test_a_file_keeps_the_long_season(shift, tmp_path):
    y = demand() - shift  # negative values are not read as logarithms
    f = Forecaster(prediction_length=24, max_epochs=1, ensemble_size=2)
    f.fit(pl.DataFrame({"ds": hours(len(y)), "y": y})).save(tmp_path / "model")
    again = Forecaster.load(tmp_path / "model")
    assert again.fitted.model.ensemble.plan.long_season_length == 168
    assert again.fitted.model.ensemble.plan.scale == ("linear" if shift else "log")
    assert again.predict().equals(f.predict())


def test_every_kind_of_network_reads_a_long_season():
    tables = [
        pl.DataFrame({"unique_id": name, "ds": hours(len(y)), "y": y})
        for name, y in (("a", demand()), ("b", 2 * demand(noise=0.1)))
    ]
    options = {"prediction_length": 24, "ensemble_size": 4, "max_epochs": 1}
    joint = Forecaster(**options).fit(tables[0], related=[tables[1]])
    ready = Forecaster.pretrained(24).fit(tables[0])
    for f in (joint, ready):
        members = f.fitted.model.ensemble.members
        assert {m.reading.long_season_length for m in members} == {168}
        assert any(m.reading.universal for m in members)
        assert np.isfinite(f.predict()["forecast"].to_numpy()).all()
