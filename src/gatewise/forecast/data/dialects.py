"""Text files of tables as programs and people write them: separators, decimal signs, encodings.

What a file says without doubt is found; where two readings are possible the caller is asked.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gatewise.errors import ConfigError, TableError, shown

if TYPE_CHECKING:
    import polars as pl

_SEPARATORS: Final = (",", ";", "\t", "|")
_NAMED: Final = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
_MISSING: Final = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", ".", "-")

_GAP: Final = "[ '\u2019\u00a0\u202f]"
_SIGN: Final = r"^[+-]?"
_POWER: Final = r"(?:[eE][+-]?\d+)?$"
_NUMBERS: Final = {
    ".": rf"{_SIGN}(?:\d{{1,3}}(?:(?:,|{_GAP})\d{{3}})+|\d+)(?:\.\d*)?{_POWER}",
    ",": rf"{_SIGN}(?:\d{{1,3}}(?:(?:\.|{_GAP})\d{{3}})+|\d+)(?:,\d*)?{_POWER}",
}
"""A number by its decimal sign; the other one, blanks and apostrophes may part thousands."""

_DAY: Final = r"^\d{4}-\d{2}-\d{2}$"
_CLOCK: Final = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?$"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a text file is written. None, everywhere the default, finds it from the content.

    Attributes:
        delimiter: character between columns, or its name: comma, semicolon, tab, pipe.
        decimal: "." or ",".
        encoding: of the text, as Python names it. None takes UTF-8, or UTF-16 with its mark.
        date_format: of the times, as `datetime.strftime` has it.

    Raises:
        ConfigError: a value is none of these.
    """

    delimiter: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    date_format: str | None = None

    def __post_init__(self) -> None:
        if self.delimiter is not None:
            sign = _NAMED.get(self.delimiter, self.delimiter)
            if len(sign) != 1 or not sign.isascii() or sign in '"\r\n':
                raise ConfigError(
                    f"delimiter is {shown(self.delimiter)}: expected one character, or comma, "
                    "semicolon, tab or pipe."
                )
            object.__setattr__(self, "delimiter", sign)
        if self.decimal not in (None, ".", ","):
            raise ConfigError(f"decimal is {shown(self.decimal)}: expected '.' or ','.")
        if self.decimal is not None and self.decimal == self.delimiter:
            raise ConfigError(f"delimiter and decimal are both {self.decimal!r}: expected two.")
        if self.encoding is not None:
            try:
                "".encode(self.encoding)
            except LookupError:
                raise ConfigError(
                    f"encoding is {shown(self.encoding)}: expected a name such as utf-8, latin-1, "
                    "cp1252 or utf-16."
                ) from None


def read_csv(content: bytes, name: str, dialect: Dialect) -> pl.DataFrame:
    r"""Read a text file.

    Numbers become numbers, ISO dates dates; other times stay text, which forecasts are written in
    again.

    Args:
        content: the file.
        name: of the file, for messages.
        dialect: how it is written.

    Raises:
        TableError: the text cannot be decoded, or can be read in two ways.

    >>> read_csv(b"when;y\n31.12.2021;1.234,5\n", "t.csv", Dialect()).rows()
    [('31.12.2021', 1234.5)]
    """
    import polars as pl

    text = _decoded(content, name, dialect.encoding)
    separator = dialect.delimiter or _separator(text)
    table = _with_iso_dates(_parsed(text, separator))
    signs = _signs(table, dialect.decimal, name)
    floats = [column for column in table.columns if table[column].dtype.is_float()]
    if floats and (dialect.decimal == "," or {*signs.values()} == {","}):
        texts = _parsed(text, separator, as_text=True)
        signs |= {column: "," for column in floats if _is_written(texts[column], ",")}
        table = table.with_columns(texts[column] for column in floats)  # 1.234, or 12.2021
    table = table.with_columns(_numbers(table[column], sign) for column, sign in signs.items())
    if dialect.date_format is not None:
        texts = _parsed(text, separator, as_text=True)
        table = table.with_columns(_written_as(dialect.date_format, texts, name))
    return table.filter(~pl.all_horizontal(pl.all().is_null()))  # blank lines


def _decoded(content: bytes, name: str, encoding: str | None) -> bytes:
    """The text in UTF-8, without a mark."""
    if encoding is None and content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    try:
        text = content.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise TableError(
            f"File {shown(name)} is no {encoding or 'UTF-8'} text (line {line}): expected "
            f"{'text in that encoding' if encoding else 'UTF-8'}. Name its encoding, such as "
            "encoding='latin-1' (--encoding latin-1)."
        ) from None
    return text.removeprefix("\ufeff").encode()


