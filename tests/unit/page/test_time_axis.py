"""Time axes are labelled at the starts of months and other periods, wherever rows begin."""

import numpy as np
import pytest

from gatewise.page.time_axis import as_times, period_starts, row_labels, row_ticks


def days(first, last):
    return np.arange(first, last, dtype="datetime64[D]")


def test_trading_days_are_labelled_at_the_first_row_of_each_month():
    rows = days("2018-07-11", "2018-10-20")
    rows = rows[np.is_busday(rows)]
    at, texts = row_ticks(rows)
    assert texts == ["2018-08", "2018-09", "2018-10"]
    assert [str(rows[k]) for k in at] == ["2018-08-01", "2018-09-03", "2018-10-01"]


@pytest.mark.parametrize(
    ("first", "last", "texts"),
    [
        ("1999-01", "2018-12", ["2000", "2005", "2010", "2015"]),
        ("2017-02", "2018-12", ["2017-07", "2018-01", "2018-07"]),
        ("2018-12-20T05", "2018-12-20T23", ["12-20 06:00", "12-20 12:00", "12-20 18:00"]),
        ("2018-12-01", "2018-12-29", ["2018-12-03", "2018-12-10", "2018-12-17", "2018-12-24"]),
        ("2018-12-20T05:00:03", "2018-12-20T05:00:20", ["05:00:05", "05:00:10", "05:00:15",
                                                        "05:00:20"]),
    ],
)  # fmt: skip
def test_the_shortest_period_is_taken_that_fits(first, last, texts):
    assert period_starts(np.datetime64(first), np.datetime64(last), 4)[1] == texts


@pytest.mark.parametrize("most", [1, 2, 3, 6])
@pytest.mark.parametrize("unit", ["s", "m", "h", "D", "M", "Y"])
@pytest.mark.parametrize("rows", [2, 17, 400])
def test_there_are_never_more_labels_than_asked_for(most, unit, rows):
    times = np.datetime64("1987-03-05", unit) + np.arange(rows)
    at, texts = row_ticks(times, most)
    assert len(at) == len(texts) <= max(most, 1)
    assert all(0 <= k < rows for k in at)
    assert at == sorted(set(at))


def test_text_of_dates_is_read_and_other_text_is_not():
    text = [str(day) for day in days("2018-07-11", "2018-10-20")]
    assert row_ticks(text) == row_ticks(days("2018-07-11", "2018-10-20"))
    assert as_times(["2018-13-01"]) is None
    assert as_times([]) is None
    assert row_ticks(["a", "b", "c"], 2) == ([0, 2], ["a", "c"])
    assert row_labels(["2018-01-01T10:30"]) == ["2018-01-01 10:30"]


def test_times_out_of_order_are_labelled_as_they_stand():
    backwards = days("2018-07-11", "2018-10-20")[::-1]
    assert row_ticks(backwards, 2) == ([0, 100], ["2018-10-19", "2018-07-11"])
