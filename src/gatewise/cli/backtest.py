"""gatewise backtest: rolling origins against the baselines that usually win, and a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gatewise.cli import source as s
from gatewise.cli.options import DialectOptions, ModelOptions, TableOptions, expanded
from gatewise.cli.outlook import training
from gatewise.cli.progress import Bars
from gatewise.files import staged_folder

FILES = ("backtest.csv", "report.html")


@expanded
def backtest(
    source: TableOptions,
    dialect: DialectOptions,
    model: ModelOptions,
    folds: s.Folds = None,
    refit_every: s.RefitEvery = 1,
    step: Annotated[
        int | None, typer.Option(help="Rows between origins. Default: the horizon.")
    ] = None,
    direction: s.Direction = False,
    threads: s.Threads = None,
    resume: s.Resume = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for backtest.csv and report.html. Default: none.")
    ] = None,
    json: s.Json = False,
) -> None:
    """Backtest the forecaster against the baselines that usually win, and say who did.

    Exits with 0 whatever the verdict is.
    """
    source.check()
    s.check_counts(threads=threads, refit_every=refit_every, folds=folds, step=step)
    model.from_file()
    from gatewise.cli import render
    from gatewise.forecast import Backtest
    from gatewise.forecast import backtest as run
    from gatewise.forecast.report import write_backtest

    forecaster, given = model.forecaster(threads), source.open(dialect)
    config = forecaster.config
    if coming := training(config, given.panel(config), folds, refit_every, step or model.horizon):
        typer.echo(coming, err=True)

    def work(bars: Bars) -> Backtest:
        return run(
            forecaster, given.table, folds, **given.columns, refit_every=refit_every, step=step,
            direction=direction, n_jobs=None, resume=resume, progress=bars,
        )  # fmt: skip

    hint = "" if resume is None else " The same command goes on from the finished folds."
    if out is None:
        with Bars(hint) as bars:
            result = work(bars)
    else:
        with staged_folder(out) as folder, Bars(hint) as bars:
            result = work(bars)
            result.forecasts.write_csv(folder / "backtest.csv")
            write_backtest(result, folder / "report.html", given.name, s.command_line())
    for note in [*given.notes, *result.notes]:
        typer.echo(f"note: {note}", err=True)
    if json:
        render.print_json(result.to_dict())
        return
    render.print_backtest(result)
    if out is not None:
        typer.echo("Wrote " + ", ".join(str(out / name) for name in FILES))