def _parsed(text: bytes, separator: str, *, as_text: bool = False) -> pl.DataFrame:
    import polars as pl

    table = pl.read_csv(
        io.BytesIO(text),
        separator=separator,
        comment_prefix="#",
        infer_schema=not as_text,
        infer_schema_length=None,
        null_values=list(_MISSING),
    )
    names = [column.strip() for column in table.columns]
    if len({*names}) == len(names):
        table.columns = names
    return table


def _separator(text: bytes) -> str:
    """The sign that the header has most of, outside of quotes."""
    lines = (line.strip() for line in text[:65_536].decode(errors="ignore").splitlines())
    header = next((line for line in lines if line and not line.startswith("#")), "")
    counts = Counter(re.sub(r'"[^"]*"', "", header))
    return max(_SEPARATORS, key=lambda sign: counts[sign])


def _texts(table: pl.DataFrame) -> list[str]:
    import polars as pl

    return [column for column in table.columns if table[column].dtype == pl.String]


def _is_written(column: pl.Series, decimal: str) -> bool:
    """Whether all values are numbers with this decimal sign."""
    values = column.drop_nulls().str.strip_chars()
    return bool(len(values)) and bool(values.str.contains(_NUMBERS[decimal]).all())


def _signs(table: pl.DataFrame, wanted: str | None, name: str) -> dict[str, str]:
    """The decimal sign of each column of text that holds numbers.

    Raises:
        TableError: a column can be read with either, and no other column tells.
    """
    found: dict[str, str] = {}
    doubtful = []
    for column in _texts(table):
        signs = [sign for sign in _NUMBERS if _is_written(table[column], sign)]
        if wanted is not None:
            signs = [sign for sign in signs if sign == wanted]
        if len(signs) == 1:
            found[column] = signs[0]
        elif signs:
            doubtful.append(column)
    told = {*found.values()}
    for column in doubtful:
        if len(told) == 1 or not table[column].drop_nulls().str.contains("[.,]").any():
            found[column] = next(iter(told), ".")
            continue
        seen = table[column].drop_nulls().filter(table[column].drop_nulls().str.contains("[.,]"))[0]
        raise TableError(
            f"Column {shown(column)} of {shown(name)} has {shown(seen)}, in which the sign may "
            "be a decimal sign or part thousands: expected one reading. Name the decimal sign: "
            "decimal='.' or ',' (--decimal . or --decimal ,)."
        )
    return found


def _numbers(column: pl.Series, decimal: str) -> pl.Series:
    """A column of text as numbers."""
    import polars as pl

    text = column.str.strip_chars().str.replace_all(_GAP, "")
    text = text.str.replace_all("." if decimal == "," else ",", "", literal=True)
    text = text.str.replace(",", ".", literal=True)
    whole = not text.str.contains("[.eE]").any()
    return text.cast(pl.Int64 if whole else pl.Float64)


def _with_iso_dates(table: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    made = []
    for column in _texts(table):
        values = table[column].drop_nulls()
        for pattern, kind in ((_DAY, pl.Date), (_CLOCK, pl.Datetime("us"))):
            if len(values) and values.str.contains(pattern).all():
                text = table[column].str.replace("T", " ", literal=True)
                read = text.str.strptime(kind, _iso(values[0], kind), strict=False)
                if read.null_count() == table[column].null_count():
                    made.append(read)
    return table.with_columns(made)


def _written_as(form: str, texts: pl.DataFrame, name: str) -> list[pl.Series]:
    """The columns that are times in the format asked for, read.

    Raises:
        TableError: there is none.
    """
    tried = (_in_format(column, form) for column in texts)
    read = [found for found in tried if found is not None]
    if not read:
        seen = next(
            (v for c in texts if len(v := c.drop_nulls()) and not _is_written(v, ".")), None
        )
        like = "" if seen is None else f", such as {shown(seen[0])}"
        raise TableError(
            f"No column of {shown(name)} is written as {shown(form)}{like}: expected one. See "
            "datetime.strftime for formats (--date-format)."
        )
    return read


def _iso(value: str, kind: object) -> str:
    import polars as pl

    if kind == pl.Date:
        return "%Y-%m-%d"
    return "%Y-%m-%d %H:%M" + (":%S%.f" if value.count(":") > 1 else "")


def _in_format(column: pl.Series, form: str) -> pl.Series | None:
    """A column of text read in a format; None if a value is not written so."""
    import polars as pl

    clock = re.search(r"%-?[HIMSTRXfp]", form) is not None
    text, kind = column.str.strip_chars(), pl.Datetime("us") if clock else pl.Date
    if "%d" not in form and "%-d" not in form and "%j" not in form and "%e" not in form:
        text, form = text + " 01", f"{form} %d"  # a month: its first day
    try:
        read = text.str.strptime(kind, form.replace("%f", "%6f"), strict=False)
    except pl.exceptions.PolarsError:
        return None
    full = len(read) and read.null_count() == column.null_count() < len(read)
    return read.alias(column.name) if full else None
