"""The time of day and the offset in texts that are times.

Texts come as the groups of the pattern in `spellings`, a column for each: hour, minute, second,
fraction, half (of the day), gap (before the hour) and zone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

_HOUR: Final = 3_600_000_000


class UnreadableError(ValueError):
    """A text is no time, or may be two.

    Attributes:
        row: number of the text; None if all are at fault alike.
    """

    def __init__(self, row: int | None, reason: str) -> None:
        super().__init__(reason)
        self.row = row


def clock(parts: pl.DataFrame) -> NDArray[Any]:
    """Return the time of the day of each text, [n] timedelta64[us].

    Raises:
        UnreadableError: there is no such hour, minute or second.
    """
    h, m, s = (
        parts[c].cast(int).fill_null(0).to_numpy().copy() for c in ("hour", "minute", "second")
    )
    half = parts["half"].str.to_lowercase()
    if half.null_count() < len(half):
        odd = (h < 1) | (h > 12) | half.is_null().to_numpy()
        if odd.any():
            raise UnreadableError(int(odd.argmax()), "")
        h = h % 12 + 12 * (half == "p").to_numpy()
    if (bad := (h > 23) | (m > 59) | (s > 59)).any():
        raise UnreadableError(int(bad.argmax()), "")
    micro = parts["fraction"].str.pad_end(6, "0").str.slice(0, 6).cast(int).fill_null(0).to_numpy()
    return ((h * 3600 + m * 60 + s) * 1_000_000 + micro).astype("timedelta64[us]")


def offset_of(zone: pl.Series) -> NDArray[np.int64] | None:
    """Return how far east of UTC each text is, [n] microseconds; None if none says so.

    Raises:
        UnreadableError: only some do.
    """
    if zone.null_count() == len(zone):
        return None
    if zone.null_count():
        raise UnreadableError(int(zone.is_null().to_numpy().argmax()), "")
    digits = zone.str.replace_all(r"[^0-9]", "").str.pad_end(4, "0")
    hours, minutes = (digits.str.slice(at, 2).cast(int).to_numpy() for at in (0, 2))
    sign = np.where(zone.str.starts_with("-").to_numpy(), -1, 1)
    return (sign * (hours * _HOUR + minutes * (_HOUR // 60))).astype(np.int64)


def time_form(parts: pl.DataFrame, text: str) -> str:
    """Return the format of the time of day, from the finest part that a row has.

    Args:
        parts: of all texts.
        text: the first one; it may name UTC after a blank.
    """
    there = {c: parts[c].null_count() < len(parts) for c in ("second", "fraction", "half")}
    bare = "-" if parts["hour"].str.len_chars().min() == 1 else ""
    form = f"%{bare}I:%M" if there["half"] else f"%{bare}H:%M"
    form += ":%S" if there["second"] else ""
    form += ".%f" if there["fraction"] else ""
    gap = parts["gap"].drop_nulls()[0]
    form = gap + form + (" %p" if there["half"] else "")
    if (known := parts["zone"].unique().to_list()) in (["Z"], ["UTC"], ["GMT"]):
        form += " " * text.endswith(f" {known[0]}") + known[0]
    return form
