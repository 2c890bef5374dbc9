"""Where a time axis is labelled: at the start of months, years, weeks, days or hours."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?")

_PERIODS: Final[tuple[tuple[Any, tuple[int, ...]], ...]] = (
    ("s", (1, 5, 15, 30)),
    ("m", (1, 5, 15, 30)),
    ("h", (1, 3, 6, 12)),
    ("D", (1, 2, 7, 14)),
    ("M", (1, 2, 3, 6)),
    ("Y", (1, 2, 5, 10, 20, 50, 100, 200, 500)),
)
"""Units of time, and how many of each may lie between two labels."""

_MONDAY: Final = 4
"""Days from 1970-01-01 to the first Monday."""


def as_times(labels: Any) -> NDArray[np.datetime64] | None:
    """Read labels as times; None if one of them is something else.

    Args:
        labels: [N] datetime64, or ISO text.

    >>> as_times(["2018-10-01", "2018-10-02"])
    array(['2018-10-01T00:00:00.000000', '2018-10-02T00:00:00.000000'],
          dtype='datetime64[us]')
    >>> as_times([3, 4]) is None
    True
    """
    given = np.asarray(labels)
    if given.dtype.kind in "UO":
        texts = [str(label) for label in given.ravel()]
        if not texts or not all(_ISO.fullmatch(text) for text in texts):
            return None
        try:
            given = np.array([text.replace(" ", "T") for text in texts], "datetime64[us]")
        except ValueError:  # such as month 13
            return None
    if given.dtype.kind != "M" or not given.size or np.isnat(given).any():
        return None
    return given.astype("datetime64[us]")


def period_starts(first: Any, last: Any, most: int = 6) -> tuple[NDArray[np.datetime64], list[str]]:
    """Return the starts of equal periods from one time to another, and their labels.

    The shortest period is taken that starts at most `most` times: seconds to hours, days, weeks
    (on Mondays), months, quarters, years.

    Args:
        first, last: datetime64.
        most: labels at most. Default 6.

    Returns:
        [K] datetime64[us], and K texts.

    >>> period_starts(np.datetime64("2018-07-11"), np.datetime64("2018-10-20"))[1]
    ['2018-08', '2018-09', '2018-10']
    """
    for unit, steps in _PERIODS:
        a, b = (int(np.datetime64(t, unit).astype(np.int64)) for t in (first, last))
        for step in steps:
            offset = _MONDAY if unit == "D" and step % 7 == 0 else 30 if unit == "Y" else 0
            low = -(-(a - offset) // step) * step + offset  # 1970 + 30 is a round year
            if (b - low) // step > most:
                continue
            starts = np.arange(low, b + 1, step).astype(f"datetime64[{unit}]")
            times = starts.astype("datetime64[us]")
            keep = times >= np.datetime64(first, "us")
            if keep.sum() <= most:
                return times[keep], [_text(t, unit) for t in starts[keep]]
    return np.array([], "datetime64[us]"), []


def row_ticks(labels: Any, most: int = 6) -> tuple[list[int], list[str]]:
    """Return which rows to label on an axis that counts rows, and how.

    Times in ascending order are labelled at the first row of a period (`period_starts`); any other
    labels are taken at equal distances.

    Args:
        labels: [N] of the rows: datetime64, ISO text, numbers or any text.
        most: labels at most. Default 6.

    >>> row_ticks(np.arange("2018-07-11", "2018-10-20", dtype="datetime64[D]"))
    ([21, 52, 82], ['2018-08', '2018-09', '2018-10'])
    >>> row_ticks([5, 6, 7, 8], most=2)
    ([0, 3], ['5', '8'])
    """
    times = as_times(labels)
    if times is not None and (np.diff(times) >= np.timedelta64(0)).all():
        starts, texts = period_starts(times[0], times[-1], most)
        at = dict(zip(np.searchsorted(times, starts).tolist(), texts, strict=True))
        if len(at) > 1:
            return [*at], [*at.values()]
    shown = row_labels(labels)
    rows = np.unique(np.linspace(0, len(shown) - 1, min(most, len(shown))).astype(int))
    return rows.tolist(), [shown[k] for k in rows]


def row_labels(labels: Any) -> list[str]:
    """Return labels as short text: dates without a midnight, numbers with six digits.

    >>> row_labels([1954.9166666666667, 1955.0])
    ['1954.92', '1955']
    """
    times = as_times(labels)
    if times is not None:
        return time_labels(times).tolist()
    return [f"{x:.6g}" if isinstance(x, (float, np.floating)) else str(x) for x in labels]


def time_labels(time: NDArray[Any]) -> NDArray[np.str_]:
    """Return times as short text: dates without a midnight, clocks without seconds of zero.

    Args:
        time: [N] datetime64, or integers, which stay as they are.

    >>> time_labels(np.array(["2018-10-01T09:30", "2018-10-01T10:30"], "M8[us]")).tolist()
    ['2018-10-01 09:30', '2018-10-01 10:30']
    """
    if time.dtype.kind != "M":
        return time.astype(str)
    short = time
    for unit in ("D", "m", "s"):
        short = time.astype(f"datetime64[{unit}]")
        if (short == time).all():
            break
    return np.char.replace(short.astype(str), "T", " ")


def _text(time: Any, unit: str) -> str:
    text = str(time)
    if unit in "YMD":
        return text
    return text[11:19] if unit == "s" else f"{text[5:10]} {str(time.astype('datetime64[m]'))[11:]}"
