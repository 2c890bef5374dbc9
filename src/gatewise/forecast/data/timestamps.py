"""Time columns in and out: integers, dates, datetimes and ISO text; never a grid.

Everything inside works on int64 or on datetime64[us] in the caller's wall time; a `TimeStyle`
remembers how the caller wrote it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import TableError, shown
from gatewise.forecast.data.grouping import factorise
from gatewise.forecast.data.panel import Kind, TimeStyle

if TYPE_CHECKING:
    import narwhals as nw


_MICRO: Final = "datetime64[us]"


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
    native = column.to_native()
    if isinstance(tz := getattr(getattr(native, "dtype", None), "tz", None), dt.tzinfo):
        # pandas is asked itself: narwhals knows no zones with _, digits or signs in their names.
        zone = _zone_name(tz, name)
        wall, instant = (
            np.asarray(native.dt.tz_convert(z).dt.tz_localize(None)) for z in (zone, "UTC")
        )
        style = TimeStyle("datetime", native.dtype.unit, zone)
        return wall.astype(_MICRO), instant.astype(_MICRO), style
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
        zone = _zone_of(values, name)
        wall = np.array([_naive(v) for v in values], _MICRO)[codes]
        instant = np.array([_naive(_in_utc(v)) for v in values], _MICRO)[codes]
        return wall, instant, TimeStyle("datetime", "ns", zone)
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
    time, at = np.unique(time.astype(_MICRO), return_inverse=True)
    if style.kind.startswith("text"):
        days = style.kind == "text-date"
        texts = (
            np.datetime_as_string(time.astype("datetime64[D]")).tolist() if days
            else [stamp.isoformat(" ") for stamp in time.tolist()]
        )  # fmt: skip
        return nw.new_series(name, [texts[i] for i in at], nw.String, backend=kind)
    if style.zone is not None:
        zone = _zone(style.zone)
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
    return np.asarray(column.to_numpy()).astype(_MICRO)


def _zone_name(zone: dt.tzinfo, column: str) -> str:
    """The name of a zone of zoneinfo or pytz, or its fixed offset.

    Raises:
        TableError: it has neither.
    """
    key = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if key:
        return str(key)
    offset = zone.utcoffset(None)
    if offset is None:
        raise TableError(
            f"Time column {column!r} is in the zone {zone!r}, which has no name: expected one of "
            "zoneinfo, such as America/New_York, or a fixed offset. Convert the column."
        )
    if not offset:
        return "UTC"
    return dt.datetime.min.replace(tzinfo=dt.timezone(offset)).isoformat()[19:]


def _zone(name: str) -> dt.tzinfo:
    """The zone of a name that `_zone_name` gave, or that a pyarrow table has."""
    if name[0] in "+-":
        return dt.datetime.fromisoformat(f"2000-01-01T00:00{name}").tzinfo or dt.UTC
    return ZoneInfo(name)


def _zone_of(values: Sequence[Any], column: str) -> str | None:
    """The one zone of Python's dates and datetimes, None if they have none.

    Raises:
        TableError: they have several.
    """
    zones = {getattr(v, "tzinfo", None) for v in values}
    names = {None if zone is None else _zone_name(zone, column) for zone in zones}
    if len(names) > 1:
        told = ", ".join(sorted(str(name or "no zone") for name in names))
        raise TableError(
            f"Time column {column!r} holds times of several zones ({told}): expected one. "
            "Convert the column."
        )
    return names.pop()


def _in_utc(value: dt.date) -> dt.date:
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.UTC)
    return value


def _naive(value: dt.date) -> dt.date:
    return value.replace(tzinfo=None) if isinstance(value, dt.datetime) else value


def _from_text(value: object, row: int, name: str) -> np.datetime64:
    try:
        stamp = dt.datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise TableError(
            f"Time column {shown(name)} has {shown(value)} in row {row}: expected a date, an "
            "integer or ISO text such as 2024-01-31 or 2024-01-31 09:30. Parse the column first."
        ) from None
    return np.datetime64(stamp.replace(tzinfo=None), "us")


def time_labels(time: NDArray[Any]) -> NDArray[np.str_]:
    """Times as short text: dates without a midnight, integers as they are."""
    if time.dtype.kind != "M":
        return time.astype(str)
    days = time.astype("datetime64[D]")
    if (days == time).all():
        return days.astype(str)
    return np.char.replace(time.astype("datetime64[m]").astype(str), "T", " ")
