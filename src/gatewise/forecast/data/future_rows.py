"""The rows to forecast: their time stamps, and the drivers known for them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import ConfigError, TableError, shown
from gatewise.forecast.data.calendar import Calendar, observe_all
from gatewise.forecast.data.panel import Array, Columns, Panel, Series
from gatewise.forecast.data.table import read_panel

_LOOKED_AT: Final = 300
"""Series whose frequency is compared, at most."""

_SAME: Final = 1.9
"""Rows this many times as far apart are of another frequency."""


def read_future(columns: Columns, h: int, future: Any) -> Mapping[Any, Series]:
    """Read the table of known-future drivers: rows by series; empty if there are no such drivers.

    Args:
        columns: of the fitted table.
        h: rows that each series needs.
        future: the table.

    Raises:
        ConfigError: the table is missing or was not expected.
        TableError: it cannot be used.
    """
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
    return {s.name: s for s in read_panel(future, columns, with_target=False).series}


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
    if tail.columns.future:
        pairs = [_rows_after(s, future.get(s.name), h) for s in panel.series]
        return [t for t, _ in pairs], [f for _, f in pairs]
    made: dict[tuple[Calendar, Any], NDArray[Any]] = {}
    times = []
    for s, calendar in zip(panel.series, _calendars(tail, calendars, panel), strict=True):
        key = calendar, s.time[-1]
        if key not in made:
            made[key] = calendar.after(s.time[-1], h)
        times.append(made[key])
    return times, [np.empty((h, 0))] * len(times)


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
        for s, calendar in zip(new, observe_all([s.time for s in new], calendars), strict=True)
    }
    return [known[s.name] for s in panel.series]


def _rows_after(series: Series, ahead: Series | None, h: int) -> tuple[NDArray[Any], Array]:
    if ahead is None:
        raise TableError(
            f"The future table has no rows of series {shown(series.name)}: expected {h}."
        )
    after = ahead.time > series.time[-1]
    if after.sum() < h:
        raise TableError(
            f"The future table has {after.sum()} rows after {series.time[-1]}"
            f"{f' of series {shown(series.name)}' if series.name != '' else ''}: expected {h}."
        )
    return ahead.time[after][:h], ahead.future[after][:h]


def _distances(panel: Panel) -> Array:
    """[n] how far rows usually are apart, in some of the series."""
    some = panel.series[:: -(-len(panel.series) // _LOOKED_AT)]
    return np.array([np.median(np.diff(s.time).astype(np.int64)) for s in some if len(s) > 2])


def _told(distance: float, is_date: bool) -> str:
    if not is_date:
        return f"{distance:g}"
    return str(dt.timedelta(microseconds=distance)).removesuffix(", 0:00:00")
