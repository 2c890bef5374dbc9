"""gatewise inspect: what an LSTM did on a table, as findings and a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gatewise.cli import source as s
from gatewise.cli.progress import Bars
from gatewise.cli.source import command_line
from gatewise.errors import ConfigError, ModelFileError, TableError, nearest, shortened, shown

if TYPE_CHECKING:
    from gatewise.weights import LSTMWeights


_USAGE: Final = (
    "Expected a model and a table. Try: gatewise inspect model.safetensors data.csv, or gatewise "
    "inspect --torch checkpoint.pt data.csv, or a saved forecaster alone."
)


def inspect(
    model: Annotated[
        Path | None,
        typer.Argument(help="File of gatewise.weights.save_lstm or of Forecaster.save."),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Argument(help="CSV or Parquet file, one row per step. A forecaster has its own."),
    ] = None,
    torch_file: Annotated[
        Path | None,
        typer.Option(
            "--torch",
            help="PyTorch state_dict in place of MODEL; loaded without running its code. It tells "
            "neither activations nor batch_first: those of a plain torch.nn.LSTM are taken.",
        ),
    ] = None,
    lstm: Annotated[
        str, typer.Option(help="Name of the LSTM inside the checkpoint. Default: the only one.")
    ] = "",
    columns: Annotated[
        str, typer.Option(help="Input columns, by commas. Default: all columns of numbers.")
    ] = "",
    time: s.Time = None,
    standardise: Annotated[
        bool,
        typer.Option("--standardise", help="Give each input mean 0 and standard deviation 1."),
    ] = False,
    steps: Annotated[int, typer.Option(help="Rows at most, from the end; 0 takes all.")] = 2000,
    out: Annotated[Path, typer.Option(help="File to write the page to.")] = Path("inspect.html"),
    json: s.Json = False,
) -> None:
    """Show what an LSTM did on a table: every gate, what it remembers, what keeps its gradients.

    Writes a self-contained page, and prints the findings.
    """
    if torch_file is not None and table is None:
        model, table = None, model
    if (model is None) == (torch_file is None):
        raise typer.BadParameter(_USAGE)
    if steps < 0:
        raise ConfigError(f"--steps is {steps}: expected 0 or more.")
    if not out.parent.is_dir():
        raise ConfigError(f"There is no folder {shown(str(out.parent))} to write to.")
    if out.is_dir():
        raise ConfigError(f"--out is the folder {shown(str(out))}: expected a file.")
    for read in (model, torch_file, table):
        if read is not None and read.exists() and out.exists() and read.samefile(out):
            raise ConfigError(f"--out is {shown(str(out))}, which is read: expected another file.")
    from gatewise.trace.report import write_inspection

    subject = _subject(model, torch_file, lstm, table, columns, time, steps, standardise)
    with Bars() as bars:
        bars("inspect", 0, 1)
        seen = write_inspection(
            out,
            subject.lstm,
            subject.x,
            inputs=subject.inputs,
            time=subject.labels,
            title=f"What the LSTM of {(model or torch_file or out).name} did",
            source=subject.source,
            command=command_line(),
            notes=subject.notes,
        )
        bars("inspect", 1, 1)
    if json:
        from gatewise.cli import render

        told = [f.as_dict() for f in seen.findings]
        render.print_json({"file": str(out), "findings": told, "notes": subject.notes})
        return
    for finding in seen.findings:
        typer.echo(f"{'! ' if finding.warning else ''}{finding.sentence}")
    for note in subject.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"Wrote {out}")


@dataclass(frozen=True, eq=False)
class _Subject:
    """An LSTM and what it reads: x of one row, names of its inputs, labels of the steps."""

    lstm: Any
    x: Any
    inputs: list[str]
    labels: list[str] | None
    source: str
    notes: list[str]


def _subject(
    model: Path | None,
    torch_file: Path | None,
    name: str,
    table: Path | None,
    columns: str,
    time: str | None,
    steps: int,
    standardise: bool,
) -> _Subject:
    if model is not None and _is_forecaster(model):
        if columns or time or standardise:
            raise ConfigError(
                f"{shown(model.name)} is a forecaster, which reads its table as it was fitted: "
                "expected no --columns, --time or --standardise."
            )
        return _of_forecaster(model, table)
    if table is None:
        raise typer.BadParameter(_USAGE)
    weights = _weights(model, torch_file, name)
    x, names, labels, notes = _input(table, columns, time, steps, standardise, weights)
    source = f"On {len(x)} rows of {table.name}, the columns {', '.join(names)}"
    rows = x[None] if weights.config.batch_first else x[:, None]
    return _Subject(weights, rows, names, labels, source, notes)


def _is_forecaster(path: Path) -> bool:
    from gatewise.sealed import SealError, model_content, unpack

    try:
        unpack(model_content(path), "gatewise-forecaster")
    except SealError:
        return False
    return True


def _of_forecaster(path: Path, table: Path | None) -> _Subject:
    """The LSTM of `Forecaster.lstm_input` at the latest origin of a table, or of its own rows."""
    from gatewise.forecast import Forecaster, read_table
    from gatewise.forecast.share import lstm_share
    from gatewise.forecast.timestamps import time_labels

    forecaster, history = Forecaster.load(path), None if table is None else read_table(table)
    window, share = forecaster.lstm_input(history), lstm_share(forecaster, history)
    whose = f" of series {shown(window.series)}" if window.series else ""
    where = "" if table is None else f" in {table.name}"
    source = f"On the {len(window.time)} rows{whose}{where} that the forecast is made from"
    if share is not None:
        source += f". {share.sentence}"
    labels = list(time_labels(window.time))
    lstm = forecaster.fitted.network.lstm
    return _Subject(lstm, window.x[window.padding :], window.names, labels, source, [])


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
    path: Path, columns: str, time: str | None, steps: int, standardise: bool, weights: Any
) -> tuple[Any, list[str], list[str] | None, list[str]]:
    """The rows [T, I], the inputs' names, the labels of the steps, and notes."""
    import narwhals as nw
    import numpy as np

    from gatewise.forecast import read_table

    frame = nw.from_native(read_table(path), eager_only=True)
    if time is not None and time not in frame.columns:
        raise TableError(f"There is no column {shown(time)}. {nearest(time, frame.columns)}")
    numeric = [c for c in frame.columns if frame[c].dtype.is_numeric() and c != time]
    names = [c.strip() for c in columns.split(",") if c.strip()] or numeric
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
    if standardise:
        spread = rows.std(axis=0)
        rows = (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    dates = [c for c in frame.columns if frame[c].dtype.is_temporal()]
    label = time or (dates[0] if len(dates) == 1 else None)
    labels = None
    if label is not None:
        values = [str(v)[:19].removesuffix(" 00:00:00") for v in frame[label].to_list()]
        labels = [values[k] for k in np.flatnonzero(~holes)]
    cut = slice(-steps if steps else None, None)
    return rows[cut], names, labels[cut] if labels else None, notes
