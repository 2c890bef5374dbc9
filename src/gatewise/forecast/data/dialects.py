"""Text files of tables as programs and people write them: separators, decimal signs, encodings.

What a file says without doubt is found; where two readings are possible the caller is asked.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gatewise.errors import ConfigError, TableError, shown
from gatewise.forecast.data import csv_text
from gatewise.forecast.data.spellings import is_time

if TYPE_CHECKING:
    import polars as pl

_NAMED: Final = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
_MISSING: Final = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", ".", "-")

_GAP: Final = "[ '\u2019\u00a0\u202f]"
_SIGN: Final = "^[+\u2212-]?"
_POWER: Final = r"(?:[eE][+-]?\d+)?$"


def _number(decimal: str, thousands: str) -> str:
    """Pattern of a number with this decimal sign."""
    whole = rf"(?:[1-9]\d{{0,2}}(?:(?:{thousands}|{_GAP})\d{{3}})+|\d+)"
    return rf"{_SIGN}(?:{whole}(?:{decimal}\d*)?|{decimal}\d+){_POWER}"


_NUMBERS: Final = {".": _number(r"\.", ","), ",": _number(",", r"\.")}
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

    Numbers become numbers, ISO dates dates; other times stay text, and forecasts are written in the
    same format. Numbers whose decimal sign nothing tells stay text, too.

    Args:
        content: the file.
        name: of the file, for messages.
        dialect: how it is written.

    Raises:
        TableError: the text cannot be decoded, or no column is written in the format asked for.

    >>> read_csv(b"when;y\n31.12.2021;1.234,5\n", "t.csv", Dialect()).rows()
    [('31.12.2021', 1234.5)]
    """
    import polars as pl

    text, declared = csv_text.declared(csv_text.decoded(content, name, dialect.encoding))
    text = csv_text.without_preamble(text)
    separator = dialect.delimiter or declared or csv_text.separator_of(text)
    text = csv_text.without_comments(text, separator)
    csv_text.check_lines(text, separator, name)
    try:
        table = _with_iso_dates(_parsed(text, separator))
    except pl.exceptions.ComputeError as error:
        raise csv_text.misfit(text, separator, name) or error from None
    signs, told = _signs(table, dialect.decimal)
    floats = [column for column in table.columns if table[column].dtype.is_float()]
    if floats and (told == {","} or (separator == ";" and not told)):
        texts = _parsed(text, separator, as_text=True)
        written = [column for column in floats if _is_written(texts[column], ",")]
        if told:
            signs |= dict.fromkeys(written, ",")
            dates = [c for c in floats if is_time(texts[c].drop_nulls().to_list())]
            table = table.with_columns(texts[c] for c in floats if c in written or c in dates)
        elif len(written) == len(floats):  # 1.234 beside semicolons: a thousand, or one and a bit
            parted = (c for c in written if texts[c].str.contains(".", literal=True).any())
            table = table.with_columns(texts[c] for c in parted)
    table = table.with_columns(_numbers(table[column], sign) for column, sign in signs.items())
    if dialect.date_format is not None:
        texts = _parsed(text, separator, as_text=True)
        table = table.with_columns(_written_as(dialect.date_format, texts, table, name))
    names = (c for c in table.columns if re.fullmatch(r"(_duplicated_\d+)?", c))
    unnamed = [c for c in names if not table[c].count()]
    table = table.drop(unnamed)  # separators at the ends of lines
    return table.filter(~pl.all_horizontal(pl.all().is_null()))  # blank lines


def with_times(table: pl.DataFrame, form: str, name: str) -> pl.DataFrame:
    """A table of another kind of file, its texts and numbers that are times in a format read.

    Raises:
        TableError: no column is written so, and none holds times.
    """
    import polars as pl

    kinds = [c for c, kind in table.schema.items() if kind == pl.String or kind.is_integer()]
    texts = table.select(pl.col(kinds).cast(pl.String))
    if any(kind.is_temporal() for kind in table.dtypes):
        texts = texts.select(_texts(table))
        return table.with_columns(c for t in texts if (c := _in_format(t, form)) is not None)
    return table.with_columns(_written_as(form, texts, table, name))


