"""Rows of a table to series, by whole columns: a table may have twenty million rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import TableError, shown

if TYPE_CHECKING:
    import narwhals as nw


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """Which rows are whose. S series of N rows in all.

    Attributes:
        names: of the series, in order of first appearance.
        bounds: [S + 1] once the rows are in order, series i has the rows from bounds[i] on, and
            before bounds[i + 1].
        order: [N] row numbers by series, then by time; None if they stand in that order already.
        unsorted: number of series whose rows were not in order of time.
    """

    names: list[Any]
    bounds: NDArray[np.intp]
    order: NDArray[np.intp] | None
    unsorted: int

    def arranged(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values [N, ...] by series, then by time."""
        return values if self.order is None else values[self.order]

    def of(self, row: int) -> int:
        """Number of the series of an arranged row."""
        return int(np.searchsorted(self.bounds, row, side="right")) - 1

    def same(self) -> NDArray[np.bool_]:
        """[N - 1] whether an arranged row, from the second on, is of the series before it."""
        made = np.ones(self.bounds[-1], dtype=bool)
        made[self.bounds[:-1]] = False
        return made[1:]


def group(column: nw.Series[Any] | None, instant: NDArray[Any]) -> Grouping:
    """Put the rows of a table in order.

    Args:
        column: the series column; None if the table holds one series.
        instant: [N] what to sort each series by.

    Raises:
        TableError: a row has no series, or the column holds neither text nor numbers.
    """
    n = len(instant)
    if column is None:
        codes, names = np.zeros(n, dtype=np.intp), [""]
    else:
        codes, names = factorise(column)
        _check_names(column.name, codes, names)
    bounds = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(names)))])
    order = None
    if (codes[1:] < codes[:-1]).any():
        order = np.argsort(codes, kind="stable")
        codes, instant = codes[order], instant[order]
    late = np.flatnonzero((instant[1:] < instant[:-1]) & (codes[1:] == codes[:-1]))
    if len(late):
        by_time = np.lexsort((instant, codes))
        order = by_time if order is None else order[by_time]
    return Grouping(names, bounds, order, len(np.unique(codes[late])))


def factorise(column: nw.Series[Any]) -> tuple[NDArray[np.intp], list[Any]]:
    """Return the number of each row's value, and the values in order of first appearance.

    A missing value has the number -1. Each library has its own way that makes no Python object per
    row; narwhals has none.

    >>> import narwhals as nw, polars as pl
    >>> factorise(nw.from_native(pl.Series(["b", None, "a", "b"]), series_only=True))
    (array([ 0, -1,  1,  0]), ['b', 'a'])
    """
    native: Any = column.to_native()
    kind = column.implementation.value
    if kind == "pandas":
        codes, values = native.factorize()
        return np.asarray(codes, dtype=np.intp), values.tolist()
    if kind == "pyarrow":
        encoded = native.dictionary_encode().combine_chunks()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return codes.astype(np.intp), encoded.dictionary.to_pylist()
    import polars as pl

    values = native.drop_nulls().unique(maintain_order=True).alias("value")
    numbered = values.to_frame().with_columns(code=pl.int_range(len(values), dtype=pl.Int64))
    rows = native.alias("value").to_frame()
    found = rows.join(numbered, on="value", how="left", maintain_order="left")["code"]
    return found.fill_null(-1).to_numpy().astype(np.intp), values.to_list()


def _check_names(column: str, codes: NDArray[np.intp], names: list[Any]) -> None:
    nowhere = [i for i, name in enumerate(names) if name != name]  # noqa: PLR0124  (NaN)
    missing = (codes < 0) | np.isin(codes, nowhere) if nowhere else codes < 0
    if missing.any():
        raise TableError(
            f"Series column {shown(column)} has no value in row {int(missing.argmax())}: expected "
            "a name in each row."
        )
    for i, name in enumerate(names):
        if not isinstance(name, (str, int, float)):
            raise TableError(
                f"Series column {shown(column)} holds {shown(name)} in row "
                f"{int((codes == i).argmax())}: expected text or numbers."
            )
