"""Tables too large for memory: Parquet files, pyarrow data sets and lazy polars frames.

They are read a bounded number of rows at a time, by series. A series is never cut, and rows may
stand in any order: a batch is all rows whose series lies between two names. Each batch reads the
file once, but for the row groups that its statistics exclude: a file sorted by series is read once
in all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gatewise.errors import MissingExtraError, TableError, nearest, shown
from gatewise.files import staged_file
from gatewise.forecast.data.panel import Columns
from gatewise.forecast.data.readers import is_parquet, read_table

if TYPE_CHECKING:
    import polars as pl

ROWS: Final = 2_000_000
"""Rows in memory at once, at most, unless one series alone has more."""


def is_stream(table: Any) -> bool:
    """Whether a table is read in parts: a path, a lazy polars frame or a pyarrow data set."""
    lazy = (("polars", "LazyFrame"), ("pyarrow", "Dataset"))
    return isinstance(table, (str, os.PathLike)) or any(
        kind.__module__.split(".")[0] == package and kind.__name__ == name
        for kind in type(table).__mro__
        for package, name in lazy
    )


def scan(source: Any) -> pl.LazyFrame:
    """Open what `is_stream` recognises, without reading it. A CSV file is read whole.

    Raises:
        TableError: there is no such file, or no Parquet file in the folder.
        MissingExtraError: polars is not installed.
    """
    try:
        import polars as pl
    except ImportError:
        raise MissingExtraError("Reading files", "forecast") from None
    if isinstance(source, pl.LazyFrame):
        return source
    if not isinstance(source, (str, os.PathLike)):
        return pl.scan_pyarrow_dataset(source)
    path = Path(source)
    if path.is_dir():
        files = sorted(path.rglob("*.parquet"))
        if not files:
            raise TableError(f"Folder {shown(str(path))} has no Parquet file: expected some.")
        return pl.scan_parquet(files)
    return pl.scan_parquet(path) if is_parquet(path) else read_table(path).lazy()


@dataclass(frozen=True, eq=False)
class Stream:
    """A table that is read in parts.

    Attributes:
        rows: what to read, the columns in use alone.
        series: name of the series column, or None if all rows are one series.
        counts: rows of each series, ascending by name.
    """

    rows: pl.LazyFrame
    series: str | None
    counts: pl.DataFrame

    @property
    def total(self) -> int:
        """Number of rows."""
        return int(self.counts["len"].sum())

    def sample(self, rows: int, seed: int) -> tuple[pl.DataFrame, str]:
        """Some series drawn at random, at most so many rows; and a note that says how many.

        One series is returned in any case. The note is empty if the table is the whole one.
        """
        import polars as pl

        if self.series is None or self.total <= rows:
            return self.rows.collect(), ""
        drawn = self.counts[np.random.default_rng(seed).permutation(len(self.counts))]
        fit = max(1, int((drawn["len"].cum_sum() <= rows).sum()))
        names = drawn[self.series].head(fit)
        table = self._read(pl.col(self.series).is_in(names.implode()))
        return table, (
            f"Fitted on {fit} of {len(self.counts)} series, drawn at random "
            f"({len(table)} of {self.total} rows)."
        )

    def batches(self, rows: int) -> Iterator[pl.DataFrame]:
        """All series, by name, at most so many rows at a time or one series."""
        import polars as pl

        if self.series is None:
            yield self.rows.collect()
            return
        sizes, first = self.counts["len"].to_list(), 0
        while first < len(sizes):
            stop, held = first + 1, sizes[first]
            while stop < len(sizes) and held + sizes[stop] <= rows:
                held += sizes[stop]
                stop += 1
            low, high = self.counts[self.series][first], self.counts[self.series][stop - 1]
            between = pl.col(self.series).is_between(pl.lit(low), pl.lit(high))
            yield self._read(between)
            first = stop

    def _read(self, condition: Any) -> pl.DataFrame:
        """Some series, in order of their names: the engine may mix the rows of a file."""
        assert self.series is not None  # one series is read whole
        found = self.rows.filter(condition).collect(engine="streaming")
        return found.sort(self.series, maintain_order=True)


def open_stream(rows: pl.LazyFrame, columns: Columns) -> Stream:
    """Count the rows of each series.

    Raises:
        TableError: a column is missing, or a row has no series.
    """
    import polars as pl

    used = [columns.time, columns.target, *columns.past, *columns.future, *columns.static]
    series, schema = columns.series, rows.collect_schema()
    for name in [*used, series] if series else used:
        if name not in schema:
            raise TableError(
                f"The table has no column {shown(name)}. {nearest(name, schema.names())}"
            )
    if series is None:
        rows = rows.select(used)
        return Stream(rows, None, rows.select(pl.len()).collect(engine="streaming"))
    rows = rows.select(series, *used)
    if schema[series] in (pl.Categorical, pl.Enum):
        rows = rows.with_columns(pl.col(series).cast(pl.String))
    counts = rows.group_by(series).len().sort(series).collect(engine="streaming")
    names = counts[series]
    if names.null_count() or (names.dtype.is_float() and names.is_nan().any()):
        raise TableError(
            f"Series column {shown(series)} has rows without a value: expected a name in each row."
        )
    return Stream(rows, series, counts)


def collected(table: Any) -> Any:
    """A table as it is, a stream as a polars table."""
    return scan(table).collect() if is_stream(table) else table


def joined(parts: Iterator[Any], source: Any) -> Any:
    """Tables one after the other: a pyarrow table of a data set, else of their own kind."""
    import polars as pl

    made = list(parts)
    whole = made[0] if len(made) == 1 else pl.concat(made)
    lazy = is_stream(source) and not isinstance(source, (str, os.PathLike, pl.LazyFrame))
    return whole.to_arrow() if lazy else whole


def write_parquet(parts: Iterator[Any], path: str | os.PathLike[str]) -> Path:
    """Write tables one after the other into one Parquet file, whole or not at all.

    Raises:
        OSError: the folder does not exist or is not writable, or the disk is full.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import narwhals as nw
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError("Writing Parquet files", "forecast") from None
    with staged_file(path) as scratch:
        first = nw.from_native(next(parts), eager_only=True).to_arrow()
        with pq.ParquetWriter(scratch, first.schema) as writer:
            writer.write_table(first)
            for part in parts:
                writer.write_table(nw.from_native(part, eager_only=True).to_arrow())
    return Path(path)
