"""Tables from files: CSV and Parquet, told apart by their content."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from gatewise.errors import MissingExtraError, TableError, shortened, shown

if TYPE_CHECKING:
    import polars as pl


def read_table(path: str | os.PathLike[str]) -> pl.DataFrame:
    """Read a CSV or Parquet file; dates in a CSV are parsed.

    Args:
        path: the file. Parquet is recognised by its first four bytes, anything else is read as
            CSV with a header line, separated by commas, semicolons or tabs.

    Raises:
        TableError: the file is missing, is not a table, or has no rows.
        MissingExtraError: polars is not installed.

    >>> read_table("prices.csv")
    Traceback (most recent call last):
    gatewise.errors.TableError: File 'prices.csv' does not exist: expected a CSV or Parquet file.
    """
    try:
        import polars as pl
    except ImportError:
        raise MissingExtraError("Reading files", "forecast") from None
    file = Path(path)
    try:
        start = _start(file)
        if start.startswith(b"PAR1"):
            table = pl.read_parquet(io.BytesIO(file.read_bytes()))
        else:
            if not start.strip():
                raise TableError(
                    f"File {shown(file.name)} is empty: expected a header line and rows."
                )
            if b"\0" in start:
                raise TableError(f"File {shown(file.name)} is binary: expected CSV or Parquet.")
            table = pl.read_csv(
                io.BytesIO(file.read_bytes()),  # a path may not be text in this locale
                separator=_separator(start),
                try_parse_dates=True,
                infer_schema_length=None,
                null_values=["", "NA", "NaN", "nan", "null", "."],
            )
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        reason = shortened(str(error).strip().splitlines()[0])
        raise TableError(
            f"File {shown(file.name)} is not a table ({reason}): expected CSV or Parquet."
        ) from None
    twice = [re.sub(r"_duplicated_\d+$", "", name) for name in table.columns]
    repeated = next((name for name in twice if twice.count(name) > 1), None)
    if repeated is not None:
        raise TableError(
            f"File {shown(file.name)} has two columns {shown(repeated)}: expected one. Rename it."
        )
    if not len(table):
        raise TableError(f"File {shown(file.name)} has no rows: expected a header line and rows.")
    if table.width < 2:
        raise TableError(
            f"File {shown(file.name)} has the one column {shown(table.columns[0], 60)}: expected "
            "at least a time and a target column."
        )
    return table


def is_parquet(path: str | os.PathLike[str]) -> bool:
    """Whether a file is Parquet, told by its first four bytes.

    Raises:
        TableError: there is no such file.
    """
    return _start(Path(path)).startswith(b"PAR1")


def _start(file: Path) -> bytes:
    if not file.is_file():
        what = "does not exist"
        if file.exists():
            what = "is a folder" if file.is_dir() else "is not a regular file"
        raise TableError(f"File {shown(str(file))} {what}: expected a CSV or Parquet file.")
    with file.open("rb") as opened:
        return opened.read(65_536)


def _separator(start: bytes) -> str:
    header = start.decode("utf-8", errors="replace").splitlines()[0]
    return max((",", ";", "\t"), key=header.count)
