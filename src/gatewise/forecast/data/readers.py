"""Tables from files: CSV, Parquet and Excel, told apart by their content."""

from __future__ import annotations

import gzip
import io
import os
import re
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gatewise.errors import MissingExtraError, TableError, shortened, shown
from gatewise.forecast.data.dialects import Dialect, read_csv, with_times

if TYPE_CHECKING:
    import polars as pl

STDIN: Final = "-"
"""Name of the standard input."""

_MOST: Final = 4_000_000_000
"""Bytes that a compressed file may become."""
_SMALL: Final = 200_000_000
"""Bytes that any compressed file may become, however small it is."""
_FACTOR: Final = 200
"""How many times its size a larger one may become. Tables grow 3 to 30 times; gzip can do 1032."""
_BLOCK: Final = 16_000_000


def read_table(
    path: str | os.PathLike[str],
    *,
    delimiter: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    date_format: str | None = None,
) -> pl.DataFrame:
    """Read a CSV, Parquet or Excel file.

    Args:
        path: the file, or "-" for the standard input. Parquet, Excel (its first sheet) and gzip are
            recognised by their content; anything else is CSV with a header line.
        delimiter: of CSV: a character, or comma, semicolon, tab, pipe. None (default) takes the
            one that all lines have as often.
        decimal: of CSV: "." or ",". None (default) finds it where it is plain.
        encoding: of CSV; None (default) takes UTF-8, or UTF-16 with its mark.
        date_format: of times written as text, as `datetime.strftime` has it. None (default) reads
            ISO dates; other times stay text, which a forecaster reads.

    Raises:
        TableError: the file is missing, is not a table, has no rows, or can be read in two ways.
        ConfigError: an option has no such value.
        MissingExtraError: polars, or for Excel fastexcel, is not installed.

    >>> read_table("prices.csv")
    Traceback (most recent call last):
    gatewise.errors.TableError: File 'prices.csv' does not exist: expected a CSV or Parquet file.
    """
    dialect = Dialect(delimiter, decimal, encoding, date_format)
    check_file(path)
    try:
        import polars as pl
    except ImportError:
        raise MissingExtraError("Reading files", "forecast") from None
    name = "standard input" if os.fspath(path) == STDIN else Path(path).name
    try:
        content = _content(path, name)
        if content.startswith(b"PAR1"):
            table = _dated(pl.read_parquet(io.BytesIO(content)), date_format, name)
        elif content.startswith(b"PK\x03\x04"):
            table = _dated(_excel(content), date_format, name)
        else:
            if not content.strip():
                raise TableError(f"File {shown(name)} is empty: expected a header line and rows.")
            marked = content[:2] in (b"\xff\xfe", b"\xfe\xff")
            if b"\0" in content[:65_536] and encoding is None and not marked:
                raise TableError(
                    f"File {shown(name)} is binary: expected CSV or Parquet. Text of two bytes a "
                    "sign needs its encoding named: encoding='utf-16-le' (--encoding utf-16-le)."
                )
            table = read_csv(content, name, dialect)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        reason = shortened(str(error).strip().splitlines()[0])
        raise TableError(
            f"File {shown(name)} is not a table ({reason}): expected CSV or Parquet."
        ) from None
    twice = [re.sub(r"_duplicated_\d+$", "", column) for column in table.columns]
    repeated = next((column for column in twice if twice.count(column) > 1), None)
    if repeated is not None:
        raise TableError(
            f"File {shown(name)} has two columns {shown(repeated)}: expected one. Rename it."
        )
    if not len(table):
        raise TableError(f"File {shown(name)} has no rows: expected a header line and rows.")
    if table.width < 2:
        raise TableError(
            f"File {shown(name)} has the one column {shown(table.columns[0], 60)}: expected at "
            "least a time and a target column. Name what parts the columns: delimiter=... "
            "(--delimiter)."
        )
    return table


def is_parquet(path: str | os.PathLike[str]) -> bool:
    """Whether a file is Parquet, told by its first four bytes.

    Raises:
        TableError: there is no such file.
    """
    check_file(path)
    if os.fspath(path) == STDIN:
        return False
    with Path(path).open("rb") as opened:
        return opened.read(4) == b"PAR1"


def check_file(path: str | os.PathLike[str]) -> None:
    """See that there is a file: quick, without any library.

    Raises:
        TableError: there is none, or it is a folder.
    """
    file = Path(path)
    if os.fspath(path) == STDIN or file.is_file():
        return
    what = "does not exist"
    if file.exists():
        what = "is a folder" if file.is_dir() else "is not a regular file"
    raise TableError(f"File {shown(str(file))} {what}: expected a CSV or Parquet file.")


def _content(path: str | os.PathLike[str], name: str) -> bytes:
    """What is in a file, unpacked.

    Raises:
        TableError: it is damaged, or too large.
    """
    given = sys.stdin.buffer.read() if os.fspath(path) == STDIN else Path(path).read_bytes()
    if not given.startswith(b"\x1f\x8b"):
        return given
    most = min(_MOST, max(_SMALL, _FACTOR * len(given)))
    found = bytearray()
    try:
        with gzip.open(io.BytesIO(given)) as packed:
            while len(found) <= most and (block := packed.read(_BLOCK)):
                found += block
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TableError(
            f"File {shown(name)} is damaged ({shortened(str(error))}): expected gzip."
        ) from None
    if len(found) > most:
        raise TableError(
            f"File {shown(name)} has {len(given) / 1e6:.3g} MB and unpacks to more than "
            f"{most / 1e6:.0f} MB: expected less. Unpack it if you trust it, and write it as "
            "Parquet."
        )
    return bytes(found)


def _dated(table: pl.DataFrame, form: str | None, name: str) -> pl.DataFrame:
    return table if form is None else with_times(table, form, name)


def _excel(content: bytes) -> pl.DataFrame:
    """The first sheet of an Excel file.

    Raises:
        MissingExtraError: fastexcel is not installed.
        TableError: it is no Excel file.
    """
    import polars as pl

    try:
        import fastexcel
    except ImportError:
        raise MissingExtraError("Reading Excel files", "excel") from None
    try:
        return pl.read_excel(io.BytesIO(content), infer_schema_length=None)
    except fastexcel.FastExcelError as error:
        reason = shortened(str(error).strip().splitlines()[0])
        raise TableError(f"The file is no Excel table ({reason}): expected .xlsx.") from None
