"""The observed calendar of a series, and the time stamps that come next on it.

Integers go on by their modal step. Months, quarters and years go on by calendar arithmetic. Days
and finer go on by their modal resolution, on the (weekday, time of day) slots that were really
seen, without the fixed dates (25 December) that were absent each time they were due.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise.forecast.data.fields import (
    DAY_US,
    date_code,
    mode,
    month_number,
    slot_code,
    time_of_day,
    weekday,
)
from gatewise.forecast.data.zones import to_wall

_RARE: Final = 0.2
"""A slot seen less than this share of the most frequent one is an exception, not a pattern."""


_FEW: Final = 3
"""Fewer rows than this do not tell how a series goes on."""

_FINEST: Final = 96
"""Rows a day of the finest step that has a season: quarters of an hour."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """How the time of a series goes on.

    Attributes:
        kind: "integer", "months" or "slots".
        step: in integers, months or microseconds.
        rule: for months: "start", "end", "business-start", "business-end" or "day".
        day: day of the month for rule "day".
        slots: for slots: (weekday, microsecond of the day) pairs in use; weekday 0 is Monday.
        skip: (month, day) pairs on which nothing ever happened.
        zone: for slots: of the clock that they are read off, if time is in UTC; else empty.
    """

    kind: str
    step: int
    rule: str = ""
    day: int = 1
    slots: tuple[tuple[int, int], ...] = ()
    skip: tuple[tuple[int, int], ...] = ()
    zone: str = ""

    def after(self, last: Any, count: int) -> NDArray[Any]:
        """Return the next `count` time stamps after `last`, on this calendar.

        >>> days = np.arange("2024-01-01", "2024-03-02", dtype="datetime64[D]")
        >>> business = observe(days[np.is_busday(days)].astype("datetime64[us]"))
        >>> business.after(np.datetime64("2024-03-01", "us"), 2).astype("datetime64[D]")
        array(['2024-03-04', '2024-03-05'], dtype='datetime64[D]')
        """
        if self.kind == "integer":
            return np.int64(last) + self.step * np.arange(1, count + 1, dtype=np.int64)
        last = np.datetime64(last, "us")
        if self.kind == "months":
            return self._months_after(last, count)
        factor = 8
        while factor <= 8**4:
            grid = last + np.arange(1, factor * (count + 8)) * np.timedelta64(self.step, "us")
            kept = grid[self._allowed(grid)]
            if len(kept) >= count:
                return kept[:count]
            factor *= 8
        # `last` itself stands off the pattern: go on by the resolution alone.
        return last + np.arange(1, count + 1) * np.timedelta64(self.step, "us")

    @property
    def seasons(self) -> tuple[int, ...]:
        """Rows after which the pattern may repeat, the first the most likely; empty for none.

        Months 12, quarters 4, weeks 52, days 7 (5 for business days); finer steps a day and a week.
        """
        if self.kind == "months":
            return {1: (12,), 3: (4,)}.get(self.step, ())
        if self.kind != "slots" or self.step <= 0:
            return ()
        if self.step == 7 * DAY_US:
            return (52,)
        if self.step == DAY_US:
            return {7: (7,), 5: (5,)}.get(len(self.slots), ())
        a_day = DAY_US // self.step
        if DAY_US % self.step or a_day > _FINEST or len(self.slots) != 7 * a_day:
            return ()
        return (a_day, 7 * a_day)

    @property
    def season_length(self) -> int:
        """The most likely of `seasons`: 12, 4, 52, 7, 5, 24, ..., or 1 if there is none."""
        return next(iter(self.seasons), 1)

    @property
    def is_whole(self) -> bool:
        """Whether a time that is missing is a gap: no opening hours, weekends or exchange days."""
        if self.kind != "slots":
            return True
        if self.step <= 0:
            return False
        if self.step < DAY_US:
            return DAY_US % self.step == 0 and len(self.slots) in (0, 7 * (DAY_US // self.step))
        return self.step % (7 * DAY_US) == 0 or len(self.slots) in (0, 7)

    def between(self, first: Any, last: Any) -> NDArray[Any]:
        """Every time stamp of this calendar from `first` to `last`, both among them.

        >>> days = np.array(["2024-01-01", "2024-01-02", "2024-01-04"], dtype="datetime64[us]")
        >>> len(observe(days).between(days[0], days[-1]))
        4
        """
        first, last = np.array([first, last])
        if self.kind == "months":
            ends = month_number(np.array([first, last], "datetime64[us]"))
            count = int(ends[1] - ends[0]) // self.step
        else:
            count = int((last - first).astype(np.int64)) // self.step
        time = self.after(first, count) if count else np.array([], np.asarray(first).dtype)
        return np.concatenate([[first], time[time <= last]])

    def _allowed(self, time: NDArray[Any]) -> NDArray[np.bool_]:
        if not self.slots:
            return np.ones(len(time), dtype=bool)
        time = to_wall(time, self.zone) if self.zone else time
        allowed = np.isin(slot_code(time), [w * DAY_US + at for w, at in self.slots])
        if self.skip:
            allowed &= ~np.isin(date_code(time), [m * 100 + d for m, d in self.skip])
        return allowed

    def _months_after(self, last: np.datetime64, count: int) -> NDArray[Any]:
        months = last.astype("datetime64[M]") + self.step * np.arange(1, count + 1)
        clock = last - last.astype("datetime64[D]")
        first = months.astype("datetime64[D]")
        final = (months + 1).astype("datetime64[D]") - 1
        if self.rule == "start":
            days = first
        elif self.rule == "end":
            days = final
        elif self.rule == "business-start":
            days = np.busday_offset(first, 0, roll="forward")
        elif self.rule == "business-end":
            days = np.busday_offset(final, 0, roll="backward")
        else:
            days = np.minimum(first + (self.day - 1), final)
        return days.astype("datetime64[us]") + clock


def observe(time: NDArray[Any], zone: str | None = None) -> Calendar:
    """Read the calendar off the time stamps of a series.

    Args:
        time: [n >= 2] ascending, int64 or datetime64[us].
        zone: of the caller's clocks, if time is in UTC; opening hours are read off them.

    >>> observe(np.array([1990, 1992, 1994]))
    Calendar(kind='integer', step=2, rule='', day=1, slots=(), skip=(), zone='')
    >>> month_ends = np.array(["2024-01-31", "2024-02-29", "2024-03-31"], dtype="datetime64[us]")
    >>> observe(month_ends).after(month_ends[-1], 1).astype("datetime64[D]")
    array(['2024-04-30'], dtype='datetime64[D]')
    """
    if time.dtype.kind != "M":
        return Calendar("integer", max(mode(np.diff(time)), 1))
    time = time.astype("datetime64[us]")
    step = mode(np.diff(time).astype(np.int64))
    if np.median(np.diff(time).astype(np.int64)) >= 27 * DAY_US:
        between = np.diff(month_number(time))
        months = mode(between)
        if months >= 1 and np.mean(between % months == 0) > 0.9:
            return Calendar("months", months, *_month_rule(time))
    slots = _slots(time, step)
    calendar = Calendar("slots", step, slots=slots)
    if zone is None or calendar.is_whole:
        return replace(calendar, skip=_never_open(time, slots, step))
    wall = to_wall(time, zone)
    slots = _slots(wall, step)
    return Calendar("slots", step, slots=slots, skip=_never_open(wall, slots, step), zone=zone)


def observe_all(
    times: Sequence[NDArray[Any]], others: Sequence[Calendar] = (), zone: str | None = None
) -> tuple[Calendar, ...]:
    """Read the calendars of many series.

    Series with the same time stamps share one. A series too short to show its own takes the
    commonest of the others: of the same step, or if it has not three rows, of any.

    Args:
        times: [n >= 1] each, ascending, int64 or datetime64[us].
        others: of series that are not among these.
        zone: of the caller's clocks, if time is in UTC.

    >>> days = np.arange("2024-01-01", "2024-03-02", dtype="datetime64[D]")
    >>> business = days[np.is_busday(days)].astype("datetime64[us]")
    >>> long, new = observe_all([business, business[-2:]])
    >>> long == new
    True
    """
    known: dict[bytes, Calendar] = {}
    own: list[Calendar] = []
    for time in times:
        key = time.tobytes()
        if key not in known:
            known[key] = observe(time, zone) if len(time) > 1 else _unknown(time)
        own.append(known[key])
    short = [_is_short(time) for time in times]
    if not any(short):
        return tuple(own)
    common = Counter(others)
    common.update(c for c, is_short in zip(own, short, strict=True) if not is_short)
    ranked = [calendar for calendar, _ in common.most_common()]

    def borrowed(calendar: Calendar, rows: int) -> Calendar:
        alike = (
            c for c in ranked if rows < _FEW or (c.kind, c.step) == (calendar.kind, calendar.step)
        )
        return next(alike, calendar)

    return tuple(
        borrowed(calendar, len(time)) if is_short else calendar
        for calendar, time, is_short in zip(own, times, short, strict=True)
    )


def _month_rule(time: NDArray[Any]) -> tuple[str, int]:
    days = time.astype("datetime64[D]")
    months = time.astype("datetime64[M]")
    first = months.astype("datetime64[D]")
    final = (months + 1).astype("datetime64[D]") - 1
    day = int((days - first).astype(int).max()) + 1
    for rule, expected in (
        ("start", first),
        ("end", final),
        ("business-start", np.busday_offset(first, 0, roll="forward")),
        ("business-end", np.busday_offset(final, 0, roll="backward")),
    ):
        if (days == expected).all():
            return rule, day
    return "day", day


def _slots(time: NDArray[Any], step: int) -> tuple[tuple[int, int], ...]:
    """(weekday, microsecond of the day) in use; empty if the rows span too little to tell.

    Less than a week does not tell the weekdays, less than a day not the times of the day.
    """
    span = int((time[-1] - time[0]).astype(np.int64))
    if span + step < 7 * DAY_US:
        if step >= DAY_US or span + step < DAY_US:
            return ()
        clock = np.unique(time_of_day(time)).tolist()
        return tuple((weekday, at) for weekday in range(7) for at in clock)
    codes, counts = np.unique(slot_code(time), return_counts=True)
    used = codes[counts >= _RARE * counts.max()]
    return tuple((int(c // DAY_US), int(c % DAY_US)) for c in used)


def _is_short(time: NDArray[Any]) -> bool:
    if len(time) < _FEW:
        return True
    return time.dtype.kind == "M" and bool(time[-1] - time[0] < np.timedelta64(7, "D"))


def _unknown(time: NDArray[Any]) -> Calendar:
    """The calendar of a lone row: the next integer, the next day."""
    return Calendar("slots", DAY_US) if time.dtype.kind == "M" else Calendar("integer", 1)


def _never_open(
    time: NDArray[Any], slots: tuple[tuple[int, int], ...], step: int
) -> tuple[tuple[int, int], ...]:
    """Fixed dates absent on each of the three or more times that they were due."""
    if step > DAY_US:
        return ()
    seen = np.unique(time.astype("datetime64[D]"))
    due = np.arange(seen[0], seen[-1] + 1)
    due = due[np.isin(weekday(due), sorted({w for w, _ in slots}))]
    present = np.isin(due, seen)
    if not len(due) or present.mean() < 0.9:  # too sparse to tell a holiday from a gap
        return ()
    dates, index = np.unique(date_code(due), return_inverse=True)
    times_due = np.bincount(index)
    times_present = np.bincount(index, weights=present)
    absent = dates[(times_due >= 3) & (times_present == 0)]
    return tuple((int(code // 100), int(code % 100)) for code in absent)
