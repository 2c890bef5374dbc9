"""The rows to forecast: their time stamps, and the drivers known for them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import ConfigError, TableError, shown
from gatewise.forecast.data.calendar import Calendar, observe_all
from gatewise.forecast.data.panel import Array, Panel, Series
from gatewise.forecast.data.table import read_panel
from gatewise.page.time_axis import time_labels

_LOOKED_AT: Final = 300
"""Series whose frequency is compared, at most."""

_CLOSED: Final = 5
"""Rows in a row that an exchange may leave out for holidays."""

_LISTED: Final = 3

_SAME: Final = 1.9
"""Rows this many times as far apart are of another frequency."""


def read_future(tail: Panel, h: int, future: Any) -> Mapping[Any, Series]:
    """Read the table of known-future drivers: rows by series; empty if there are no such drivers.

    Args:
        tail: the fitted table, or its last rows.
        h: rows that each series needs.
        future: the table.

    Raises:
        ConfigError: the table is missing or was not expected.
        TableError: it cannot be used.
    """
    columns = tail.columns
    if not columns.future:
        if future is not None:
            raise ConfigError(
                "predict got a table of future drivers, but the forecaster was fitted without: "
                "expected none. Name the columns in fit(..., future=[...])."
            )
        return {}
    if future is None:
        raise ConfigError(
            f"The forecaster was fitted with known-future drivers {list(columns.future)}: "
            f"expected their next {h} rows per series, in predict(future=...) or --future."
        )
    panel = read_panel(future, columns, with_target=False, like=tail.style)
    return {s.name: s for s in panel.series}


def rows_ahead(
    tail: Panel, calendars: Sequence[Calendar], h: int, panel: Panel, future: Mapping[Any, Series]
) -> tuple[list[NDArray[Any]], list[Array]]:
    """Time stamps [h] and known-future drivers [h, F] of the rows to forecast, per series.

    Args:
        tail: the last rows of the fitted table.
        calendars: of each of its series: how its time goes on; a new series has its own.
        h: rows to forecast.
        panel: the rows to forecast from.
        future: what `read_future` returned.

    Raises:
        TableError: a series has too few rows in the future.
    """
    made: dict[tuple[Calendar, Any], NDArray[Any]] = {}
    times, drivers = [], []
    for s, calendar in zip(panel.series, _calendars(tail, calendars, panel), strict=True):
        key = calendar, s.time[-1]
        if key not in made:
            made[key] = calendar.after(s.time[-1], h)
        due, known = made[key], np.empty((h, 0))
        if tail.columns.future:
            due, known = _known_rows(panel, s, future.get(s.name), due, calendar)
        times.append(due)
        drivers.append(known)
    return times, drivers


def check_future(panel: Panel, h: int, future: Any) -> None:
    """See that a table of known-future drivers has what a forecast needs, before any work.

    Args:
        panel: the table that a forecaster will be fitted on.
        h: rows to forecast.
        future: what `Forecaster.predict` will be given.

    Raises:
        ConfigError: the table is missing or was not expected.
        TableError: it lacks rows, has other times, or an empty column.
    """
    if panel.columns.future or future is not None:
        calendars = observe_all([s.time for s in panel.series], zone=panel.zone)
        rows_ahead(panel, calendars, h, panel, read_future(panel, h, future))


def check_frequency(learnt: Panel, given: Panel) -> None:
    """See that rows to forecast from are as far apart as those that were learnt from.

    Raises:
        TableError: they are not, or one table has dates and the other numbers.
    """
    dates = [p.series[0].time.dtype.kind == "M" for p in (learnt, given)]
    name = learnt.columns.time
    if dates[0] != dates[1]:
        kinds = ["dates" if is_date else "integers" for is_date in dates]
        raise TableError(
            f"Time column {shown(name)} holds {kinds[1]}, and the forecaster was fitted on "
            f"{kinds[0]}: expected {kinds[0]}. Convert the column, or fit again."
        )
    before, now = _distances(learnt), _distances(given)
    if not len(before) or not len(now):
        return
    usual = float(np.median(now))
    if not before.min() / _SAME < usual < before.max() * _SAME:
        found, expected = (_told(v, dates[0]) for v in (usual, float(np.median(before))))
        raise TableError(
            f"The rows of the table are {found} apart, and the forecaster was fitted on rows "
            f"{expected} apart: expected the same frequency. Aggregate the table, or fit again."
        )


def _calendars(tail: Panel, calendars: Sequence[Calendar], panel: Panel) -> list[Calendar]:
    known = {s.name: c for s, c in zip(tail.series, calendars, strict=True)}
    new = [s for s in panel.series if s.name not in known]
    known |= {
        s.name: calendar
        for s, calendar in zip(
            new, observe_all([s.time for s in new], calendars, panel.zone), strict=True
        )
    }
    return [known[s.name] for s in panel.series]


def _known_rows(
    panel: Panel, series: Series, ahead: Series | None, due: NDArray[Any], calendar: Calendar
) -> tuple[NDArray[Any], Array]:
    """The times to forecast [h] and the drivers known for them [h, F], matched by time."""
    h, of = len(due), f" of series {shown(series.name)}" if series.name != "" else ""
    if ahead is None:
        raise TableError(f"The future table has no rows{of}: expected {h}.")
    after = ahead.time > series.time[-1]
    time, known = ahead.time[after][:h], ahead.future[after][:h]
    if calendar.is_whole:
        wrong = time[~np.isin(time, due)]
    else:  # an exchange's holidays move: the caller's days are taken, if they are days of its kind
        due = calendar.after(series.time[-1], 2 * h + _CLOSED)
        wrong = time[~np.isin(time, due)]
        due = time if len(time) == h and not len(wrong) and _is_close(due, time) else due[:h]
    missing = due[~np.isin(due, time)]
    if len(wrong) or len(missing):
        told = [_these(panel, "no row at", missing), _these(panel, "rows at other times,", wrong)]
        raise TableError(
            f"The future table has {len(time)} rows after "
            f"{_shown(panel, series.time[-1:])[0]}{of}: "
            f"{' and '.join(t for t in told if t)}: expected {h} rows on the calendar of the "
            f"table, {_shown(panel, due[:1])[0]} to {_shown(panel, due[-1:])[0]}. Add the rows, or "
            "correct their times."
        )
    for name, values in zip(panel.columns.future, known.T, strict=True):
        if np.isnan(values).all():
            raise TableError(
                f"Driver {shown(name)} is missing in every row of the future table{of}: expected "
                f"some values in the {h} rows to forecast. Fill the column, or leave the driver "
                "out."
            )
    return time, known


def _is_close(due: NDArray[Any], time: NDArray[Any]) -> bool:
    """Whether no more days in a row are left out than holidays last."""
    at = np.flatnonzero(np.isin(due, time))
    return bool(at[0] < _CLOSED and (np.diff(at) <= _CLOSED).all())


def _these(panel: Panel, what: str, times: NDArray[Any]) -> str:
    if not len(times):
        return ""
    more = f" and {len(times) - _LISTED} more" if len(times) > _LISTED else ""
    return f"{what} {', '.join(_shown(panel, times[:_LISTED]))}{more}"


def _shown(panel: Panel, times: NDArray[Any]) -> list[str]:
    return list(time_labels(panel.clock(times)))


def _distances(panel: Panel) -> Array:
    """[n] how far rows usually are apart, in some of the series."""
    some = panel.series[:: -(-len(panel.series) // _LOOKED_AT)]
    return np.array([np.median(np.diff(s.time).astype(np.int64)) for s in some if len(s) > 2])


def _told(distance: float, is_date: bool) -> str:
    if not is_date:
        return f"{distance:g}"
    return str(dt.timedelta(microseconds=distance)).removesuffix(", 0:00:00")
