"""Which table, which columns: the options, and what they open."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.cli.columns import default_target, time_column
from gatewise.errors import ConfigError, shown

if TYPE_CHECKING:
    import polars as pl

    from gatewise.forecast.config import Config
    from gatewise.forecast.data.panel import Panel

Table = Annotated[
    Path | None,
    typer.Argument(
        help="CSV, Parquet or Excel file, gzipped or not, one row per series and time; - for the "
        "standard input."
    ),
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        help="Character between the columns of a CSV file, or its name: comma, semicolon, tab, "
        "pipe. Default: the one that all lines have as often."
    ),
]
Decimal = Annotated[
    str | None,
    typer.Option(
        help="Decimal sign of the numbers in a CSV file, . or , . Default: found where it is plain."
    ),
]
Encoding = Annotated[
    str | None, typer.Option(help="Encoding of a CSV file, such as latin-1. Default: UTF-8.")
]
DateFormat = Annotated[
    str | None,
    typer.Option(help="Format of times written as text, such as %d/%m/%Y. Default: found."),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="A built-in data set instead of a file: sp500; m1- or m3-monthly, -quarterly, "
        "-yearly; m3-other; tourism-monthly, -quarterly; nordpool, epf-fr, epf-be; "
        "us-employment, aus-retail, aus-arrivals, us-gasoline, pedestrian, vic-electricity, "
        "bank-calls.",
    ),
]
Time = Annotated[
    str | None, typer.Option(help="Time column. Default: the only one that reads as times.")
]
Target = Annotated[str | None, typer.Option(help="Column to forecast. Default: y, if any.")]
Series = Annotated[
    str | None, typer.Option(help="Column that tells series apart. Default: unique_id, if any.")
]
Drivers = Annotated[str, typer.Option(help="Columns known up to the present, separated by commas.")]
FutureDrivers = Annotated[
    str,
    typer.Option(help="Columns known ahead (weather forecasts, holidays), separated by commas."),
]
Static = Annotated[
    str, typer.Option(help="Columns that are constant within a series, separated by commas.")
]
Folds = Annotated[
    int | None,
    typer.Option(help="Rolling origins of the backtest. Default: 8, or as many as fit."),
]
RefitEvery = Annotated[int, typer.Option(help="Fit again at every k-th origin, for this k.")]
Threads = Annotated[
    int | None,
    typer.Option(
        help="Worker processes for all of the command's work. The results do not depend on it. "
        "Default: one per core."
    ),
]
Direction = Annotated[
    bool,
    typer.Option(
        "--direction",
        help="Judge the direction of the next change at every row of the windows, not at the "
        "origins alone. Takes as many forecasts more as the horizon has rows.",
    ),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        help="Folder of finished folds: an interrupted backtest goes on from it. Default: none."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]


@dataclass(frozen=True, eq=False)
class Source:
    """A table and the roles of its columns.

    Attributes:
        table: polars.
        columns: the column arguments of `Forecaster.fit`.
        name: for titles.
        future: rows after the end of the target that hold known-future drivers, or None.
        notes: what was chosen for the user.
    """

    table: pl.DataFrame
    columns: dict[str, Any]
    name: str
    future: pl.DataFrame | None = None
    notes: list[str] = field(default_factory=list)

    def panel(self, config: Config) -> Panel:
        """Read the table as a fit does: its faults are told before any work.

        Raises:
            TableError: it cannot be used; see `read_panel`.
        """
        from gatewise.forecast.data.table import choose_columns, read_panel

        columns = choose_columns(self.table, **self.columns)
        return read_panel(self.table, columns, fill_gaps=config.fill_gaps)


def open_source(
    file: Path | None,
    dataset: str | None,
    read: Callable[[Path], pl.DataFrame] | None = None,
    *,
    time: str | None = None,
    target: str | None = None,
    series: str | None = None,
    drivers: str = "",
    future_drivers: str = "",
    static: str = "",
) -> Source:
    """Read the table that the options name.

    Args:
        file, dataset: one of them.
        read: reads the file; None (default) for `read_table`.
        time, target, series: names of columns; None for the default.
        drivers, future_drivers, static: names of columns by commas.

    Raises:
        TableError: the file cannot be read, or a default column cannot be told.
    """
    from gatewise.forecast import datasets, read_table

    if dataset is not None:
        given = datasets.load(dataset)
        asked = {"time": time, "target": target, "series": series}
        columns = given.columns | {k: v for k, v in asked.items() if v is not None}
        for role, text in (("past", drivers), ("future", future_drivers), ("static", static)):
            if text:
                columns[role] = split_names(text)
        return Source(given.table, columns, given.description or given.name, given.ahead)

    assert file is not None  # one of the two is given
    table = (read or read_table)(file)
    notes: list[str] = []
    columns: dict[str, Any] = {
        "past": split_names(drivers),
        "future": split_names(future_drivers),
        "static": split_names(static),
    }
    taken = {target or "y", series or "unique_id", *chain(*columns.values())}
    columns["time"] = time or time_column(table, taken, notes)
    columns["target"] = target or default_target(table)
    if series is not None:
        columns["series"] = series
    table, future = split_ahead(table, columns)
    return Source(
        table, columns, "the standard input" if str(file) == "-" else file.name, future, notes
    )


def look(*files: Path | None) -> None:
    """See that files are there, before anything heavy is imported.

    Raises:
        TableError: one does not exist.
    """
    from gatewise.forecast.data.readers import check_file

    for file in files:
        if file is not None:
            check_file(file)


def split_names(text: str) -> tuple[str, ...]:
    """Split names at commas.

    >>> split_names("vix, nasdaq")
    ('vix', 'nasdaq')
    """
    return tuple(name.strip() for name in text.split(",") if name.strip())


def split_levels(text: str) -> tuple[float, ...]:
    """Split interval levels at commas.

    Raises:
        ConfigError: one is not a number.

    >>> split_levels("80,95")
    (80.0, 95.0)
    """
    try:
        return tuple(float(level) for level in split_names(text))
    except ValueError:
        raise ConfigError(
            f"--levels is {shown(text)}: expected percentages separated by commas, such as 80,95."
        ) from None


def command_line() -> str:
    """The command that is running, as one would type it."""
    return shlex.join(["gatewise", *sys.argv[1:]])


def check_counts(**counts: int | None) -> None:
    """Refuse counts below 1; None is a default.

    Raises:
        ConfigError: one of the options is.
    """
    for name, value in counts.items():
        if value is not None and value < 1:
            raise ConfigError(f"--{name.replace('_', '-')} is {value}: expected at least 1.")


def _is_known(target: pl.Series) -> pl.Series:
    there = target.is_not_null()
    return there & target.is_not_nan().fill_null(value=False) if target.dtype.is_float() else there


def split_ahead(
    table: pl.DataFrame, columns: dict[str, Any]
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Part the rows after the target's last value: they hold the drivers that are known ahead.

    Args:
        table: the whole table.
        columns: at least time, target and future.

    Returns:
        The rows up to the last value, and those after it (None if there are none).
    """
    import narwhals as nw
    import polars as pl

    from gatewise.forecast.data.timestamps import parse

    target, time = columns["target"], columns["time"]
    if not columns["future"] or not {target, time} <= set(table.columns):
        return table, None
    series = columns.get("series") or ("unique_id" if "unique_id" in table.columns else None)
    if series is not None and series not in table.columns:
        return table, None
    # Text has another order than its dates: 31.01.2021 would stand after 01.02.2021.
    instant = parse(nw.from_native(table[time], series_only=True)).instant
    rows = pl.DataFrame({"at": instant, "known": _is_known(table[target])})
    last = pl.col("at").filter("known").max()
    if series:
        rows = rows.with_columns(table[series].alias("series"))
        last = last.over("series")
    is_ahead = rows.select(ahead=(pl.col("at") > last).fill_null(value=False))["ahead"]
    ahead = table.filter(is_ahead)
    return (table.filter(~is_ahead), ahead) if len(ahead) else (table, None)
