"""Options that commands share, as groups: a command names the group and gets its values as one.

A group is a dataclass whose fields are a command's parameters as typer reads them, with their
defaults. So an option that several commands have is written once, and stands in each one's help.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from gatewise.cli import source as s
from gatewise.errors import ConfigError, shortened, shown

if TYPE_CHECKING:
    import polars as pl

    from gatewise.forecast import Forecaster


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command whose parameters that are groups appear as the options in them."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {}
    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        if dataclasses.is_dataclass(hints[name]):
            groups[name] = hints[name]
            inside = get_type_hints(hints[name], include_extras=True)
            parameters += [
                parameter.replace(
                    name=field.name, annotation=inside[field.name], default=field.default
                )
                for field in dataclasses.fields(groups[name])
            ]
        else:
            parameters.append(parameter.replace(annotation=hints[name]))

    def run(**given: Any) -> None:
        for name, group in groups.items():
            names = [field.name for field in dataclasses.fields(group)]
            given[name] = group(**{n: given.pop(n) for n in names})
        command(**given)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


@dataclasses.dataclass(frozen=True)
class DialectOptions:
    """How the tables are written."""

    delimiter: s.Delimiter = None
    decimal: s.Decimal = None
    encoding: s.Encoding = None
    date_format: s.DateFormat = None

    def read(self, file: Path) -> pl.DataFrame:
        """Read a table; see `read_table`."""
        from gatewise.forecast import read_table

        return read_table(file, **dataclasses.asdict(self))


@dataclasses.dataclass(frozen=True)
class TableOptions:
    """Which table, and the roles of its columns."""

    table: s.Table = None
    dataset: s.Data = None
    time: s.Time = None
    target: s.Target = None
    series: s.Series = None
    drivers: s.Drivers = ""
    future_drivers: s.FutureDrivers = ""
    static: s.Static = ""

    def check(self, *others: Path | None) -> None:
        """See that one table is named, and there: at once, before anything heavy is imported.

        Args:
            others: files that are read, too; None for none.

        Raises:
            BadParameter: neither or both of a file and a data set are given.
            TableError: a file does not exist.
        """
        if (self.table is None) == (self.dataset is None):
            found = "neither" if self.table is None else "both"
            raise typer.BadParameter(
                f"Expected a table or --dataset, got {found}. "
                "Try: gatewise forecast prices.csv, or gatewise forecast --help."
            )
        s.look(self.table, *others)

    def open(self, dialect: DialectOptions) -> s.Source:
        """Read it; see `source.open_source`."""
        given = dataclasses.asdict(self)
        return s.open_source(given.pop("table"), given.pop("dataset"), dialect.read, **given)


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """What the forecaster is told."""

    horizon: Annotated[int, typer.Option(help="Rows to forecast.")] = 18
    levels: Annotated[str, typer.Option(help="Prediction intervals in percent, by commas.")] = (
        "80,95"
    )
    season_length: Annotated[
        int | None, typer.Option(help="Rows per season. Default: from the calendar and the data.")
    ] = None
    long_season_length: Annotated[
        int | None,
        typer.Option(
            help="Rows of a second, longer season, such as a week of hours; 1 for none. Default: "
            "from the calendar and the data."
        ),
    ] = None
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Forecast with the package's own networks.")
    ] = False
    context_length: Annotated[
        int | None, typer.Option(help="Rows the LSTM reads. Default: automatic.")
    ] = None
    transform: Annotated[
        str | None,
        typer.Option(
            help="Transform of the target: auto, none, log-return or difference. Default: auto."
        ),
    ] = None
    keep_gaps: Annotated[
        bool,
        typer.Option(
            "--keep-gaps", help="Insert no rows for times that a regular calendar misses."
        ),
    ] = False
    lower: Annotated[
        str | None,
        typer.Option(
            help="No forecast is below this: a number, none, or auto (default), which is 0 if the "
            "target was never negative."
        ),
    ] = None
    seed: Annotated[
        int, typer.Option(help="Seed for the initial weights and the order of batches.")
    ] = 0
    options: Annotated[
        Path | None,
        typer.Option(help="JSON file of further options, as `gatewise tune --out` writes it."),
    ] = None

    def from_file(self) -> dict[str, Any]:
        """The options of the file, if there is one.

        Raises:
            ConfigError: there is no such file, or it is none of options.
        """
        return {} if self.options is None else read_options(self.options)

    def forecaster(self, threads: int | None = None) -> Forecaster:
        """An unfitted forecaster. What is given on the command line goes before the file.

        Args:
            threads: worker processes of a fit; None (default) for one per core.

        Raises:
            ConfigError: an option is unknown or out of range, or the file is none of options.
        """
        from gatewise.forecast import Forecaster

        asked = self.from_file()
        for name in ("season_length", "long_season_length", "context_length"):
            if getattr(self, name) is not None:
                asked[name] = getattr(self, name)
        if threads is not None:
            asked["threads"] = threads
        if self.keep_gaps:
            asked["fill_gaps"] = False
        if self.pretrained:
            asked["model"] = "pretrained"
        if self.transform is not None:
            asked["transform"] = self.transform
        if self.lower is not None:
            asked["lower"] = _lower(self.lower)
        try:
            return Forecaster(self.horizon, s.split_levels(self.levels), self.seed, **asked)
        except TypeError as error:  # text where a number should be
            raise ConfigError(
                f"An option in {shown(str(self.options))} has no such value: {shortened(error)}."
            ) from None


def _lower(text: str) -> float | str | None:
    """The number that a text names; None for "none"; "auto" as it is."""
    if text in ("none", "auto"):
        return None if text == "none" else text
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"--lower is {text!r}: expected a number, none or auto.") from None


OWN = ("prediction_length", "levels", "seed")
"""Options that have a name of their own on the command line, and are in no file."""


def read_options(path: Path) -> dict[str, Any]:
    """Read a file of forecaster options: one JSON object, names to values.

    Raises:
        ConfigError: the file does not exist, or is no such file.
    """
    if not path.is_file():
        raise ConfigError(f"There is no file of options {shown(str(path))}.")
    try:
        options = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        options = None
    if not isinstance(options, dict):
        raise ConfigError(
            f"{shown(path.name)} is no file of options: expected one JSON object, as `gatewise "
            "tune --out` writes it."
        )
    for name in OWN:
        if name in options:
            raise ConfigError(
                f"{shown(path.name)} holds {shown(name)}: expected it on the command line. "
                "Remove it."
            )
    return options
