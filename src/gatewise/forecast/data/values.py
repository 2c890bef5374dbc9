"""Columns of numbers, and columns that are constant within a series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gatewise.errors import TableError, shown
from gatewise.forecast.data.grouping import Grouping, factorise
from gatewise.forecast.data.panel import Array

if TYPE_CHECKING:
    import narwhals as nw

_LARGEST: Final = 1e60  # squares and their sums stay finite


def numbers(column: nw.Series[Any], role: str) -> Array:
    """Values [n] of a column, a missing one as NaN.

    Args:
        column: of a table.
        role: what it is for, for messages.

    Raises:
        TableError: it holds text, infinite or huge numbers.
    """
    import narwhals as nw

    if column.dtype.is_numeric() or column.dtype == nw.Boolean:
        values = _floats(column)
    else:
        cells = column.to_list()
        for row, value in enumerate(cells):
            if value is not None and not isinstance(value, (int, float)) and not _is_number(value):
                raise TableError(
                    f"Column {shown(column.name)} ({role}) holds {shown(value)} in row {row}: "
                    "expected numbers with a decimal point. Convert the column, name the decimal "
                    "sign of the file (--decimal), or leave cells without a value empty."
                )
        if any(isinstance(v, str) for v in cells):
            raise TableError(
                f"Column {shown(column.name)} ({role}) holds numbers as text: expected numbers. "
                "Convert the column, or name the decimal sign of the file (--decimal)."
            )
        values = np.array([np.nan if v is None else v for v in cells], dtype=np.float64)
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise TableError(
            f"Column {shown(column.name)} ({role}) is infinite in row {row}: expected finite "
            "numbers. Leave the cell empty if the value is not known."
        )
    if max(np.fmax.reduce(values, initial=0.0), -np.fmin.reduce(values, initial=0.0)) > _LARGEST:
        row = int(np.nanargmax(np.abs(values)))
        raise TableError(
            f"Column {shown(column.name)} ({role}) holds {values[row]:g} in row {row}: expected "
            f"magnitudes below {_LARGEST:g}. Correct the value, or rescale the column."
        )
    return values


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _floats(column: nw.Series[Any]) -> Array:
    """A copy: the caller may change the table."""
    import narwhals as nw

    return np.array(column.cast(nw.Float64).to_numpy(), dtype=np.float64)


def constant(column: nw.Series[Any], groups: Grouping) -> list[float | str]:
    """One value per series, a number or a text; a missing one is NaN or empty."""
    numeric = column.dtype.is_numeric()
    values, texts = (_floats(column), []) if numeric else factorise(column)
    values = groups.arranged(values)
    differs = (values[1:] != values[:-1]) & groups.same()
    if numeric:
        differs &= ~(np.isnan(values[1:]) & np.isnan(values[:-1]))

    def value(row: int) -> float | str:
        if numeric:
            return float(values[row])
        return str(texts[values[row]]) if values[row] >= 0 else ""

    changed = np.flatnonzero(differs)
    if len(changed):
        row = int(changed[0])
        raise TableError(
            f"Static column {shown(column.name)} changes within series "
            f"{shown(groups.names[groups.of(row)])} ({shown(value(row))}, then "
            f"{shown(value(row + 1))}): expected one value. Give it as past or future instead."
        )
    return [value(row) for row in groups.bounds[:-1]]
