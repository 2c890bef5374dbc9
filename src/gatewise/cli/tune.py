"""gatewise tune: a small search for better options, judged inside the table's own past."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

from gatewise.cli import source as s
from gatewise.cli.options import DialectOptions, ModelOptions, TableOptions, expanded
from gatewise.cli.progress import Bars
from gatewise.errors import ConfigError, shown
from gatewise.files import write_atomically


@expanded
def tune(
    source: TableOptions,
    dialect: DialectOptions,
    model: ModelOptions,
    trials: Annotated[int, typer.Option(help="Configurations to try, the default first.")] = 20,
    folds: Annotated[
        int | None,
        typer.Option(help="Validation origins, a horizon apart. Default: 3, or as many as fit."),
    ] = None,
    holdout: Annotated[
        int, typer.Option(help="Last rows that the search must not see: backtest on them.")
    ] = 0,
    timeout: Annotated[
        float | None, typer.Option(help="Start no trial after so many seconds. Default: no limit.")
    ] = None,
    threads: s.Threads = None,
    out: Annotated[
        Path | None, typer.Option(help="File for the best options, for --options. Default: none.")
    ] = None,
    json: s.Json = False,
) -> None:
    """Search for better options of the forecaster: size, training, context, transform.

    Each trial is judged on rolling validation at the end of the table, and fitted on the rows
    before. The options asked for are the first trial, and win ties.
    """
    source.check()
    s.check_counts(threads=threads)
    model.from_file()
    from gatewise.cli import render
    from gatewise.forecast import tune as run

    if out is not None and not out.parent.is_dir():
        raise ConfigError(
            f"There is no folder {shown(str(out.parent))} to write {shown(out.name)} to."
        )
    forecaster, given = model.forecaster(threads), source.open(dialect)
    with Bars() as bars:
        found = run(
            forecaster, given.table, trials, folds, timeout, model.seed, bars,
            **given.columns, holdout=holdout,
        )  # fmt: skip
        bars.finish("tune")
    if out is not None:
        write_atomically(out, jsonlib.dumps(found.options, indent=2) + "\n")
    for note in given.notes:
        typer.echo(f"note: {note}", err=True)
    if json:
        render.print_json(found.to_dict())
        return
    render.print_tuned(found)
    if out is not None:
        typer.echo(f"Wrote {out}")
