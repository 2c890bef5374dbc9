"""Time columns in and out: integers, dates, datetimes and ISO text; never a grid.

Everything inside works on int64 or on datetime64[us] in the caller's wall time; a `TimeStyle`
remembers how the caller wrote it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import TableError, shown
from gatewise.forecast.grouping import factorise

if TYPE_CHECKING:
    import narwhals as nw

    from gatewise.forecast.panel import Kind


@dataclass(frozen=True, slots=True)
class TimeStyle:
    """How a table writes time: "integer", "date", "datetime", "text-date" or "text-datetime"."""

    kind: str
    unit: str = "us"
    zone: str | None = None


def parse(column: nw.Series[Any]) -> tuple[NDArray[Any], NDArray[Any], TimeStyle]:
    """Read a time column.

    Returns:
        The wall time (int64 or datetime64[us], [n]), the instant to sort by (the same, save where
        a time zone sets its clocks back), and the style.

    Raises:
        TableError: a value is missing or is not a time.
    """
    import narwhals as nw

    name, dtype = column.name, column.dtype
    if column.is_null().any():
        row = int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise TableError(
            f"Time column {shown(name)} has no value in row {row}: expected a date or an integer "
            "in every row. Remove the rows without a time."
        )
    if dtype.is_integer():
        time = column.cast(nw.Int64).to_numpy().astype(np.int64)
        return time, time, TimeStyle("integer")
    if isinstance(dtype, nw.Datetime):
        unit, zone = dtype.time_unit, dtype.time_zone
        wall = column if zone is None else column.dt.replace_time_zone(None)
        instant = column if zone is None else column.dt.convert_time_zone("UTC")
        if zone is not None:
            instant = instant.dt.replace_time_zone(None)
        return _micro(wall), _micro(instant), TimeStyle("datetime", unit, zone)
    if dtype == nw.Date:
        time = _micro(column.cast(nw.Datetime("us")))
        return time, time, TimeStyle("date")
    codes, values = factorise(column)
    if all(isinstance(v, dt.date) for v in values):
        time = np.array(values, dtype="datetime64[us]")[codes]
        return time, time, TimeStyle("datetime", "ns")
    rows = np.unique(codes, return_index=True)[1].tolist()
    stamps = [_from_text(v, row, name) for v, row in zip(values, rows, strict=True)]
    time = np.array(stamps, "datetime64[us]")[codes]
    short = all(len(str(v).strip()) <= 10 for v in values)
    return time, time, TimeStyle("text-date" if short else "text-datetime")


def render(time: NDArray[Any], style: TimeStyle, name: str, kind: Kind) -> nw.Series[Any]:
    """Write times as the caller does: the inverse of `parse`, as a narwhals series."""
    import narwhals as nw

    if style.kind == "integer":
        return nw.new_series(name, time.astype(np.int64), nw.Int64, backend=kind)
    # Series share their times: what needs a Python object is made once for each time.
    time, at = np.unique(time.astype("datetime64[us]"), return_inverse=True)
    if style.kind.startswith("text"):
        days = style.kind == "text-date"
        texts = (
            np.datetime_as_string(time.astype("datetime64[D]")).tolist() if days
            else [stamp.isoformat(" ") for stamp in time.tolist()]
        )  # fmt: skip
        return nw.new_series(name, [texts[i] for i in at], nw.String, backend=kind)
    if style.zone is not None:
        zone = ZoneInfo(style.zone)
        local: list[dt.datetime] = [stamp.replace(tzinfo=zone) for stamp in time.tolist()]
        time = np.array([s.astimezone(dt.UTC).replace(tzinfo=None) for s in local], time.dtype)
    made = nw.new_series(name, time[at], nw.Datetime("us"), backend=kind)
    if style.kind == "date":
        return made.cast(nw.Date) if kind != "pandas" else made
    made = made.cast(nw.Datetime(style.unit))  # pyright: ignore[reportArgumentType]
    if style.zone is not None:
        made = made.dt.replace_time_zone("UTC").dt.convert_time_zone(style.zone)
    return made


def _micro(column: nw.Series[Any]) -> NDArray[Any]:
    return np.asarray(column.to_numpy()).astype("datetime64[us]")


def _from_text(value: object, row: int, name: str) -> np.datetime64:
    try:
        stamp = dt.datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise TableError(
            f"Time column {shown(name)} has {shown(value)} in row {row}: expected a date, an "
            "integer or ISO text such as 2024-01-31 or 2024-01-31 09:30. Parse the column first."
        ) from None
    return np.datetime64(stamp.replace(tzinfo=None), "us")
