"""What a command looks into: an LSTM from a file, and what it reads from a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.cli import source as s
from gatewise.cli.columns import dated_columns
from gatewise.errors import ConfigError, ModelFileError, TableError, nearest, shortened, shown

if TYPE_CHECKING:
    import polars as pl

    from gatewise.cli.options import DialectOptions
    from gatewise.weights import LSTMWeights


@dataclass(frozen=True)
class SubjectOptions:
    """Which LSTM of a file, and which rows and columns of a table it reads."""

    torch_file: Annotated[
        Path | None,
        typer.Option(
            "--torch",
            help="PyTorch state_dict in place of MODEL; loaded without running its code. It tells "
            "neither activations nor batch_first: those of a plain torch.nn.LSTM are taken.",
        ),
    ] = None
    lstm: Annotated[
        str, typer.Option(help="Name of the LSTM inside the checkpoint. Default: the only one.")
    ] = ""
    columns: Annotated[
        str, typer.Option(help="Input columns, by commas. Default: all columns of numbers.")
    ] = ""
    time: s.Time = None
    standardise: Annotated[
        bool,
        typer.Option("--standardise", help="Give each input mean 0 and standard deviation 1."),
    ] = False
    steps: Annotated[int, typer.Option(help="Rows at most, from the end; 0 takes all.")] = 2000

    def check(self, model: Path | None, table: Path | None) -> None:
        """Refuse what is out of range, and what would do nothing.

        Raises:
            ConfigError: steps is negative, or an option has nothing to act on.
        """
        if self.steps < 0:
            raise ConfigError(f"--steps is {self.steps}: expected 0 or more.")
        if self.lstm and self.torch_file is None:
            raise ConfigError("--lstm names an LSTM of a checkpoint: expected --torch, too.")
        if model is not None and is_forecaster(model):
            self._refuse_columns(
                f"{shown(model.name)} is a forecaster, which reads its table as it was fitted."
            )
        elif table is None:
            self._refuse_columns("there is no table.")

    def _refuse_columns(self, reason: str) -> None:
        """Refuse the options about a table's columns.

        Raises:
            ConfigError: one is given.
        """
        if self.columns or self.time or self.standardise:
            raise ConfigError(
                f"--columns, --time and --standardise are for an LSTM that reads a table, but "
                f"{reason} Leave them out."
            )


@dataclass(frozen=True, eq=False)
class Subject:
    """An LSTM and what it reads: x of one row, names of its inputs, labels of the steps."""

    lstm: Any
    x: Any
    inputs: list[str]
    labels: list[str] | None
    source: str
    notes: list[str]


def check_out(out: Path, *read: Path | None) -> None:
    """Refuse a file that cannot be written, or that is read, before the work.

    Raises:
        ConfigError: out is a folder, its folder is not there, or it is one of those that are read.
    """
    if not out.parent.is_dir():
        raise ConfigError(f"There is no folder {shown(str(out.parent))} to write to.")
    if out.is_dir():
        raise ConfigError(f"--out is the folder {shown(str(out))}: expected a file.")
    for path in read:
        if path is not None and path.exists() and out.exists() and path.samefile(out):
            raise ConfigError(f"--out is {shown(str(out))}, which is read: expected another file.")


def subject_of(
    model: Path | None,
    table: Path | None,
    options: SubjectOptions,
    dialect: DialectOptions,
    noise: bool = False,
) -> Subject:
    """Return the LSTM that a command's arguments name, and what it reads.

    Args:
        model: file of an LSTM or a forecaster; None takes the checkpoint of the options.
        table: what it reads.
        options: the rest.
        dialect: how the table is written.
        noise: whether it may go without a table: x is None then.

    Raises:
        ConfigError, ModelFileError, TableError: an argument does not fit another, or a file.
    """
    if model is not None and is_forecaster(model):
        return _of_forecaster(model, table, dialect)
    weights = _weights(model, options.torch_file, options.lstm)
    if table is None:
        if not noise:
            raise ConfigError("There is no table to read: expected one after the model.")
        return Subject(weights, None, [], None, "", [])
    x, names, labels, notes = _input(dialect.read(table), options, weights)
    source = f"On {len(x)} rows of {table.name}, the columns {', '.join(names)}"
    rows = x[None] if weights.config.batch_first else x[:, None]
    return Subject(weights, rows, names, labels, source, notes)


def is_forecaster(path: Path) -> bool:
    """Whether a file is a saved forecaster."""
    from gatewise.sealed import SealError, model_content, unpack

    try:
        unpack(model_content(path), "gatewise-forecaster")
    except SealError:
        return False
    return True


def _of_forecaster(path: Path, table: Path | None, dialect: DialectOptions) -> Subject:
    """The LSTM of `Forecaster.lstm_input` at the latest origin of a table, or of its own rows."""
    from gatewise.forecast import Forecaster
    from gatewise.forecast.explain.share import lstm_share
    from gatewise.page.time_axis import time_labels

    forecaster, history = Forecaster.load(path), None if table is None else dialect.read(table)
    window, share = forecaster.lstm_input(history), lstm_share(forecaster, history)
    whose = f" of series {shown(window.series)}" if window.series else ""
    where = "" if table is None else f" in {table.name}"
    source = f"On the {len(window.time)} rows{whose}{where} that the forecast is made from"
    if share is not None:
        source += f". {share.sentence}"
    labels = list(time_labels(forecaster.fitted.tail.clock(window.time)))
    lstm = forecaster.fitted.network.lstm
    return Subject(lstm, window.x[window.padding :], window.names, labels, source, [])


def _weights(model: Path | None, torch_file: Path | None, name: str) -> LSTMWeights:
    from gatewise.weights import load_lstm

    if model is not None:
        return load_lstm(model)
    assert torch_file is not None
    from gatewise.weights.checkpoints import lstms_of

    try:
        import torch

        content = torch.load(torch_file, map_location="cpu", weights_only=True)
    except ImportError:
        from gatewise.errors import MissingExtraError

        raise MissingExtraError("A PyTorch checkpoint", "torch") from None
    except Exception as error:  # whatever a damaged file makes of PyTorch's reader
        raise ModelFileError(
            f"{shown(torch_file.name)} cannot be read ({shortened(error)}): expected a state_dict "
            "that torch.save wrote. Save model.state_dict()."
        ) from None
    found = lstms_of(content)
    if name not in found and not (name == "" and len(found) == 1):
        known = list(found)
        raise ModelFileError(
            f"{shown(torch_file.name)} holds {len(found)} LSTMs: expected the name of one. Pass "
            f"--lstm. {nearest(name, known) if known else ''}"
        )
    return found[name] if name in found else next(iter(found.values()))


def _input(
    table: pl.DataFrame, options: SubjectOptions, weights: Any
) -> tuple[Any, list[str], list[str] | None, list[str]]:
    """The rows [T, I], the inputs' names, the labels of the steps, and notes."""
    import narwhals as nw
    import numpy as np

    frame = nw.from_native(table, eager_only=True)
    time, steps = options.time, options.steps
    if time is not None and time not in frame.columns:
        raise TableError(f"There is no column {shown(time)}. {nearest(time, frame.columns)}")
    numeric = [c for c in frame.columns if frame[c].dtype.is_numeric() and c != time]
    names = [c.strip() for c in options.columns.split(",") if c.strip()] or numeric
    for c in names:
        if c not in frame.columns:
            raise TableError(f"There is no column {shown(c)}. {nearest(c, frame.columns)}")
    texts = [c for c in names if not frame[c].dtype.is_numeric()]
    if texts:
        raise TableError(
            f"Column {shown(texts[0])} holds {frame[texts[0]].dtype}: expected numbers. Name other "
            "columns with --columns."
        )
    I = weights.config.input_size
    if len(names) != I:
        raise TableError(
            f"There are {len(names)} input columns ({shortened(', '.join(names))}): expected the "
            f"{I} that the LSTM reads. Name them with --columns."
        )
    notes = []
    rows = np.column_stack([frame[c].cast(nw.Float64).to_numpy() for c in names])
    holes = ~np.isfinite(rows).all(axis=1)
    if holes.any():
        notes.append(f"{int(holes.sum())} rows with missing values are left out.")
        rows = rows[~holes]
    largest = float(np.finfo(weights.dtype).max)
    far = np.abs(rows) > largest
    if far.any():
        name = names[int(far.any(axis=0).argmax())]
        raise TableError(
            f"Column {shown(name)} holds numbers beyond {largest:.2g}, the largest of the LSTM's "
            f"{weights.dtype}: expected smaller ones."
        )
    if steps and len(rows) > steps:
        notes.append(f"The last {steps} of {len(rows)} rows; --steps 0 takes all.")
    if not len(rows):
        raise TableError("The table has no complete row: expected at least one.")
    if options.standardise:
        spread = rows.std(axis=0)
        rows = (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    dates = dated_columns(table, names)
    label = time or (dates[0] if len(dates) == 1 else None)
    labels = None
    if label is not None:
        values = [str(v)[:19].removesuffix(" 00:00:00") for v in frame[label].to_list()]
        labels = [values[k] for k in np.flatnonzero(~holes)]
    cut = slice(-steps if steps else None, None)
    return rows[cut], names, labels[cut] if labels else None, notes
