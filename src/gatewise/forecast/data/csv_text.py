"""The text of a CSV file before it is a table: encoding, comments, separator, header, fields.

Files of other programs have lines that are no rows. What is certainly none is left out; lines that
do not fit the header are refused, with the number of the line.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Final

from gatewise.errors import TableError, shown
from gatewise.forecast.data.spellings import is_time

_SEPARATORS: Final = (",", ";", "\t", "|")
_QUOTED: Final = re.compile(rb'"[^"]*"')
_LINES: Final = 20
"""Lines on which a separator is tried."""


def decoded(content: bytes, name: str, encoding: str | None) -> bytes:
    """The text in UTF-8, without a mark, with lines that end in a line feed.

    Raises:
        TableError: it is not in that encoding.
    """
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
    text = text.removeprefix("\ufeff")
    if "\r" in text and "\n" not in text:
        text = text.replace("\r", "\n")
    return text.encode()


def without_preamble(text: bytes) -> bytes:
    """The text without lines before the header that begin with #; the header may, too."""
    while text.lstrip().startswith(b"#"):
        text = text.lstrip()
        first, _, rest = text.partition(b"\n")
        following = rest.lstrip().partition(b"\n")[0]
        header = not following.startswith(b"#") and any(
            0 < first.count(sign) == following.count(sign)
            for sign in (s.encode() for s in _SEPARATORS)
        )
        if header:
            return text
        text = rest
    return text


def without_comments(text: bytes, separator: str) -> bytes:
    """The text without lines after the header that begin with # and have no separator."""
    if b"\n#" not in text:
        return text
    header, *lines = text.split(b"\n")
    kept, sign = [header], separator.encode()
    quoted = header.count(b'"') % 2 == 1  # a text in quotes may go over several lines
    for line in lines:
        if quoted or sign in line or not line.startswith(b"#"):
            kept.append(line)
            quoted ^= line.count(b'"') % 2 == 1
    return b"\n".join(kept)


def declared(text: bytes) -> tuple[bytes, str | None]:
    """The text without the line `sep=;` with which Excel begins files; the separator it names."""
    first, _, rest = text.partition(b"\n")
    found = re.fullmatch(rb'"?sep=(.)"?', first.strip(b" \r"))
    return (text, None) if found is None else (rest, found[1].decode(errors="replace"))


def separator_of(text: bytes) -> str:
    """The sign that all of the first lines have as often as the header does, outside of quotes.

    If none has, the one that the header has most of.
    """
    start = _QUOTED.sub(b"", text[:65_536]).decode(errors="ignore")
    lines = [line for line in start.splitlines() if line.strip()]
    lines = lines[:1] + [line for line in lines[1:] if not line.startswith("#")]
    if len(text) > 65_536:
        lines = lines[:-1] or lines  # the last one is cut off
    header, *rows = lines[: _LINES + 1] or [""]

    def fit(sign: str) -> tuple[bool, int]:
        count = header.count(sign)
        return count > 0 and all(row.count(sign) == count for row in rows), count

    return max(_SEPARATORS, key=fit)


def check_lines(text: bytes, separator: str, name: str) -> None:
    """Refuse a text whose first lines are no header and rows.

    Raises:
        TableError: the header is a row of values.
    """
    header = next(_fields(text[:65_536], separator), (1, []))[1]
    cells = [cell.strip() for cell in header]
    named = all(cell.isdigit() for cell in cells)  # 0, 1, 2: the columns of an array
    if len(cells) > 1 and not named and all(map(_is_value, cells)):
        raise TableError(
            f"File {shown(name)} begins with the values {shown(header[0])}, {shown(header[1])}: "
            "expected the names of the columns. Add a line with them."
        )


def misfit(text: bytes, separator: str, name: str) -> TableError | None:
    """The error of the first line that has more fields than the header."""
    rows = _fields(text, separator)
    header = next(rows, (1, []))[1]
    for line, row in rows:
        if len(row) > len(header):
            remedy = "Name what parts the columns: delimiter=... (--delimiter)."
            if len(header) < 2:
                remedy = "Remove the lines before the names of the columns, or begin them with #."
            elif separator == "," and len(row) <= 2 * len(header):
                remedy = (
                    "Write numbers with a decimal comma in quotes, or name what parts the columns: "
                    "delimiter=... (--delimiter)."
                )
            return TableError(
                f"File {shown(name)} has {len(row)} fields in line {line}, parted by "
                f"{separator!r}: expected {len(header)}, as the first line has. {remedy}"
            )
    return None


def _fields(text: bytes, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The fields of each line that has any, with its number."""
    rows = csv.reader(io.StringIO(text.decode(errors="replace"), newline=""), delimiter=separator)
    try:
        yield from ((rows.line_num, row) for row in rows if row)
    except csv.Error:  # a field that is longer than Python's reader takes
        return


def _is_value(cell: str) -> bool:
    """Whether a cell of the header is a number or a time, which is no name of a column."""
    if re.fullmatch(r"[+-]?\d+(?:[.,]\d+)?", cell):
        return True
    return any(c.isdigit() for c in cell) and is_time([cell])
