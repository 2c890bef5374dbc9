"""gatewise inspect: what an LSTM did on a table, as findings and a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.cli import source as s
from gatewise.cli.progress import Bars
from gatewise.cli.source import command_line
from gatewise.errors import ConfigError, ModelFileError, TableError, nearest, shortened, shown

if TYPE_CHECKING:
    from gatewise.weights import LSTMWeights


def inspect(
    model: Annotated[
        Path | None, typer.Argument(help="File that gatewise.weights.save_lstm wrote.")
    ] = None,
    table: Annotated[
        Path | None, typer.Argument(help="CSV or Parquet file, one row per step.")
    ] = None,
    torch_file: Annotated[
        Path | None,
        typer.Option(
            "--torch",
            help="PyTorch state_dict in place of MODEL; loaded without running its code.",
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
    if (model is None) == (torch_file is None) or table is None:
        raise typer.BadParameter(
            "Expected a model and a table. Try: gatewise inspect model.safetensors data.csv, or "
            "gatewise inspect --torch checkpoint.pt data.csv."
        )
    if steps < 0:
        raise ConfigError(f"--steps is {steps}: expected 0 or more.")
    if not out.parent.is_dir():
        raise ConfigError(f"There is no folder {shown(str(out.parent))} to write to.")
    from gatewise.trace.report import write_inspection
    from gatewise.trace.sentences import findings

    weights = _weights(model, torch_file, lstm)
    x, names, labels, notes = _input(table, columns, time, steps, standardise, weights)
    with Bars() as bars:
        bars("inspect", 0, 1)
        trace = write_inspection(
            out,
            weights,
            x[:, None] if not weights.config.batch_first else x[None],
            inputs=names,
            time=labels,
            title=f"What the LSTM of {(model or torch_file or out).name} did",
            source=f"On {len(x)} rows of {table.name}, the columns {', '.join(names)}",
            command=command_line(),
            notes=notes,
        )
        bars("inspect", 1, 1)
    found = findings(trace)
    if json:
        from gatewise.cli import render

        render.print_json(
            {"file": str(out), "findings": [f.as_dict() for f in found], "notes": notes}
        )
        return
    for finding in found:
        typer.echo(f"{'! ' if finding.warning else ''}{finding.sentence}")
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"Wrote {out}")


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
