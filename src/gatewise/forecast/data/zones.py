"""Time zones: their names, and wall time to instants (UTC) and back.

Rows less than a day apart are kept as instants, so that a step is elapsed time: no instant stands
twice when the clocks go forward, and none is left out when they go back. Rows of days and longer
are kept as wall time, so that a step is a local date.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import ConfigError, TableError, shown

_MICRO: Final = "datetime64[us]"
_DAY: Final = np.timedelta64(23, "h")
"""Rows further apart than this are days: the day on which clocks go forward has 23 hours."""


def zone_name(zone: dt.tzinfo, column: str) -> str:
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
    return offset_name(offset)


def offset_name(offset: dt.timedelta) -> str:
    """A fixed offset as text.

    >>> offset_name(dt.timedelta(hours=5, minutes=30)), offset_name(dt.timedelta(0))
    ('+05:30', 'UTC')
    """
    if not offset:
        return "UTC"
    return dt.datetime.min.replace(tzinfo=dt.timezone(offset)).isoformat()[19:]


def zone_of(name: str) -> dt.tzinfo:
    """The zone of a name that `zone_name` gave, or that a pyarrow table has.

    Raises:
        ConfigError: there is no such zone.
    """
    try:
        if name[:1] in ("+", "-"):
            return dt.datetime.fromisoformat(f"2000-01-01T00:00{name}").tzinfo or dt.UTC
        return ZoneInfo(name)
    except (ValueError, LookupError, OSError):
        raise ConfigError(
            f"There is no time zone {shown(name)}: expected a name such as America/New_York, or an "
            "offset such as +05:30."
        ) from None


def to_wall(time: NDArray[Any], zone: str) -> NDArray[Any]:
    """Wall time [n] of instants [n], both datetime64[us].

    >>> to_wall(np.array(["2024-03-10T06:30", "2024-03-10T07:30"], "M8[us]"), "America/New_York")
    array(['2024-03-10T01:30:00.000000', '2024-03-10T03:30:00.000000'],
          dtype='datetime64[us]')
    """
    time = time.astype(_MICRO)
    if not len(time):
        return time
    place = zone_of(zone)
    days, at = np.unique(time.astype("datetime64[D]"), return_inverse=True)
    edges = np.unique(np.concatenate([days, days + 1]))
    known = _offsets(edges.astype(_MICRO), place)
    first = known[np.searchsorted(edges, days)]
    offset = first[at]
    # Only a day whose offset changes is looked at time by time.
    changing = (first != known[np.searchsorted(edges, days + 1)])[at]
    offset[changing] = _offsets(time[changing], place)
    return time + offset


def to_instant(time: NDArray[Any], zone: str) -> NDArray[Any]:
    """Instants [n] of wall time [n]; of an hour that stands twice, the first.

    >>> to_instant(np.array(["2024-11-03T01:30"], "M8[us]"), "America/New_York")
    array(['2024-11-03T05:30:00.000000'], dtype='datetime64[us]')
    """
    place = zone_of(zone)
    walls, at = np.unique(time.astype(_MICRO), return_inverse=True)
    moved = [
        w.replace(tzinfo=place).astimezone(dt.UTC).replace(tzinfo=None) for w in walls.tolist()
    ]
    return np.array(moved, _MICRO)[at]


def is_elapsed(wall: NDArray[Any], instant: NDArray[Any], same: NDArray[np.bool_]) -> bool:
    """Whether steps are elapsed time: rows less than a day apart, or at one time of day in UTC.

    Args:
        wall, instant: [n] of the same rows, each series in order of time.
        same: [n - 1] whether a row, from the second on, is of the series before it.
    """
    steps = np.diff(instant)[same]
    if not len(steps):
        return False
    if np.median(steps.astype(np.int64)) < _DAY.astype("timedelta64[us]").astype(np.int64):
        return True
    clocks = [len(np.unique(t.astype(np.int64) % 86_400_000_000)) for t in (wall, instant)]
    return clocks[0] > 1 and clocks[1] == 1


def _offsets(time: NDArray[Any], place: dt.tzinfo) -> NDArray[Any]:
    """[n] microseconds east of UTC at instants."""
    stamps: list[dt.datetime] = time.tolist()
    found = [s.replace(tzinfo=dt.UTC).astimezone(place).utcoffset() for s in stamps]
    return np.array(found, "timedelta64[us]")
