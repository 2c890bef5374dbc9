"""Tables in, panels out: the one place that touches the caller's table.

pandas, polars and pyarrow tables come in through narwhals; whatever is wrong with one is said
here, in one line that names the fault, what was expected, and the remedy.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import ConfigError, MissingExtraError, TableError, nearest, shown
from gatewise.forecast.data.gaps import fill
from gatewise.forecast.data.grouping import Grouping, group
from gatewise.forecast.data.panel import Array, Columns, Kind, Panel, Series, TimeStyle
from gatewise.forecast.data.timestamps import parse
from gatewise.forecast.data.values import constant, numbers

if TYPE_CHECKING:
    import narwhals as nw

KINDS: Final = ("pandas", "polars", "pyarrow")
DEFAULT_SERIES: Final = "unique_id"


RESULT_NAMES: Final = (
    "forecast", "origin", "fold", "step", "actual", "gatewise", "last value", "mean", "drift",
    "seasonal naive", "AutoETS", "linear", "sample", "value",
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
            raise ConfigError(
                f"{role} is {shown(names)}: expected a list of columns, [{shown(names)}]."
            )
    columns = Columns(time, target, series, tuple(past), tuple(future), tuple(static))
    for role, name in (("time", time), ("series", series)):
        if name in RESULT_NAMES or str(name).startswith(("lo-", "hi-")):
            raise ConfigError(
                f"The {role} column is called {shown(name)}, as a column of the results is: "
                "expected another name. Rename it."
            )
    roles = [("time", time), ("target", target)] + ([("series", series)] if series else [])
    roles += [("past", c) for c in past] + [("future", c) for c in future]
    roles += [("static", c) for c in static]
    seen: dict[str, str] = {}
    for role, name in roles:
        if name in seen:
            raise ConfigError(
                f"Column {shown(name)} is given as {seen[name]} and as {role}: expected one role "
                "each."
            )
        seen[name] = role
        if name not in known:
            raise TableError(
                f"The table has no column {shown(name)} ({role}). {nearest(str(name), list(known))}"
            )
    return columns


def read_panel(
    table: Any,
    columns: Columns,
    *,
    with_target: bool = True,
    to_learn: bool = True,
    fill_gaps: bool = True,
    like: TimeStyle | None = None,
) -> Panel:
    """Turn a table into a `Panel`: sorted, checked, float64, missing values as NaN.

    Args:
        table: a pandas, polars or pyarrow table with the columns named.
        columns: what `choose_columns` returned.
        with_target: False for a table of future rows, which holds no target and no past drivers.
        to_learn: False for rows to forecast from: their target may be the same in every row.
        fill_gaps: whether rows that a regular calendar misses are inserted, with a note.
        like: how the time of the fitted table is written, if this is another one.

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
                f"The table has no column {shown(name)}. {nearest(name, list(frame.columns))}"
            )
    times = parse(frame[columns.time], "" if like is None else like.format)
    groups = group(None if columns.series is None else frame[columns.series], times.instant)
    if like is None:
        times = times.with_steps(groups.same(), groups.order)
    else:
        times = times.like(like, columns.time)
    n, notes = len(times.wall), list(times.notes)
    if groups.unsorted:
        which = f" in {groups.unsorted} of {len(groups.names)} series" if columns.series else ""
        notes.append(f"Time was not in order{which}: the rows were sorted.")
    time = groups.arranged(times.kept())
    _no_duplicates(groups.arranged(times.instant), groups.arranged(times.wall), groups, columns)

    def block(names: Sequence[str], role: str) -> Array:
        values = [numbers(frame[c], role) for c in names]
        return groups.arranged(np.column_stack(values)) if values else np.empty((n, 0))

    future = block(columns.future, "future driver")
    target, past, static = np.full(n, np.nan), np.empty((n, 0)), []
    if with_target:
        target = groups.arranged(numbers(frame[columns.target], "target"))
        past = block(columns.past, "past driver")
        static = [constant(frame[c], groups) for c in columns.static]
        _check_target(target, groups, columns, to_learn)
        _check_drivers(columns, past, future)
    values = zip(*static, strict=True) if static else itertools.repeat(())
    series = tuple(
        Series(name, time[a:b], target[a:b], past[a:b], future[a:b], own)
        for name, (a, b), own in zip(
            groups.names, itertools.pairwise(groups.bounds.tolist()), values, strict=False
        )
    )
    if fill_gaps and with_target:
        series, told = fill(series, times.style)
        notes += told
    kind = cast("Kind", frame.implementation.value)
    return Panel(columns, series, times.style, kind, tuple(notes))


def write_table(data: Mapping[str, Any], kind: Kind) -> Any:
    """Make the caller's kind of table from columns (lists, arrays or narwhals series).

    >>> write_table({"ds": [1, 2], "forecast": [0.5, 0.25]}, "polars").shape
    (2, 2)
    """
    import narwhals as nw

    def column(name: str, value: Any) -> nw.Series[Any]:
        if isinstance(value, nw.Series):
            return value.alias(name)
        numbers = isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
        return nw.new_series(name, value if numbers else list(value), backend=kind)

    # Not nw.from_dict: with pandas that drops the zone of zoned times.
    frames = [column(name, value).to_frame() for name, value in data.items()]
    return nw.to_native(nw.concat(frames, how="horizontal"))


def _no_duplicates(
    instant: NDArray[Any], wall: NDArray[Any], groups: Grouping, columns: Columns
) -> None:
    same = np.flatnonzero((instant[1:] == instant[:-1]) & groups.same())
    if len(same):
        row = int(same[0])
        of = f" of series {shown(groups.names[groups.of(row)])}" if columns.series else ""
        hint = "Remove one." if columns.series else "Remove one, or name the series column."
        raise TableError(
            f"Time {wall[row]}{of} stands in two rows: expected each time once. {hint}"
        )


def _check_target(target: Array, groups: Grouping, columns: Columns, to_learn: bool) -> None:
    name, first = columns.target, groups.bounds[:-1]
    low, high = np.fmin.reduceat(target, first), np.fmax.reduceat(target, first)
    empty = np.flatnonzero(np.isnan(low))
    if len(empty) == len(low):
        raise TableError(f"Target {shown(name)} has no number in any row: expected some values.")
    if len(empty):
        more = f" (and of {len(empty) - 1} more)" if len(empty) > 1 else ""
        raise TableError(
            f"Target {shown(name)} of series {shown(groups.names[empty[0]])}{more} has no value: "
            f"drop {'those' if more else 'that'} series."
        )
    if to_learn and (low == high).all():
        raise TableError(
            f"Target {shown(name)} is {low[0]:g} in every row: expected values that change. "
            "There is nothing to forecast."
        )


def _check_drivers(columns: Columns, past: Array, future: Array) -> None:
    for names, values in ((columns.past, past), (columns.future, future)):
        for i, name in enumerate(names):
            if np.isnan(values[:, i]).all():
                raise TableError(
                    f"Driver {shown(name)} is missing in every row: expected some values. "
                    "Leave it out."
                )
