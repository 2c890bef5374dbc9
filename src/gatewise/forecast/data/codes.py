"""Times that are written as numbers: 20150101, 201501, seconds since 1970, and years with parts."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_MICRO: Final = "datetime64[us]"

_EPOCHS: Final = {"s": 10**6, "ms": 10**3, "us": 1, "ns": -(10**3)}
"""Microseconds of a unit; a negative number is units of a microsecond."""

_FIRST, _LAST = 300_000_000, 4_200_000_000
"""Seconds since 1970 that count as times: July 1979 to February 2103."""

_NEAR: Final = 0.006
"""Of a month: 1990.083, which R prints for February, is so near to it."""


def read_numbers(values: NDArray[Any], wanted: str = "") -> tuple[NDArray[Any], str] | None:
    """Read times that are written as numbers.

    Args:
        values: [n] int64 or float64.
        wanted: what other times of the same table are written as; whole years are then times, too.

    Returns:
        Times [n] datetime64[us] and what they are written as: "%Y%m%d", "%Y%m", "s", "ms", "us",
        "ns" or "year". None if they are numbers like any other, or years without parts.

    >>> read_numbers(np.array([20150131, 20150201]))[1]
    '%Y%m%d'
    >>> read_numbers(np.array([1990.0, 1990.25]))[0].astype("datetime64[D]")
    array(['1990-01-01', '1990-04-01'], dtype='datetime64[D]')
    """
    if not len(values) or not np.isfinite(values).all():
        return None
    whole = values.astype(np.int64)
    if (whole != values).any() or wanted == "year":
        return _years(values)
    low, high = int(whole.min()), int(whole.max())
    if low >= 17_000_101 and high <= 22_001_231:
        return _dates(whole // 100, whole % 100, "%Y%m%d")
    if low >= 170_001 and high <= 220_012:
        return _dates(whole, np.ones_like(whole), "%Y%m")
    for unit, micro in _EPOCHS.items():
        per_second = 10**6 // micro if micro > 0 else 10**9
        if _FIRST * per_second <= low and high <= _LAST * per_second:
            return (whole * micro if micro > 0 else whole // -micro).astype(_MICRO), unit
    return None


def write_numbers(time: NDArray[Any], form: str) -> NDArray[Any]:
    """Write times as `read_numbers` found them.

    >>> write_numbers(np.array(["2015-02-01"], "datetime64[us]"), "%Y%m%d")
    array([20150201])
    """
    time = time.astype(_MICRO)
    if form in _EPOCHS:
        micro, whole = _EPOCHS[form], time.astype(np.int64)
        return whole // micro if micro > 0 else whole * -micro
    months = time.astype("datetime64[M]")
    number = months.astype(np.int64) + 1970 * 12
    if form == "year":
        return number / 12
    coded = number // 12 * 100 + number % 12 + 1
    if form == "%Y%m":
        return coded
    days = (time.astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
    return coded * 100 + days + 1


def _dates(
    months: NDArray[np.int64], days: NDArray[np.int64], form: str
) -> tuple[NDArray[Any], str] | None:
    month = months % 100
    if not ((month >= 1) & (month <= 12)).all():
        return None
    first = ((months // 100 - 1970) * 12 + month - 1).astype("datetime64[M]")
    length = ((first + 1).astype("datetime64[D]") - first.astype("datetime64[D]")).astype(int)
    if not ((days >= 1) & (days <= length)).all():
        return None
    return (first.astype("datetime64[D]") + (days - 1)).astype(_MICRO), form


def _years(values: NDArray[Any]) -> tuple[NDArray[Any], str] | None:
    """Years with quarters or months as parts."""
    months = values * 12
    near = np.rint(months)
    if values.min() < 1500 or values.max() > 2500 or (np.abs(months - near) > 12 * _NEAR).any():
        return None
    return (near.astype(np.int64) - 1970 * 12).astype("datetime64[M]").astype(_MICRO), "year"
