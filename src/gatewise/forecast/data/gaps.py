"""Rows that are missing from a regular calendar, inserted with an empty target.

A model counts rows: a month that is left out would shift all seasons after it. Only calendars on
which every time is due are filled (whole weeks, months, quarters, hours of all days): a day that an
exchange or a shop is closed is no gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import shown
from gatewise.forecast.data.calendar import observe
from gatewise.forecast.data.fields import month_number
from gatewise.forecast.data.panel import Array, Series, TimeStyle
from gatewise.forecast.data.zones import to_wall
from gatewise.page.time_axis import time_labels

_FEW: Final = 6
"""Fewer rows than this do not tell a gap from a longer step."""

_MOST: Final = 0.2
"""Share of a calendar's times that may be missing; with more, nobody knows what it is."""

_TOLD: Final = 5


def fill(series: Sequence[Series], style: TimeStyle) -> tuple[tuple[Series, ...], list[str]]:
    """Insert the rows that are missing; every value in them is NaN.

    Args:
        series: in order of time.
        style: of their time.

    Returns:
        The series, and what was done, for people to read.
    """
    zone = style.zone if style.instants else None
    known: dict[bytes, NDArray[Any]] = {}
    made, found, where, sparse = [], 0, [], 0
    for s in series:
        key = s.time.tobytes()
        if key not in known:
            known[key] = _missing(s.time, zone)
        gaps = known[key]
        if len(gaps) > _MOST * (len(s) + len(gaps)):
            sparse += 1
        elif len(gaps):
            found += len(gaps)
            where += [(s.name, t) for t in gaps[: _TOLD - len(where)]]
            s = _with_rows(s, gaps)  # noqa: PLW2901
        made.append(s)
    notes = []
    if found:
        notes.append(_told(found, where, zone))
    if sparse:
        of = f" of {sparse} of {len(series)} series" if len(series) > 1 else ""
        notes.append(
            f"More than a fifth of the rows{of} are missing from the calendar: none were inserted."
        )
    return tuple(made), notes


def _missing(time: NDArray[Any], zone: str | None) -> NDArray[Any]:
    """The times that a regular calendar has and a series has not; empty if it is not regular."""
    none = time[:0]
    if len(time) < _FEW:
        return none
    calendar = observe(time, zone)
    if not calendar.is_whole:
        return none
    if calendar.kind == "months":
        due = calendar.between(time[0], time[-1])
        months, seen = month_number(due), month_number(time)
        if len(np.unique(seen)) < len(seen) or not np.isin(seen, months).all():
            return none
        return due[~np.isin(months, seen)]
    span = int((time[-1] - time[0]).astype(np.int64))
    if span // calendar.step > len(time) / (1 - _MOST) * 4:
        return none
    due = calendar.between(time[0], time[-1])
    if not np.isin(time, due).all():
        return none
    return due[~np.isin(due, time)]


def _with_rows(series: Series, gaps: NDArray[Any]) -> Series:
    time = np.concatenate([series.time, gaps])
    order = np.argsort(time, kind="stable")

    def longer(values: Array) -> Array:
        empty = np.full((len(gaps), *values.shape[1:]), np.nan)
        return np.concatenate([values, empty])[order]

    return replace(
        series,
        time=time[order],
        target=longer(series.target),
        past=longer(series.past),
        future=longer(series.future),
    )


def _told(found: int, where: list[tuple[Any, Any]], zone: str | None) -> str:
    times = np.array([time for _, time in where])
    labels = time_labels(times if zone is None else to_wall(times, zone))
    listed = ", ".join(
        str(label) if name == "" else f"{label} of series {shown(name)}"
        for (name, _), label in zip(where, labels, strict=True)
    )
    more = f" and {found - len(where)} more" if found > len(where) else ""
    rows, were = ("row is", "it was") if found == 1 else ("rows are", "they were")
    return (
        f"{found} {rows} missing from a regular calendar ({listed}{more}): {were} inserted with an "
        "empty target. fill_gaps=False (--keep-gaps) leaves the table as it is."
    )
