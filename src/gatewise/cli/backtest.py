"""gatewise backtest: rolling origins against the baselines that usually win, and a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gatewise.cli import source as s
from gatewise.cli.progress import Bars
from gatewise.files import staged_folder

FILES = ("backtest.csv", "report.html")


def backtest(
    table: s.Table = None,
    dataset: s.Data = None,
    time: s.Time = None,
    target: s.Target = None,
    series: s.Series = None,
    drivers: s.Drivers = "",
    future_drivers: s.FutureDrivers = "",
    static: s.Static = "",
    horizon: s.Horizon = 18,
    levels: s.Levels = "80,95",
    folds: s.Folds = 8,
    refit_every: s.RefitEvery = 1,
    step: Annotated[
        int | None, typer.Option(help="Rows between origins. Default: the horizon.")
    ] = None,
    context_length: s.Context = None,
    transform: s.Transform = "auto",
    seed: s.Seed = 0,
    threads: s.Threads = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for backtest.csv and report.html. Default: none.")
    ] = None,
    json: s.Json = False,
) -> None:
    """Backtest the forecaster against the baselines that usually win, and say who did.

    Exits with 0 whatever the verdict is.
    """
    from gatewise.cli import render
    from gatewise.forecast import Backtest, Forecaster
    from gatewise.forecast import backtest as run
    from gatewise.forecast.report import write_backtest

    forecaster = Forecaster(
        prediction_length=horizon,
        levels=s.split_levels(levels),
        seed=seed,
        context_length=context_length,
        transform=transform,
    )
    given = s.open_source(
        table, dataset, time=time, target=target, series=series, drivers=drivers,
        future_drivers=future_drivers, static=static,
    )  # fmt: skip

    jobs = s.checked_jobs(threads, refit_every)

    def work(bars: Bars) -> Backtest:
        return run(
            forecaster, given.table, folds, **given.columns, refit_every=refit_every, step=step,
            n_jobs=jobs, progress=bars,
        )  # fmt: skip

    if out is None:
        with Bars() as bars:
            result = work(bars)
    else:
        with staged_folder(out) as folder, Bars() as bars:
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
