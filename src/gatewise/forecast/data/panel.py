"""A table as the forecaster sees it: for each series, arrays of rows in order of time.

Nothing here knows of pandas, polars or torch; `table` makes panels, everything else reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gatewise.forecast.data.zones import to_wall

Array = NDArray[np.float64]

Kind = Literal["pandas", "polars", "pyarrow"]
"""The library a table belongs to."""


@dataclass(frozen=True, slots=True)
class TimeStyle:
    """How a table writes time.

    Attributes:
        kind: "integer", "number" (which is a date), "date", "datetime", "period" or "text".
        unit: of datetimes; of numbers, their dtype.
        zone: a name of the IANA data base, a fixed offset such as "+05:30", or None.
        instants: with a zone, whether a panel holds instants in UTC, not the caller's wall time.
        format: of text, as `spellings` reads it; of numbers, as `codes` does; of periods, pandas'
            frequency.
    """

    kind: str
    unit: str = "us"
    zone: str | None = None
    instants: bool = False
    format: str = ""


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns by role; `series` is None if the table holds one series."""

    time: str
    target: str
    series: str | None = None
    past: tuple[str, ...] = ()
    future: tuple[str, ...] = ()
    static: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Rows of one series, in order of time. A missing value is NaN, and its row stays.

    Attributes:
        name: what stands in the series column ("" if there is none).
        time: [n] int64, or datetime64[us]: the caller's own wall time, or if the rows are less
            than a day apart and have a zone, UTC.
        target: [n] float64.
        past: [n, P] float64, drivers known up to the present.
        future: [n, F] float64, drivers known ahead.
        static: one value per static column, a number or a text.
    """

    name: Any
    time: NDArray[Any]
    target: Array
    past: Array
    future: Array
    static: tuple[float | str, ...] = ()

    def __len__(self) -> int:
        return len(self.time)

    def rows(self, start: int, stop: int) -> Series:
        """Rows start <= i < stop."""
        keep = slice(max(start, 0), max(stop, 0))
        return replace(
            self,
            time=self.time[keep],
            target=self.target[keep],
            past=self.past[keep],
            future=self.future[keep],
        )

    def extended(self, time: NDArray[Any], future: Array) -> Series:
        """The same series with rows whose target and past drivers are not known yet."""
        k = len(time)
        return replace(
            self,
            time=np.concatenate([self.time, time]),
            target=np.concatenate([self.target, np.full(k, np.nan)]),
            past=np.concatenate([self.past, np.full((k, self.past.shape[1]), np.nan)]),
            future=np.concatenate([self.future, future]),
        )

    def tail(self, count: int) -> Series:
        """The last `count` rows after one that carries the last observed values before them.

        Changes inside the tail are thus the very numbers they were in the whole series.
        """
        start = len(self) - count - 1
        if start <= 0:
            return self
        cut = self.rows(start, len(self))
        first = {
            name: np.concatenate([forward_fill(values[: start + 1])[-1:], values[start + 1 :]])
            for name, values in (
                ("target", self.target),
                ("past", self.past),
                ("future", self.future),
            )
        }
        return replace(cut, **first)


@dataclass(frozen=True, slots=True, eq=False)
class Flat:
    """The rows of all series of a panel, one series after the other. N rows, S series.

    Attributes:
        time: [N]; target: [N]; past: [N, P]; future: [N, F]; see `Series`.
        first, stop: [S] each series' rows are first <= row < stop.
    """

    time: NDArray[Any]
    target: Array
    past: Array
    future: Array
    first: NDArray[np.intp]
    stop: NDArray[np.intp]

    def at(self, series: NDArray[np.intp], row: NDArray[np.intp]) -> NDArray[np.intp]:
        """Number of a row of a series among all rows."""
        return self.first[series] + row


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Every series of a table.

    Attributes:
        columns: names by role.
        series: at least one.
        style: how the caller writes time, to write the forecast's the same way.
        kind: "pandas", "polars" or "pyarrow".
        notes: what was done to the table on the way in, for people to read.
    """

    columns: Columns
    series: tuple[Series, ...]
    style: TimeStyle
    kind: Kind
    notes: tuple[str, ...] = ()

    @property
    def zone(self) -> str | None:
        """The zone of the callers' clocks, if `time` is in UTC."""
        return self.style.zone if self.style.instants else None

    def clock(self, time: NDArray[Any]) -> NDArray[Any]:
        """Times [n] of this panel as the caller's clocks show them."""
        return time if self.zone is None else to_wall(time, self.zone)

    def flat(self) -> Flat:
        """The rows of all series, one series after the other."""
        lengths = np.array([len(s) for s in self.series], np.intp)
        stop = np.cumsum(lengths)
        return Flat(
            np.concatenate([s.time for s in self.series]),
            np.concatenate([s.target for s in self.series]),
            np.concatenate([s.past for s in self.series]),
            np.concatenate([s.future for s in self.series]),
            stop - lengths,
            stop,
        )

    def timeline(self) -> NDArray[Any]:
        """Every time stamp of any series once, ascending."""
        return np.unique(np.concatenate([s.time for s in self.series]))

    def cuts(self, time: Any) -> list[int]:
        """For each series the number of its rows before a time."""
        return [int(np.searchsorted(s.time, time, side="left")) for s in self.series]

    def before(self, cuts: Sequence[int], last: int | None = None) -> Panel:
        """Rows before a cut per series (the `last` of them); series without two rows drop out."""
        kept = (
            s.rows(0 if last is None else cut - last, cut)
            for s, cut in zip(self.series, cuts, strict=True)
        )
        return replace(self, series=tuple(s for s in kept if len(s) >= 2))


def forward_fill(values: Array) -> Array:
    """Replace each NaN by the last value before it, along axis 0; leading NaN stay.

    >>> forward_fill(np.array([np.nan, 1.0, np.nan, 3.0]))
    array([nan,  1.,  1.,  3.])
    """
    if not len(values):
        return values
    flat = values.reshape(len(values), -1)
    rows = np.arange(len(flat))[:, None]
    seen = np.maximum.accumulate(np.where(np.isnan(flat), 0, rows), axis=0)
    return np.take_along_axis(flat, seen, axis=0).reshape(values.shape)
