"""gatewise inspect: what an LSTM did on a table, as findings and a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from gatewise.cli import source as s
from gatewise.cli.options import DialectOptions, expanded
from gatewise.cli.progress import Bars
from gatewise.cli.source import command_line
from gatewise.cli.subject import Subject, SubjectOptions, check_out, is_forecaster, subject_of
from gatewise.errors import ConfigError

_USAGE: Final = (
    "Expected a model and a table. Try: gatewise inspect model.safetensors data.csv, or gatewise "
    "inspect --torch checkpoint.pt data.csv, or a saved forecaster alone."
)


@expanded
def inspect(
    options: SubjectOptions,
    dialect: DialectOptions,
    model: Annotated[
        Path | None,
        typer.Argument(help="File of gatewise.weights.save_lstm or of Forecaster.save."),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Argument(
            help="CSV, Parquet or Excel file, a row per step. A forecaster has its own."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="File to write the page to.")] = Path("inspect.html"),
    json: s.Json = False,
) -> None:
    """Show what an LSTM did on a table: every gate, what it remembers, what keeps its gradients.

    Writes a self-contained page, and prints the findings.
    """
    torch_file = options.torch_file
    if torch_file is not None and table is None:
        model, table = None, model
    if (model is None) == (torch_file is None):
        raise typer.BadParameter(_USAGE)
    options.check(model, table)
    s.look(table)
    check_out(out, model, torch_file, table)
    from gatewise.trace.report import write_inspection

    if table is None and not (model is not None and is_forecaster(model)):
        raise typer.BadParameter(_USAGE)
    subject = subject_of(model, table, options, dialect)
    with Bars() as bars:
        bars("inspect", 0, 1)
        live = _live(subject)
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
            live=live,
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


def _live(subject: Subject) -> str:
    """The explorer's page of it, or "" where the explorer does not run such a cell."""
    from gatewise.explorer.model import model_data
    from gatewise.explorer.page import page_of

    try:
        model = model_data(
            subject.lstm, subject.x, inputs=subject.inputs, time=subject.labels,
            about=f"{subject.source}.",
        )  # fmt: skip
    except ConfigError:  # zoneout, a learnt initial state, more than a page can hold
        return ""
    return page_of([model], lab=False, views=["cell", "time", "gradient", "swap"])
