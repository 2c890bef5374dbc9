"""Drivers that are known ahead are matched by their times."""

import numpy as np
import pandas as pd
import pytest

from gatewise.errors import ConfigError, TableError
from gatewise.forecast.data.future_rows import check_future
from gatewise.forecast.data.table import choose_columns, read_panel

MONTHS = pd.date_range("2015-01-01", periods=66, freq="MS")


def table(times):
    rng = np.random.default_rng(0)
    return pd.DataFrame({"ds": times, "y": rng.normal(size=len(times)), "x": 1.0})


def check(known, future, columns=("x",)):
    panel = read_panel(known, choose_columns(known, future=columns))
    check_future(panel, 6, future)


@pytest.mark.parametrize("freq", ["MS", "ME", "QS", "D", "W-WED", "h", "B"])
def test_the_next_rows_are_taken_and_more_may_follow(freq):
    times = pd.date_range("2015-01-01", periods=200, freq=freq)
    check(table(times[:180]), table(times[180:186])[["ds", "x"]])
    check(table(times[:180]), table(times[170:])[["ds", "x"]])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: f.iloc[:5], r"5 rows after 2019-12-01: no row at 2020-06-01: expected 6 rows"),
        (lambda f: f.drop(f.index[2]), "no row at 2020-03-01"),
        (lambda f: f.assign(ds=f["ds"] + pd.DateOffset(years=1)), "rows at other times, 2021-01"),
        (lambda f: f.assign(ds=f["ds"] + pd.Timedelta("14D")), "other times, 2020-01-15, 2020-02"),
        (lambda f: f.assign(ds=f["ds"] - pd.DateOffset(years=9)), "has 0 rows after 2019-12-01"),
        (lambda f: f.assign(x=np.nan), "Driver 'x' is missing in every row of the future table"),
    ],
    ids=["too few", "a gap", "a year late", "mid-month", "past", "empty"],
)
def test_other_times_gaps_and_empty_columns_are_refused(change, told):
    with pytest.raises(TableError, match=told):
        check(table(MONTHS[:60]), change(table(MONTHS[60:])[["ds", "x"]]))


def test_a_missing_table_and_one_that_was_not_expected_are_refused():
    with pytest.raises(ConfigError, match="expected their next 6 rows per series"):
        check(table(MONTHS[:60]), None)
    with pytest.raises(ConfigError, match="expected none"):
        check(table(MONTHS[:60]), table(MONTHS[60:]), columns=())
    check(table(MONTHS[:60]), None, columns=())


def test_an_exchange_may_close_for_holidays_but_not_for_weeks():
    days = pd.bdate_range("2024-01-01", periods=260)
    holiday = days.delete(205)
    check(table(days[:200]), table(holiday[200:210])[["ds", "x"]])
    shut = days.delete(range(203, 213))
    with pytest.raises(TableError, match="no row at"):
        check(table(days[:200]), table(shut[200:210])[["ds", "x"]])
