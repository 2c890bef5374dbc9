"""Seasons are found where they are: a day of hours, a week of days; and not where they are not."""

import numpy as np
import polars as pl
import pytest

from gatewise.errors import ConfigError
from gatewise.forecast import Forecaster, season
from gatewise.forecast.table import choose_columns, read_panel

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


@pytest.mark.parametrize("steps", ["noise", "walk"])
def test_no_week_is_seen_where_there_is_none(steps):
    y = demand(weekly=False, noise=0.2)
    if steps == "walk":
        y = y + np.cumsum(np.random.default_rng(1).normal(size=len(y)))
    assert season.find_longer(panel(hours(len(y)), y), 24) == 1
    assert season.find_longer(panel(np.arange(len(y)), y), 24) == 1


def test_what_has_no_day_has_no_week():
    y = demand()
    months = np.arange("1970-01", "2010-01", dtype="datetime64[M]").astype("datetime64[us]")
    assert season.find_longer(panel(months, y[: len(months)]), 12) == 1
    assert season.find_longer(panel(np.arange(len(y)), y), 1) == 1


def test_a_week_of_days_is_forecast():
    y = demand(noise=0.01)
    table = pl.DataFrame({"ds": hours(len(y) - 24 * 7), "y": y[: -24 * 7]})
    options = {"prediction_length": 24 * 7, "max_epochs": 1, "ensemble_size": 2}
    missed = {}
    for longer in (None, 1, 168):
        f = Forecaster(long_season=longer, **options).fit(table)
        made = f.predict()["forecast"].to_numpy()
        missed[longer] = np.abs(made - y[-24 * 7 :]).mean()
        assert f.fitted.model.context_length >= (168 if longer == 1 else 3 * 168)
    assert missed[None] == missed[168]
    assert missed[None] < 0.1 * missed[1]
    notes = " ".join(Forecaster(**options).fit(table).fitted.notes)
    assert "a season of 24 rows and one of 168" in notes


@pytest.mark.parametrize("longer", [24, 100])
def test_a_longer_season_is_a_multiple(longer):
    table = pl.DataFrame({"ds": np.arange(400), "y": demand()[:400]})
    f = Forecaster(prediction_length=4, season=24, long_season=longer, model="residual")
    with pytest.raises(ConfigError, match=f"long_season is {longer}: expected 1, or a multiple"):
        f.fit(table)
