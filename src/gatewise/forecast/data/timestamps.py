"""Time columns in and out: numbers, dates, datetimes, periods and text.

Everything inside works on int64 or on datetime64[us]: local wall time of days and longer, instants
in UTC of finer rows that have a zone (`zones`). A `TimeStyle` remembers how the caller wrote it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import TableError, shown
from gatewise.forecast.data import zones
from gatewise.forecast.data.codes import read_numbers, write_numbers
from gatewise.forecast.data.grouping import factorise
from gatewise.forecast.data.panel import Kind, TimeStyle
from gatewise.forecast.data.spellings import UnreadableError, read_texts, write_texts
from gatewise.page.time_axis import time_labels

if TYPE_CHECKING:
    import narwhals as nw


_MICRO: Final = "datetime64[us]"


@dataclass(frozen=True, slots=True, eq=False)
class Times:
    """A time column that was read.

    Attributes:
        wall: [n] int64, or datetime64[us] as the caller's clocks show it.
        instant: [n] what to sort by: the same, or UTC where there is a zone.
        style: how the caller writes it.
        notes: what was decided for the caller, for people to read.
    """

    wall: NDArray[Any]
    instant: NDArray[Any]
    style: TimeStyle
    notes: tuple[str, ...] = ()

    def kept(self) -> NDArray[Any]:
        """[n] the times that a panel holds."""
        return self.instant if self.style.instants else self.wall

    def with_steps(self, same: NDArray[np.bool_], order: NDArray[np.intp] | None) -> Times:
        """The same times, now that the rows of each series are known; see `zones.is_elapsed`."""
        if self.style.zone is None:
            return self
        pair = (self.wall, self.instant)
        wall, instant = pair if order is None else (t[order] for t in pair)
        return replace(
            self, style=replace(self.style, instants=zones.is_elapsed(wall, instant, same))
        )

    def like(self, style: TimeStyle, name: str) -> Times:
        """The same times in the zone of other tables of the same forecaster.

        Raises:
            TableError: one has a zone and the other has none.
        """
        if (self.wall.dtype.kind == "M") != (style.kind != "integer"):
            kinds = ("integers", "dates") if style.kind == "integer" else ("dates", "integers")
            raise TableError(
                f"Time column {shown(name)} holds {kinds[1]}, and the forecaster was fitted on "
                f"{kinds[0]}: expected {kinds[0]}. Convert the column."
            )
        own = self.style.zone
        if (own is None) != (style.zone is None):
            raise TableError(
                f"Time column {shown(name)} is in {own or 'no zone'}, and the forecaster was "
                f"fitted on times in {style.zone or 'no zone'}: expected the same. Convert the "
                "column."
            )
        wall = self.wall
        if style.zone is not None and own != style.zone:
            wall = zones.to_wall(self.instant, style.zone)
        return replace(
            self, wall=wall, style=replace(self.style, zone=style.zone, instants=style.instants)
        )


def parse(column: nw.Series[Any], form: str = "") -> Times:
    """Read a time column.

    Args:
        column: of a table.
        form: format of text, of another table of the same forecaster.

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
    if dtype.is_numeric():
        return _from_numbers(column, form)
    native = column.to_native()
    if isinstance(tz := getattr(getattr(native, "dtype", None), "tz", None), dt.tzinfo):
        # pandas is asked itself: narwhals knows no zones with _, digits or signs in their names.
        zone = zones.zone_name(tz, name)
        wall, instant = (
            np.asarray(native.dt.tz_convert(z).dt.tz_localize(None)) for z in (zone, "UTC")
        )
        style = TimeStyle("datetime", native.dtype.unit, zone)
        return Times(wall.astype(_MICRO), instant.astype(_MICRO), style)
    if type(getattr(native, "dtype", None)).__name__ == "PeriodDtype":
        time = np.asarray(native.dt.to_timestamp(how="start")).astype(_MICRO)
        return Times(time, time, TimeStyle("period", format=str(native.dtype)[7:-1]))
    if isinstance(dtype, nw.Datetime):
        unit, zone = dtype.time_unit, dtype.time_zone
        if zone is None:
            time = _micro(column)
            return Times(time, time, TimeStyle("datetime", unit))
        wall = _micro(column.dt.replace_time_zone(None))
        instant = _micro(column.dt.convert_time_zone("UTC").dt.replace_time_zone(None))
        return Times(wall, instant, TimeStyle("datetime", unit, zone))
    if dtype == nw.Date:
        time = _micro(column.cast(nw.Datetime("us")))
        return Times(time, time, TimeStyle("date"))
    codes, values = factorise(column)
    if all(isinstance(v, dt.date) for v in values):
        zone = _zone_of(values, name)
        wall = np.array([_naive(v) for v in values], _MICRO)[codes]
        instant = np.array([_naive(_in_utc(v)) for v in values], _MICRO)[codes]
        return Times(wall, instant, TimeStyle("datetime", "ns", zone))
    return _from_text(name, codes, values, form)


