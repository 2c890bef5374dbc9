"""Tables in, panels out: the one place that touches the caller's table.

pandas, polars and pyarrow tables come in through narwhals; whatever is wrong with one is said
here, in one line that names the fault, what was expected, and the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import ConfigError, MissingExtraError, TableError, nearest
from gatewise.forecast.panel import Array, Columns, Kind, Panel, Series
from gatewise.forecast.timestamps import parse

if TYPE_CHECKING:
    import narwhals as nw

KINDS: Final = ("pandas", "polars", "pyarrow")
DEFAULT_SERIES: Final = "unique_id"


_LARGEST: Final = 1e60  # squares and their sums stay finite

RESULT_NAMES: Final = (
    "forecast", "origin", "fold", "step", "actual", "gatewise", "last value", "mean", "drift",
    "seasonal naive", "AutoETS", "linear",
)  # fmt: skip
"""Columns of the results, which stand beside the caller's time and series columns."""


def open_table(table: Any) -> nw.DataFrame[Any]:
    """Wrap a pandas, polars or pyarrow table.

    Raises:
        MissingExtraError: narwhals is not installed.
        TableError: it is no such table, or has no rows.
    """
    try:
        import narwhals as nw
    except ImportError:
        raise MissingExtraError("Reading tables", "forecast") from None
    try:
        frame = nw.from_native(table, eager_only=True)
    except TypeError:
        raise TableError(
            f"Got {type(table).__name__}: expected a pandas, polars or pyarrow table. "
            "Collect a lazy frame first; read a file with gatewise.forecast.read_table."
        ) from None
    kind = frame.implementation.value
    if kind not in KINDS:
        raise TableError(f"Got a {kind} table: expected one of {', '.join(KINDS)}.")
    if not len(frame):
        raise TableError("The table has no rows: expected at least one series with values.")
    return frame


def choose_columns(
    table: Any,
    *,
    time: str = "ds",
    target: str = "y",
    series: str | None = DEFAULT_SERIES,
    past: Sequence[str] = (),
    future: Sequence[str] = (),
    static: Sequence[str] = (),
) -> Columns:
    """Check the names of the columns against a table.

    Args:
        table: a pandas, polars or pyarrow table.
        time: column of time. Default "ds".
        target: column to forecast. Default "y".
        series: the column that tells series apart; the default "unique_id" may be absent.
        past: drivers known up to now.
        future: drivers known ahead.
        static: columns constant within a series.

    Raises:
        ConfigError: a column has two roles, or the name of a column of the results.
        TableError: a column is not in the table.

    >>> import polars as pl
    >>> table = pl.DataFrame({"day": [1, 2], "close": [3.0, 4.0]})
    >>> choose_columns(table, time="day", target="clos")
    Traceback (most recent call last):
    gatewise.errors.TableError: The table has no column 'clos' (target). Did you mean 'close'?
    """
    known = open_table(table).columns
    if series == DEFAULT_SERIES and series not in known:
        series = None
    for role, names in (("past", past), ("future", future), ("static", static)):
        if isinstance(names, str):
            raise ConfigError(f"{role} is {names!r}: expected a list of columns, [{names!r}].")
    columns = Columns(time, target, series, tuple(past), tuple(future), tuple(static))
    for role, name in (("time", time), ("series", series)):
        if name in RESULT_NAMES or str(name).startswith(("lo-", "hi-")):
            raise ConfigError(
                f"The {role} column is called {name!r}, as a column of the results is: expected "
                "another name. Rename it."
            )
    roles = [("time", time), ("target", target)] + ([("series", series)] if series else [])
    roles += [("past", c) for c in past] + [("future", c) for c in future]
    roles += [("static", c) for c in static]
    seen: dict[str, str] = {}
    for role, name in roles:
        if name in seen:
            raise ConfigError(
                f"Column {name!r} is given as {seen[name]} and as {role}: expected one role each."
            )
        seen[name] = role
        if name not in known:
            raise TableError(
                f"The table has no column {name!r} ({role}). {nearest(str(name), list(known))}"
            )
    return columns


def read_panel(table: Any, columns: Columns, *, with_target: bool = True) -> Panel:
    """Turn a table into a `Panel`: sorted, checked, float64, missing values as NaN.

    Args:
        table: a pandas, polars or pyarrow table with the columns named.
        columns: what `choose_columns` returned.
        with_target: False for a table of future rows, which holds no target and no past drivers.

    Raises:
        TableError: a time, a value or a whole column cannot be used; see the message.
    """
    frame = open_table(table)
    needed = [columns.time, *columns.future]
    needed += [columns.series] if columns.series else []
    needed += [columns.target, *columns.past, *columns.static] if with_target else []
    for name in needed:
        if name not in frame.columns:
            raise TableError(
                f"The table has no column {name!r}. {nearest(name, list(frame.columns))}"
            )
    wall, instant, style = parse(frame[columns.time])
    groups = _groups(frame, columns.series)
    n, notes = len(wall), []

    def block(names: Sequence[str], role: str) -> Array:
        values = [_numbers(frame[c], role) for c in names]
        return np.column_stack(values) if values else np.empty((n, 0))

    nothing = np.full(n, np.nan)
    target = _numbers(frame[columns.target], "target") if with_target else nothing
    past = block(columns.past, "past driver") if with_target else np.empty((n, 0))
    future = block(columns.future, "future driver")
    texts = {c: _static(frame[c]) for c in columns.static} if with_target else {}

    series = []
    unsorted = 0
    for name, rows in groups.items():
        order = rows[np.argsort(instant[rows], kind="stable")]
        unsorted += bool((order != rows).any())
        _no_duplicates(instant[order], wall[order], name, columns)
        static = tuple(_constant(texts[c], rows, c, name) for c in columns.static if texts)
        series.append(Series(name, wall[order], target[order], past[order], future[order], static))
    if unsorted:
        which = "" if columns.series is None else f" in {unsorted} of {len(series)} series"
        notes.append(f"Time was not in order{which}: the rows were sorted.")
    if with_target:
        _check_target(series, columns)
        _check_drivers(columns, past, future)
    return Panel(
        columns, tuple(series), style, cast("Kind", frame.implementation.value), tuple(notes)
    )


