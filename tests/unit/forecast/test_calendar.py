import numpy as np
import pytest

from gatewise.forecast import datasets
from gatewise.forecast.data.calendar import observe, observe_all
from gatewise.forecast.data.fields import phase


def days(first, last):
    return np.arange(first, last, dtype="datetime64[D]")


def texts(time, unit="D"):
    return np.datetime_as_string(time.astype(f"datetime64[{unit}]")).tolist()


def test_business_days_go_on_from_friday_to_monday():
    seen = days("2024-01-01", "2024-06-01")
    calendar = observe(seen[np.is_busday(seen)].astype("datetime64[us]"))
    assert calendar.season_length == 5
    assert texts(calendar.after(np.datetime64("2024-05-31"), 3)) == [
        "2024-06-03",
        "2024-06-04",
        "2024-06-05",
    ]


def test_every_day_is_a_season_of_seven():
    calendar = observe(days("2024-01-01", "2024-02-01").astype("datetime64[us]"))
    assert calendar.season_length == 7
    assert phase(days("2024-01-01", "2024-01-03"), 7).tolist() == [0.0, 1 / 7]


def test_the_exchange_closes_on_the_holidays_it_always_closed_on():
    d = datasets.load("sp500")
    time = d.table["date"].to_numpy().astype("datetime64[us]")
    calendar = observe(time)
    assert {(12, 25), (1, 1), (7, 4)} <= set(calendar.skip)
    assert texts(calendar.after(time[-1], 3)) == ["2019-01-02", "2019-01-03", "2019-01-04"]
    assert "2019-12-25" not in texts(calendar.after(time[-1], 260))


@pytest.mark.parametrize(
    ("seen", "ahead", "season_length"),
    [
        (["2023-11-30", "2023-12-31", "2024-01-31"], ["2024-02-29", "2024-03-31"], 12),
        (["2023-11-01", "2023-12-01", "2024-01-01"], ["2024-02-01", "2024-03-01"], 12),
        (["2023-11-15", "2023-12-15", "2024-01-15"], ["2024-02-15", "2024-03-15"], 12),
        (["2024-02-29", "2024-03-29", "2024-04-30"], ["2024-05-31", "2024-06-28"], 12),
        (["2024-04-01", "2024-05-01", "2024-06-03"], ["2024-07-01", "2024-08-01"], 12),
        (["2023-06-30", "2023-09-30", "2023-12-31"], ["2024-03-31", "2024-06-30"], 4),
        (["2021-12-31", "2022-12-31", "2023-12-31"], ["2024-12-31", "2025-12-31"], 1),
        (["2023-11-30", "2023-12-30", "2024-01-30"], ["2024-02-29", "2024-03-30"], 12),
    ],
)
def test_months_quarters_and_years_go_on_by_the_calendar(seen, ahead, season_length):
    time = np.array(seen, dtype="datetime64[us]")
    calendar = observe(time)
    assert texts(calendar.after(time[-1], 2)) == ahead
    assert calendar.season_length == season_length


def test_exchange_hours_skip_the_night():
    open_days = days("2024-01-01", "2024-03-01")
    open_days = open_days[np.is_busday(open_days)].astype("datetime64[m]")
    half_hours = np.timedelta64(570, "m") + np.arange(13) * np.timedelta64(30, "m")
    time = (open_days[:, None] + half_hours).ravel().astype("datetime64[us]")
    ahead = observe(time).after(time[-3], 4)
    assert texts(ahead, "m") == [
        "2024-02-29T15:00",
        "2024-02-29T15:30",
        "2024-03-01T09:30",
        "2024-03-01T10:00",
    ]


def test_hours_have_a_season_of_a_day():
    time = np.arange("2024-01-01", "2024-02-01", dtype="datetime64[h]").astype("datetime64[us]")
    calendar = observe(time)
    assert calendar.season_length == 24
    assert phase(time[:7:6], 24).tolist() == [0.0, 0.25]
    assert texts(calendar.after(time[-1], 2), "h") == ["2024-02-01T00", "2024-02-01T01"]


def test_integers_go_on_by_their_most_frequent_step():
    calendar = observe(np.array([1990, 1992, 1994, 1999, 2001]))
    assert calendar.after(2001, 2).tolist() == [2003, 2005]
    assert calendar.season_length == 1
    assert phase(np.array([1, 2]), 1).tolist() == [0, 0]


def test_one_special_saturday_does_not_open_all_saturdays():
    seen = days("2024-01-01", "2024-12-01")
    seen = np.sort(np.append(seen[np.is_busday(seen)], np.datetime64("2024-03-09")))
    assert texts(observe(seen.astype("datetime64[us]")).after(np.datetime64("2024-11-29"), 1)) == [
        "2024-12-02"
    ]


def test_weeks_go_on_by_weeks():
    time = days("2024-01-03", "2024-06-01")[::7].astype("datetime64[us]")
    assert np.diff(observe(time).after(time[-1], 3)).astype("timedelta64[D]").astype(
        int
    ).tolist() == [
        7,
        7,
    ]


def test_a_last_row_off_the_pattern_goes_on_by_the_resolution():
    time = days("2024-01-01", "2024-03-01").astype("datetime64[us]")
    ahead = observe(time).after(time[-1] + np.timedelta64(90, "s"), 2)
    assert texts(ahead, "s") == ["2024-03-01T00:01:30", "2024-03-02T00:01:30"]


def test_many_series_share_a_calendar_and_short_ones_borrow_it():
    seen = days("2024-01-01", "2024-06-01")
    business = seen[np.is_busday(seen)].astype("datetime64[us]")
    hours = np.arange("2024-01-01", "2024-01-03", dtype="datetime64[h]").astype("datetime64[us]")
    usual, same, new, lone, other = observe_all(
        [business, business.copy(), business[-3:], business[:1], hours]
    )
    assert usual is same
    assert new == lone == usual
    assert other == observe(hours)
    assert observe_all([business[-3:]], [usual]) == (usual,)


def test_a_lone_row_goes_on_by_one():
    (day,), (number,) = observe_all([business_day()]), observe_all([np.array([7])])
    assert texts(day.after(business_day()[0], 2)) == ["2024-03-02", "2024-03-03"]
    assert number.after(7, 2).tolist() == [8, 9]


def business_day():
    return np.array(["2024-03-01"], dtype="datetime64[us]")


def test_less_than_a_week_does_not_tell_the_weekdays():
    time = days("2024-01-03", "2024-01-06").astype("datetime64[us]")
    assert texts(observe(time).after(time[-1], 2)) == ["2024-01-06", "2024-01-07"]
    hours = np.arange("2024-01-01T00", "2024-01-02T06", dtype="datetime64[h]")
    calendar = observe(hours.astype("datetime64[us]"))
    assert calendar.season_length == 24
    assert texts(calendar.after(hours[-1], 2), "h") == ["2024-01-02T06", "2024-01-02T07"]
    half = hours[:5].astype("datetime64[us]")
    assert texts(observe(half).after(half[-1], 1), "h") == ["2024-01-01T05"]
