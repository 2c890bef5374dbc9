"""Times as people and other programs write them: read right, written again, or refused."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest

from gatewise.cli.source import split_ahead
from gatewise.errors import TableError
from gatewise.forecast.data.calendar import observe
from gatewise.forecast.data.table import choose_columns, read_panel
from gatewise.forecast.data.timestamps import render

MONTHS = pd.date_range("1990-01-01", periods=30, freq="MS")
QUARTERS = pd.date_range("1990-01-01", periods=20, freq="QS")
DAYS = pd.date_range("2021-12-20", periods=40, freq="D")
HOURS = pd.date_range("2021-12-20 22:00", periods=40, freq="h")
YEARS = pd.date_range("1960-01-01", periods=20, freq="YS")


def quarter(form):
    return lambda t: form.format(y=t.year, q=t.quarter)


def written(form):
    return lambda t: t.strftime(form)


SPELLINGS = {
    "2000-01": (MONTHS, written("%Y-%m")),
    "2000/01": (MONTHS, written("%Y/%m")),
    "01/2000": (MONTHS, written("%m/%Y")),
    "1990M01": (MONTHS, written("%YM%m")),
    "1991 Jul": (MONTHS, written("%Y %b")),
    "Jul 1991": (MONTHS, written("%b %Y")),
    "Jul-1991": (MONTHS, written("%b-%Y")),
    "July 1991": (MONTHS, written("%B %Y")),
    "1990Q1": (QUARTERS, quarter("{y}Q{q}")),
    "1990-Q1": (QUARTERS, quarter("{y}-Q{q}")),
    "1990 q1": (QUARTERS, quarter("{y} q{q}")),
    "Q1 1990": (QUARTERS, quarter("Q{q} {y}")),
    "31.12.2021": (DAYS, written("%d.%m.%Y")),
    "31/12/2021": (DAYS, written("%d/%m/%Y")),
    "12/31/2021": (DAYS, written("%m/%d/%Y")),
    "31-12-2021": (DAYS, written("%d-%m-%Y")),
    "2021/12/31": (DAYS, written("%Y/%m/%d")),
    "20211231": (DAYS, written("%Y%m%d")),
    "31 Dec 2021": (DAYS, written("%d %b %Y")),
    "31-Dec-2021": (DAYS, written("%d-%b-%Y")),
    "Dec 31, 2021": (DAYS, written("%b %d, %Y")),
    "December 31, 2021": (DAYS, written("%B %d, %Y")),
    "12/31/2021 11:00 PM": (HOURS, written("%m/%d/%Y %I:%M %p")),
    "2021-12-31 11:00:00 PM": (HOURS, written("%Y-%m-%d %I:%M:%S %p")),
    "2021-12-31T23:00": (HOURS, written("%Y-%m-%dT%H:%M")),
    "2021-12-31 23:00:00.000000": (HOURS, written("%Y-%m-%d %H:%M:%S.%f")),
    "31.12.2021 23:00": (HOURS, written("%d.%m.%Y %H:%M")),
    "1/5/2022": (DAYS, lambda t: f"{t.month}/{t.day}/{t.year}"),
    "5.1.2022": (DAYS, lambda t: f"{t.day}.{t.month}.{t.year}"),
    "Jan 5 2022": (DAYS, lambda t: f"{t:%b} {t.day} {t.year}"),
    "1/5/2022 9:00": (HOURS, lambda t: f"{t.month}/{t.day}/{t.year} {t.hour}:00"),
    "1/5/2022 9:00 PM": (
        HOURS,
        lambda t: f"{t.month}/{t.day}/{t.year} {t.hour % 12 or 12}:00 {t:%p}",
    ),
    "1990-1": (MONTHS, lambda t: f"{t.year}-{t.month}"),
    "2021-12-31T23:00:00Z": (HOURS, written("%Y-%m-%dT%H:%M:%SZ")),
    "2021-12-31 23:00 UTC": (HOURS, written("%Y-%m-%d %H:%M UTC")),
    "1960 as text": (YEARS, written("%Y")),
    "number 20211231": (DAYS, lambda t: int(t.strftime("%Y%m%d"))),
    "number 199001": (MONTHS, lambda t: int(t.strftime("%Y%m"))),
    "seconds": (HOURS, lambda t: int(t.timestamp())),
    "milliseconds": (HOURS, lambda t: int(t.timestamp()) * 1000),
    "nanoseconds": (HOURS, lambda t: t.value),
    "years and quarters": (QUARTERS, lambda t: t.year + (t.month - 1) / 12),
    "years and months": (MONTHS, lambda t: t.year + (t.month - 1) / 12),
    "period": (MONTHS, lambda t: t.to_period("M")),
}


def panel_of(values):
    table = pd.DataFrame({"ds": values, "y": np.arange(len(values)) % 7.0})
    return read_panel(table, choose_columns(table))


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_spelling_is_read_and_written_again(name):
    times, spell = SPELLINGS[name]
    values = [spell(t) for t in times]
    n = len(values) - 6
    panel = panel_of(values[:n])
    time = panel.series[0].time
    np.testing.assert_array_equal(time, times[:n].to_numpy().astype("datetime64[us]"))
    ahead = render(observe(time).after(time[-1], 6), panel.style, "ds", "pandas").to_list()
    if isinstance(values[0], float):
        np.testing.assert_allclose(ahead, values[n:])
    else:
        assert ahead == values[n:]


def test_numbers_that_are_dates_are_said():
    (note,) = panel_of([20150101 + i for i in range(20)]).notes
    assert note == "Time column 'ds': 20150101 is read as dates, 2015-01-01."


def test_whole_years_stay_numbers():
    for values in (np.arange(1990, 2010), np.arange(1990, 2010, dtype=float)):
        panel = panel_of(values)
        assert panel.series[0].time.tolist() == list(range(1990, 2010))
        assert render(np.array([2010]), panel.style, "ds", "pandas").to_list() == [2010]
        assert panel.notes == ()


def test_the_day_is_never_guessed():
    told = "day cannot be told from the month.*Parse the column with %d/%m/%Y or %m/%d/%Y"
    for count in (2, 12):  # each month's first, or twelve days of January
        with pytest.raises(TableError, match=told):
            panel_of([t.strftime("%m/%d/%Y") for t in MONTHS[:count]])


def test_a_monthly_file_of_two_years_is_regular_in_one_reading_and_that_is_said():
    panel = panel_of([t.strftime("%m/%d/%Y") for t in MONTHS])
    np.testing.assert_array_equal(panel.series[0].time, MONTHS.to_numpy().astype("M8[us]"))
    assert panel.notes == (
        "Dates such as '01/01/1990' are read month first (1990-01-01): only so are they regular.",
    )


@pytest.mark.parametrize(
    "values",
    [["31/12/21", "30/12/21"], ["2021-02-30", "2021-03-01"], ["2021-01-01 25:00"] * 2,
     ["2021-01-01 13:00 PM"] * 2, ["2021-01-01", "north"], ["2021-01-01", "02.01.2021"]],
)  # fmt: skip
def test_what_is_no_time_is_refused(values):
    with pytest.raises(TableError, match=r"in row [01]: expected a date.*Parse the column first"):
        panel_of(values)


@pytest.mark.parametrize("series", [None, "s"])
def test_rows_ahead_are_told_by_their_time_not_by_their_text(series):
    texts = [t.strftime("%d.%m.%Y") for t in DAYS] * 2
    known = [1.0] * 35 + [None] * 5 + [1.0] * 37 + [None] * 3
    table = pl.DataFrame({"ds": texts, "s": ["a"] * 40 + ["b"] * 40, "y": known, "x": 1.0})
    table = table if series else table.head(40)
    columns = {"time": "ds", "target": "y", "future": ("x",), "series": series}
    before, ahead = split_ahead(table, columns)
    assert ahead["ds"].to_list() == texts[35:40] + (texts[37:40] if series else [])
    assert len(before) + len(ahead) == len(table)


def test_missing_months_are_inserted_and_named():
    values = MONTHS.delete([5, 6])
    panel = panel_of(values)
    s = panel.series[0]
    np.testing.assert_array_equal(s.time, MONTHS.to_numpy().astype("M8[us]"))
    assert np.flatnonzero(np.isnan(s.target)).tolist() == [5, 6]
    assert panel.notes == (
        "2 rows are missing from a regular calendar (1990-06-01, 1990-07-01): they were inserted "
        "with an empty target. fill_gaps=False (--keep-gaps) leaves the table as it is.",
    )
    table = pl.DataFrame({"ds": values, "y": np.arange(len(values)) % 7.0})
    kept = read_panel(table, choose_columns(table), fill_gaps=False)
    assert (len(kept.series[0]), kept.notes) == (28, ())


def test_days_that_are_closed_are_no_gaps():
    days = pd.bdate_range("2024-01-01", periods=200).delete([40, 41, 120])
    assert len(panel_of(days).series[0]) == 197
    sparse = [dt.date(2024, 1, 1) + dt.timedelta(days=i * i) for i in range(20)]
    assert len(panel_of(sparse).series[0]) == 20
