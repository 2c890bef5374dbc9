"""Parts of time stamps [n]: weekday, time of day, month, and where in its season each one is."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

DAY_US: Final = 86_400_000_000


def mode(values: NDArray[Any]) -> int:
    """The most frequent of whole numbers [n]."""
    found, counts = np.unique(values, return_counts=True)
    return int(found[counts.argmax()])


def weekday(time: NDArray[Any]) -> NDArray[np.int64]:
    """0 for Monday to 6 for Sunday."""
    return (time.astype("datetime64[D]").astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday


def time_of_day(time: NDArray[Any]) -> NDArray[np.int64]:
    """Microseconds since midnight."""
    return time.astype("datetime64[us]").astype(np.int64) % DAY_US


def slot_code(time: NDArray[Any]) -> NDArray[np.int64]:
    """Microseconds since Monday, midnight."""
    return weekday(time) * DAY_US + time_of_day(time)


def month_number(time: NDArray[Any]) -> NDArray[np.int64]:
    """Months since January 1970."""
    return time.astype("datetime64[M]").astype(np.int64)


def date_code(time: NDArray[Any]) -> NDArray[np.int64]:
    """100 times the month of the year, plus the day of the month."""
    days = time.astype("datetime64[D]")
    day = (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) + 1
    return (month_number(time) % 12 + 1) * 100 + day


def phase(time: NDArray[Any], season_length: int) -> NDArray[np.float64]:
    """Position of each time within its season, in [0, 1); zeros without a season.

    Args:
        time: [n] time stamps.
        season_length: one of `Calendar.seasons`: 12, 4 and 52 turn once a year, 7 and 5 once a
            week, and others once a day, or if they are multiples of 7, once a week.

    >>> phase(np.array(["2024-01-31", "2024-07-31"], dtype="datetime64[us]"), 12)
    array([0. , 0.5])
    """
    if season_length in (12, 4):
        return (month_number(time) % 12) / 12.0
    if season_length == 52:
        days = time.astype("datetime64[D]")
        return (days - time.astype("datetime64[Y]").astype("datetime64[D]")).astype(int) / 366.0
    if season_length in (5, 7):
        return weekday(time) / 7.0
    if season_length > 1 and season_length % 7 == 0:
        return (weekday(time) + time_of_day(time) / DAY_US) / 7.0
    if season_length > 1:
        return time_of_day(time) / DAY_US
    return np.zeros(len(time))
