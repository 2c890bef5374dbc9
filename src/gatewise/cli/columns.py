"""Which column is which, where the options do not say."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from gatewise.errors import TableError, shown

if TYPE_CHECKING:
    import polars as pl

_PLAIN = ("ds", "date", "datetime", "time", "timestamp")
"""Names that are of times without doubt: they decide among several columns of times."""
_PARTS = ("day", "week", "month", "quarter", "year")
"""Names of times, or of a part of them: they decide where no column reads as times."""


def time_column(table: pl.DataFrame, taken: Collection[str], notes: list[str]) -> str:
    """The one column that holds dates, or text that reads as times.

    Of several the one with a name such as date; if there is none, a column of numbers or text with
    a name such as date or month.

    Args:
        table: the whole table.
        taken: columns that have another role.
        notes: gets what was chosen.

    Raises:
        TableError: there is none, or there are several.
    """
    free = [name for name in table.columns if name not in taken]
    dated = dated_columns(table, taken)
    found = dated if len(dated) == 1 else _called(dated, _PLAIN)
    if not dated:
        found = _called(free, _PLAIN) or _called(free, _PARTS)
    if len(found) == 1:
        notes.append(f"Time column: {shown(found[0])}.")
        return found[0]
    if len(dated) > 1:
        told = ", ".join(shown(name) for name in dated)
        raise TableError(f"Columns {told} all hold times: expected one. Name it with --time.")
    raise TableError(
        f"Cannot tell the time column among {', '.join(map(repr, table.columns))}. "
        "Name it with --time."
    )


def dated_columns(table: pl.DataFrame, taken: Collection[str] = ()) -> list[str]:
    """The columns that hold dates or text that reads as times, without those taken."""
    return [name for name in table.columns if name not in taken and _is_dated(table[name])]


def default_target(table: pl.DataFrame) -> str:
    """The column y.

    Raises:
        TableError: there is none.
    """
    if "y" in table.columns:
        return "y"
    raise TableError(
        f"Cannot tell the column to forecast among {', '.join(map(repr, table.columns))}. "
        "Name it with --target."
    )


def _called(names: list[str], known: tuple[str, ...]) -> list[str]:
    return [name for name in names if name.strip().lower() in known]


def _is_dated(column: pl.Series) -> bool:
    import polars as pl

    from gatewise.forecast.data.spellings import is_time

    if column.dtype in (pl.Date, pl.Datetime):
        return True
    return column.dtype == pl.String and is_time(column.drop_nulls().to_list())