def write_table(data: Mapping[str, Any], kind: Kind) -> Any:
    """Make the caller's kind of table from columns (lists, arrays or narwhals series).

    >>> write_table({"ds": [1, 2], "forecast": [0.5, 0.25]}, "polars").shape
    (2, 2)
    """
    import narwhals as nw

    columns = [
        value.alias(name) if isinstance(value, nw.Series)
        else nw.new_series(name, np.asarray(value).tolist(), backend=kind)
        for name, value in data.items()
    ]  # fmt: skip
    # Not nw.from_dict: with pandas that drops the zone of zoned times.
    return nw.to_native(nw.concat([c.to_frame() for c in columns], how="horizontal"))


def _groups(frame: nw.DataFrame[Any], series: str | None) -> dict[Any, NDArray[np.intp]]:
    """Row numbers of each series, in order of first appearance."""
    if series is None:
        return {"": np.arange(len(frame))}
    rows: dict[Any, list[int]] = {}
    for row, name in enumerate(frame[series].to_list()):
        if name is None or name != name:  # noqa: PLR0124  (NaN)
            raise TableError(
                f"Series column {series!r} has no value in row {row}: expected a name in each row."
            )
        if not isinstance(name, (str, int, float)):
            raise TableError(
                f"Series column {series!r} holds {name!r} in row {row}: expected text or numbers."
            )
        rows.setdefault(name, []).append(row)
    return {name: np.array(found) for name, found in rows.items()}


def _numbers(column: nw.Series[Any], role: str) -> Array:
    import narwhals as nw

    dtype = column.dtype
    if dtype.is_numeric() or dtype == nw.Boolean:
        values = np.array(column.cast(nw.Float64).to_numpy(), dtype=np.float64)
    else:
        cells = column.to_list()
        for row, value in enumerate(cells):
            if value is not None and not isinstance(value, (int, float)) and not _is_number(value):
                raise TableError(
                    f"Column {column.name!r} ({role}) holds {value!r} in row {row}: expected "
                    "numbers with a decimal point. Convert the column, or leave cells without a "
                    "value empty."
                )
        if any(isinstance(v, str) for v in cells):
            raise TableError(
                f"Column {column.name!r} ({role}) holds numbers as text: expected numbers. "
                "Convert the column."
            )
        values = np.array([np.nan if v is None else v for v in cells], dtype=np.float64)
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise TableError(
            f"Column {column.name!r} ({role}) is infinite in row {row}: expected finite numbers. "
            "Leave the cell empty if the value is not known."
        )
    if np.nanmax(np.abs(values), initial=0.0) > _LARGEST:
        row = int(np.nanargmax(np.abs(values)))
        raise TableError(
            f"Column {column.name!r} ({role}) holds {values[row]:g} in row {row}: expected "
            f"magnitudes below {_LARGEST:g}. Correct the value, or rescale the column."
        )
    return values


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _static(column: nw.Series[Any]) -> list[float | str]:
    cells = column.to_list()
    if column.dtype.is_numeric():
        return [float("nan") if v is None else float(v) for v in cells]
    return ["" if v is None else str(v) for v in cells]


def _constant(values: list[float | str], rows: NDArray[np.intp], name: str, of: Any) -> float | str:
    first = values[rows[0]]
    for row in rows[1:]:
        if values[row] != first and not (values[row] != values[row] and first != first):  # noqa: PLR0124
            raise TableError(
                f"Static column {name!r} changes within series {of!r} ({first!r}, then "
                f"{values[row]!r}): expected one value. Give it as past or future instead."
            )
    return first


def _no_duplicates(instant: NDArray[Any], wall: NDArray[Any], name: Any, columns: Columns) -> None:
    same = np.flatnonzero(instant[1:] == instant[:-1])
    if len(same):
        of = "" if columns.series is None else f" of series {name!r}"
        hint = "Remove one." if columns.series else "Remove one, or name the series column."
        raise TableError(
            f"Time {wall[same[0]]}{of} stands in two rows: expected each time once. {hint}"
        )


def _check_target(series: Sequence[Series], columns: Columns) -> None:
    name = columns.target
    seen = [s.target[~np.isnan(s.target)] for s in series]
    if not any(len(v) for v in seen):
        raise TableError(f"Target {name!r} has no number in any row: expected some values.")
    for s, values in zip(series, seen, strict=True):
        if not len(values):
            raise TableError(
                f"Target {name!r} of series {s.name!r} has no value: drop that series."
            )
    if all((v == v[0]).all() for v in seen):
        raise TableError(
            f"Target {name!r} is {seen[0][0]:g} in every row: expected values that change. "
            "There is nothing to forecast."
        )


def _check_drivers(columns: Columns, past: Array, future: Array) -> None:
    for names, values in ((columns.past, past), (columns.future, future)):
        for i, name in enumerate(names):
            if np.isnan(values[:, i]).all():
                raise TableError(
                    f"Driver {name!r} is missing in every row: expected some values. Leave it out."
                )