def render(time: NDArray[Any], style: TimeStyle, name: str, kind: Kind) -> nw.Series[Any]:
    """Write times as the caller does: the inverse of `Times.kept`, as a narwhals series."""
    import narwhals as nw

    if style.kind == "integer":
        return nw.new_series(name, time.astype(style.unit), backend=kind)
    if style.kind == "number":
        coded = write_numbers(time, style.format)
        return nw.new_series(name, coded.astype(style.unit), backend=kind)
    # Series share their times: what needs a Python object is made once for each time.
    time, at = np.unique(time.astype(_MICRO), return_inverse=True)
    zone = style.zone
    if style.kind == "text":
        wall = zones.to_wall(time, zone) if zone is not None and style.instants else time
        texts = write_texts(wall, style.format, "" if zone is None else _written(zone))
        return nw.new_series(name, [texts[i] for i in at], nw.String, backend=kind)
    if zone is not None and not style.instants:
        time = zones.to_instant(time, zone)
    made = nw.new_series(name, time[at], nw.Datetime("us"), backend=kind)
    if kind != "pandas":
        if style.kind == "date":
            return made.cast(nw.Date)
    elif style.kind == "period":
        periods: Any = made.to_native()
        return nw.from_native(periods.dt.to_period(style.format), series_only=True)
    if style.kind == "datetime":
        made = made.cast(nw.Datetime(style.unit))  # pyright: ignore[reportArgumentType]
    if zone is not None:
        made = made.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    return made


def _from_numbers(column: nw.Series[Any], form: str) -> Times:
    import narwhals as nw

    name, whole = column.name, column.dtype.is_integer()
    values = column.cast(nw.Int64 if whole else nw.Float64).to_numpy()
    unit = "int64" if whole else "float64"
    found = read_numbers(values, form)
    if found is not None:
        time, form = found
        said = {"%Y%m%d": "dates", "%Y%m": "months", "year": "years with parts"}
        read = said.get(form, f"{form} since 1970")
        note = f"Time column {shown(name)}: {column[0]} is read as {read}, {_plain(time[0])}."
        return Times(time, time, TimeStyle("number", unit, format=form), (note,))
    bad = np.flatnonzero(~(np.isfinite(values) & (values == np.floor(values))))
    if len(bad):
        row = int(bad[0])
        raise TableError(
            f"Time column {shown(name)} has {shown(column[row])} in row {row}: expected dates, "
            "whole numbers, or years with months or quarters as parts (1990.25). Convert the "
            "column to dates."
        )
    time = values.astype(np.int64)
    return Times(time, time, TimeStyle("integer", unit))


def _from_text(name: str, codes: NDArray[np.intp], values: list[Any], form: str) -> Times:
    texts = [str(v) for v in values]
    try:
        read = read_texts(texts, form)
    except UnreadableError as error:
        if error.row is None:
            raise TableError(f"Time column {shown(name)} has {error}") from None
        row = int((codes == error.row).argmax())
        raise TableError(
            f"Time column {shown(name)} has {shown(values[error.row])} in row {row}: expected a "
            "date, an integer or text such as 2024-01-31 09:30, 31.01.2024, 2024-01 or 2024Q1, "
            "alike in all rows. Parse the column first, or name its format (--date-format)."
        ) from None
    notes = (read.note,) if read.note else ()
    wall, zone = read.time, None
    instant = wall
    if read.offset is not None:
        instant = wall - read.offset.astype("timedelta64[us]")
        found = np.unique(read.offset).tolist()
        zone = zones.offset_name(dt.timedelta(microseconds=found[0]))
        if len(found) > 1:
            notes += _several(name, found, wall, instant)
            wall, zone = instant, "UTC"
    style = TimeStyle("text", zone=zone, format=read.format)
    return Times(wall[codes], instant[codes], style, notes)


def _several(
    name: str, offsets: list[int], wall: NDArray[Any], instant: NDArray[Any]
) -> tuple[str, ...]:
    """What is said of times with several offsets, whose zone is thus not known.

    Raises:
        TableError: rows are days or longer, which only the zone can continue.
    """
    told = ", ".join(zones.offset_name(dt.timedelta(microseconds=o)) for o in offsets[:5])
    order = np.argsort(instant)
    if not zones.is_elapsed(wall[order], instant[order], np.ones(len(order) - 1, dtype=bool)):
        raise TableError(
            f"Time column {shown(name)} has several offsets ({told}): expected one, or a zone that "
            "tells which day has which. Convert the column to datetimes of a zone, such as "
            "America/New_York."
        )
    return (
        f"Time column {shown(name)} has several offsets ({told}): the times of the forecast are "
        "in UTC. Convert the column to datetimes of a zone for others.",
    )


def _written(zone: str) -> str:
    """A fixed offset at the end of a text."""
    return "+00:00" if zone == "UTC" else zone


def _plain(time: Any) -> str:
    return str(time_labels(np.array([time]))[0])


def _micro(column: nw.Series[Any]) -> NDArray[Any]:
    return np.asarray(column.to_numpy()).astype(_MICRO)


def _zone_of(values: Sequence[Any], column: str) -> str | None:
    """The one zone of Python's dates and datetimes, None if they have none.

    Raises:
        TableError: they have several.
    """
    found = {getattr(v, "tzinfo", None) for v in values}
    names = {None if zone is None else zones.zone_name(zone, column) for zone in found}
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


def column_clock(column: nw.Series[Any], style: TimeStyle) -> NDArray[Any]:
    """A time column that `render` made, as the caller's clocks show it."""
    return parse(column, style.format).wall