def _parsed(text: bytes, separator: str, *, as_text: bool = False) -> pl.DataFrame:
    import polars as pl

    table = pl.read_csv(
        io.BytesIO(text),
        separator=separator,
        infer_schema=not as_text,
        infer_schema_length=None,
        null_values=list(_MISSING),
    )
    names = [column.strip() for column in table.columns]
    if len({*names}) == len(names):
        table.columns = names
    return table


def _texts(table: pl.DataFrame) -> list[str]:
    import polars as pl

    return [column for column in table.columns if table[column].dtype == pl.String]


def _is_written(column: pl.Series, decimal: str) -> bool:
    """Whether all values are numbers with this decimal sign."""
    values = column.drop_nulls().str.strip_chars()
    return bool(len(values)) and bool(values.str.contains(_NUMBERS[decimal]).all())


def _signs(table: pl.DataFrame, wanted: str | None) -> tuple[dict[str, str], set[str]]:
    """The decimal sign of each column of text that holds numbers; those that are sure.

    Of a column that can be read with either, such as 1,234, the others tell; if none does, it
    stays text.
    """
    found: dict[str, str] = {}
    doubtful, told = [], set() if wanted is None else {wanted}
    for column in _texts(table):
        signs = [sign for sign in _NUMBERS if _is_written(table[column], sign)]
        if wanted is not None:
            signs = [sign for sign in signs if sign == wanted]
        if len(signs) == 1:
            found[column] = signs[0]
            if table[column].drop_nulls().str.contains(signs[0], literal=True).any():
                told.add(signs[0])
        elif signs:
            doubtful.append(column)
    for column in doubtful:
        if not table[column].drop_nulls().str.contains("[.,]").any():
            found[column] = "."
        elif len(told) == 1:
            found[column] = next(iter(told))
    return found, told


def _numbers(column: pl.Series, decimal: str) -> pl.Series:
    """A column of text as numbers."""
    import polars as pl

    text = column.str.strip_chars().str.replace_all(_GAP, "").str.replace("\u2212", "-")
    text = text.str.replace_all("." if decimal == "," else ",", "", literal=True)
    text = text.str.replace(",", ".", literal=True)
    whole = not text.str.contains("[.eE]").any()
    return text.cast(pl.Int64 if whole else pl.Float64)


def _with_iso_dates(table: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    made = []
    for column in _texts(table):
        values = table[column].drop_nulls().str.strip_chars()
        for pattern, kind in ((_DAY, pl.Date), (_CLOCK, pl.Datetime("us"))):
            if len(values) and values.str.contains(pattern).all():
                text = table[column].str.strip_chars().str.replace("T", " ", literal=True)
                read = text.str.strptime(kind, _iso(values[0], kind), strict=False)
                if read.null_count() == table[column].null_count():
                    made.append(read)
    return table.with_columns(made)


def _written_as(form: str, texts: pl.DataFrame, table: pl.DataFrame, name: str) -> list[pl.Series]:
    """The columns that are times in the format asked for, read; of numbers at most one.

    Raises:
        TableError: there is none, or several columns of numbers may be.
    """
    tried = (_in_format(column, form) for column in texts)
    read = [found for found in tried if found is not None]
    words = [found for found in read if not table[found.name].dtype.is_numeric()]
    if words or len(read) == 1:
        return words or read
    if read:
        raise TableError(
            f"Columns {', '.join(shown(found.name) for found in read)} of {shown(name)} may all be "
            f"written as {shown(form)}: expected one. Leave the format out, and name the time "
            "column (--time)."
        )
    columns = [values for column in texts if len(values := column.drop_nulls())]
    seen = next((values for values in columns if not _is_written(values, ".")), None)
    like = "" if seen is None else f", such as {shown(seen[0])}"
    raise TableError(
        f"No column of {shown(name)} is written as {shown(form)}{like}: expected one. See "
        "datetime.strftime for formats (--date-format)."
    )


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
    months = re.search(r"%-?[mbBh]", form) is not None
    if months and not re.search(r"%-?[dejuwaAUWV]", form):
        text, form = text + " 01", f"{form} %d"  # a month: its first day
    try:
        read = text.str.strptime(kind, form.replace(".%f", "%.f"), strict=False)
    except pl.exceptions.PolarsError:
        return None
    full = len(read) and read.null_count() == column.null_count() < len(read)
    return read.alias(column.name) if full else None
