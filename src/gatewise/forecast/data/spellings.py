"""Times as people and other programs write them: text and numbers.

A text is one date, and perhaps a time of day, half of the day (AM, PM) and offset from UTC. The
date part of a whole column has one format, tried by polars from the list below. Which of two
numbers is the day, `01/04/2021` does not tell: the other rows may, or a regular calendar does in
one reading only, and that is said; else the caller is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise.forecast.data.time_of_day import UnreadableError, clock, offset_of, time_form

if TYPE_CHECKING:
    import polars as pl

_MICRO: Final = "datetime64[us]"

_DATES: Final = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d.%m.%Y", "%d %b %Y", "%d %B %Y", "%d-%b-%Y",
    "%d/%b/%Y", "%d. %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y", "%Y %b %d",
    "%Y-%b-%d", "%d%b%Y", "%a %d %b %Y", "%a, %d %b %Y", "%a %b %d %Y",
)  # fmt: skip
_MONTHS: Final = (
    "%Y-%m", "%Y/%m", "%Y.%m", "%Y%m", "%m/%Y", "%m.%Y", "%m-%Y", "%Y %b", "%Y %B", "%Y-%b",
    "%b %Y", "%B %Y", "%b-%Y", "%B-%Y", "%b%Y", "%YM%m", "%Ym%m",
)  # fmt: skip
_EITHER: Final = (("%d/%m/%Y", "%m/%d/%Y"), ("%d-%m-%Y", "%m-%d-%Y"))
_QUARTERS: Final = (
    (r"^(\d{4})([ :/-]?)([Qq])[1-4]$", r"^(?<year>\d{4})[ :/-]?[Qq](?<quarter>[1-4])$"),
    (r"^([Qq])[1-4]([ :/-]?)(\d{4})$", r"^[Qq](?<quarter>[1-4])[ :/-]?(?<year>\d{4})$"),
)

_PATTERN: Final = (
    r"^(?<date>.+?)(?:(?<gap>[T ])(?<hour>\d{1,2}):(?<minute>\d{2})(?::(?<second>\d{2})"
    r"(?:[.,](?<fraction>\d{1,9}))?)?(?: ?(?<half>[AaPp])\.?[Mm]\.?)?"
    r"(?: ?(?<zone>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?))?)?$"
)
_SEEN: Final = 60
"""Rows on which a format is tried before it is tried on all."""


@dataclass(frozen=True, slots=True, eq=False)
class Spelling:
    """Times read from text.

    Attributes:
        time: [n] datetime64[us], as written.
        offset: [n] microseconds east of UTC, or None where none is written.
        format: of `datetime.strftime`, to write others the same way; with %q for the quarter, and
            %-d, %-m, %-H and %-I for numbers without a zero before them.
        dated: whether the text has dates alone.
        note: what was decided for the caller, for people to read; may be empty.
    """

    time: NDArray[Any]
    offset: NDArray[np.int64] | None
    format: str
    dated: bool
    note: str = ""


_TOLD_BY: Final = 1000


def read_texts(texts: Sequence[str], wanted: str = "") -> Spelling:
    """Read times that are written as text.

    Args:
        texts: [n] as they stand in a column.
        wanted: format of another column of the same table, which is tried first.

    Raises:
        UnreadableError: a text is no time that is known, or the day and the month of all may be
            changed for each other.

    >>> read_texts(["1990Q1", "1990Q2"]).time.astype("datetime64[D]")
    array(['1990-01-01', '1990-04-01'], dtype='datetime64[D]')
    >>> read_texts(["31.12.2021 11:30 PM"]).time
    array(['2021-12-31T23:30:00.000000'], dtype='datetime64[us]')
    """
    import polars as pl

    clean = pl.Series("text", texts, pl.String).str.strip_chars().str.replace_all(r"\s+", " ")
    clean = clean.str.replace(r"^(\d{8})T(\d{2})(\d{2})(\d{2})?", "${1}T$2:$3:$4")
    clean = clean.str.replace(r":$", "").str.replace(r"T(\d{2})$", "T$1:00")
    clean = clean.str.replace(r" (\d{1,2}) ?([AaPp]\.?[Mm])", " $1:00 $2")
    parts = clean.str.extract_groups(_PATTERN).struct.unnest()
    wanted = wanted.split("|", maxsplit=1)[0].replace("%-", "%")
    days, form, note = _read_dates(parts["date"], texts, wanted)
    form = _padded_as_in(parts["date"].head(_SEEN).to_list(), days[:_SEEN], form)
    if parts["hour"].null_count() == len(parts):
        return Spelling(days.astype(_MICRO), None, form, dated=True, note=note)
    offset = offset_of(parts["zone"])
    form = f"{form}|{time_form(parts, clean[0])}"
    return Spelling(days.astype(_MICRO) + clock(parts), offset, form, dated=False, note=note)


def write_texts(time: NDArray[Any], form: str, offset: str = "") -> list[str]:
    """Write times as `read_texts` found them.

    Args:
        time: [n] datetime64.
        form: as in `Spelling`.
        offset: from UTC, to stand behind each, unless the format names the zone itself.

    >>> day = np.array(["1990-04-01"], "datetime64[us]")
    >>> write_texts(day, "%YQ%q"), write_texts(day, "%-m/%-d/%Y")
    (['1990Q2'], ['4/1/1990'])
    """
    form = form.replace("|", "")
    offset = "" if form.endswith(("Z", "UTC", "GMT")) else offset
    made = []
    for stamp in time.astype(_MICRO).tolist():
        numbers = {
            "%q": (stamp.month + 2) // 3,
            "%-d": stamp.day,
            "%-m": stamp.month,
            "%-H": stamp.hour,
            "%-I": stamp.hour % 12 or 12,
        }
        here = form
        for sign, number in numbers.items():
            here = here.replace(sign, str(number))
        made.append(stamp.strftime(here) + offset)
    return made


def is_time(texts: Sequence[str]) -> bool:
    """Whether a column of text holds times, by its first thousand rows.

    Dates in which the day cannot be told from the month are times, too.

    >>> is_time(["01/04/2021"]), is_time(["1990"]), is_time(["north"])
    (True, False, False)
    """
    if not texts:
        return False
    try:
        return read_texts(texts[:_TOLD_BY]).format != "%Y"
    except UnreadableError as error:
        return error.row is None


def _read_dates(dates: pl.Series, texts: Sequence[str], wanted: str) -> tuple[Any, str, str]:
    """-> days [n] datetime64[D], their format, a note."""
    for form in (wanted, *_DATES, *_MONTHS) if wanted else (*_DATES, *_MONTHS):
        found = _parsed(dates, form)
        if found is not None:
            return found, form, ""
    for forms in _EITHER:
        first, second = (_parsed(dates, form) for form in forms)
        if first is not None and second is not None:
            return _decided(texts[0], forms, first, second)
        for form, found in zip(forms, (first, second), strict=True):
            if found is not None:
                return found, form, ""
    for days, form in (*_quarters(dates), *_weeks_and_years(dates)):
        return days, form, ""
    raise UnreadableError(_fault(dates), "")


def _padded_as_in(texts: Sequence[str], days: NDArray[Any], form: str) -> str:
    """The format with %-d and %-m where texts have no zero before their numbers."""
    wanted = [text.lower() for text in texts]
    bare = {"%d": "%-d", "%m": "%-m"}
    for signs in ((), ("%d",), ("%m",), ("%d", "%m")):
        tried = form
        for sign in signs:
            tried = tried.replace(sign, bare[sign])
        if [text.lower() for text in write_texts(days, tried)] == wanted:
            return tried
    return form


def _parsed(dates: pl.Series, form: str) -> Any:
    """Days of a whole column in one format, or None."""
    if form not in _MONTHS and "%q" in form:
        return next((days for days, _ in _quarters(dates)), None)
    if form in ("%Y", "%G-W%V", "%GW%V"):
        return next((days for days, _ in _weeks_and_years(dates)), None)
    for rows in (dates.head(_SEEN), dates):
        found = _tried(rows, form)
        if found.null_count():
            return None
    return found.to_numpy().astype("datetime64[D]") if len(dates) else None


def _tried(dates: pl.Series, form: str) -> pl.Series:
    import polars as pl

    whole = form not in _MONTHS
    text = dates if whole else dates + " 01"
    made = text.str.to_date(form if whole else f"{form} %d", strict=False)
    # A year of two digits may be of two centuries, or the day.
    return pl.select(pl.when(dates.str.contains(r"\d{4}") & (made.dt.year() > 999)).then(made))[
        made.name
    ]


def _decided(
    text: str, forms: tuple[str, str], first: NDArray[Any], second: NDArray[Any]
) -> tuple[Any, str, str]:
    """The reading in which the rows are regular, if it is but one."""
    regular = [_is_regular(days) for days in (first, second)]
    if regular[0] == regular[1]:
        raise UnreadableError(
            None,
            f"dates such as {text!r}, in which the day cannot be told from the month: expected "
            f"dates such as 2021-04-01. Parse the column with {forms[0]} or {forms[1]} first "
            f"(--date-format {forms[0]}).",
        )
    which = regular.index(True)
    order = ("day", "month")[which]
    days = (first, second)[which]
    note = f"Dates such as {text!r} are read {order} first ({days[0]}): only so are they regular."
    return days, forms[which], note


def _is_regular(days: NDArray[Any]) -> bool:
    """Whether dates are whole months, or days, apart by one and the same number."""
    days = np.unique(days)
    if len(days) < 3:
        return False
    months = days.astype("datetime64[M]")
    in_month = np.unique((days - months.astype("datetime64[D]")).astype(int))
    apart = np.unique(np.diff(months).astype(int))
    if len(in_month) == 1 and len(apart) == 1 and apart[0] > 0:
        return True
    return len(np.unique(np.diff(days))) == 1


def _quarters(dates: pl.Series) -> Iterator[tuple[Any, str]]:
    for shape, pattern in _QUARTERS:
        found = dates.str.extract_groups(pattern).struct.unnest()
        if len(dates) and not found["year"].null_count():
            year, quarter = (found[c].cast(int).to_numpy() for c in ("year", "quarter"))
            months = (year - 1970) * 12 + (quarter - 1) * 3
            match = re.match(shape, dates[0])
            assert match is not None  # the pattern is the same
            one, two, three = match.groups()
            form = f"%Y{two}{three}%q" if one.isdigit() else f"{one}%q{two}%Y"
            yield months.astype("datetime64[M]").astype("datetime64[D]"), form


def _weeks_and_years(dates: pl.Series) -> Iterator[tuple[Any, str]]:
    if not len(dates):
        return
    for pattern, form, rest, more in (
        (r"^\d{4}-W\d{2}$", "%G-W%V", "-1", "-%u"),
        (r"^\d{4}W\d{2}$", "%GW%V", "-1", "-%u"),
        (r"^[12]\d{3}$", "%Y", "-01-01", "-%m-%d"),
    ):
        if dates.str.contains(pattern).all():
            found = (dates + rest).str.to_date(form + more, strict=False)
            if not found.null_count():
                yield found.to_numpy().astype("datetime64[D]"), form


def _fault(dates: pl.Series) -> int:
    """Number of the first text that the likeliest format does not read."""
    forms = (*_DATES, *_MONTHS, *(f for pair in _EITHER for f in pair))
    missing = min((_tried(dates, form).is_null() for form in forms), key=lambda m: int(m.sum()))
    return int(missing.to_numpy().argmax())
