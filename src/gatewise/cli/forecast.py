"""gatewise forecast: fit, forecast, backtest, and a report of what the cell did."""

from __future__ import annotations

from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.cli import source as s
from gatewise.cli.options import DialectOptions, ModelOptions, TableOptions, expanded
from gatewise.cli.outlook import PRETRAINED, training
from gatewise.cli.progress import Bars
from gatewise.cli.source import command_line
from gatewise.errors import ConfigError
from gatewise.files import staged_folder, write_atomically
from gatewise.sealed import model_content

if TYPE_CHECKING:
    from gatewise.forecast import Forecaster

_EXPLORER = "explorer.html"
FILES = ("forecast.csv", "model.safetensors", "report.html", _EXPLORER)


@expanded
def forecast(
    context: typer.Context,
    source: TableOptions,
    dialect: DialectOptions,
    options: ModelOptions,
    folds: Annotated[
        int | None,
        typer.Option(
            help="Rolling origins of the backtest; 0 leaves it out. Default: 8, or as many as fit."
        ),
    ] = None,
    refit_every: Annotated[
        int | None,
        typer.Option(
            help="In the backtest, fit again at every k-th origin, for this k. Default: fit once, "
            "on the rows before the first origin."
        ),
    ] = None,
    direction: s.Direction = False,
    threads: s.Threads = None,
    resume: s.Resume = None,
    model: Annotated[
        Path | None,
        typer.Option(help="Forecast with a saved model instead of fitting one."),
    ] = None,
    future: Annotated[
        Path | None,
        typer.Option(
            help="Table of the drivers known ahead. Default: TABLE's rows after its last target."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("forecast"),
    json: s.Json = False,
) -> None:
    """Forecast a table of series, backtest the forecaster, and show what its cell did.

    Writes forecast.csv, model.safetensors, a self-contained report.html, and explorer.html, in
    which the cell is seen at work.
    """
    if model is not None:
        _check_alone(context)
        model_content(model)  # whether it is there: the rest of it needs heavy imports
        s.look(source.table, future)
        _forecast_with(model, source.table, dialect, future, out, json)
        return
    source.check(future)
    s.check_counts(threads=threads, refit_every=refit_every)
    options.from_file()
    from gatewise.forecast import backtest, driver_effects
    from gatewise.forecast.data.future_rows import check_future
    from gatewise.forecast.evaluation.folds import FOLDS, NoFoldFitsError

    forecaster = options.forecaster(threads)
    if folds is not None and folds < 0:
        raise ConfigError(f"--folds is {folds}: expected 0 or more.")
    given = source.open(dialect)
    ahead = given.future if future is None else dialect.read(future)
    panel = given.panel(forecaster.config)
    check_future(panel, options.horizon, ahead)
    refit_every = refit_every or folds or FOLDS
    coming = training(forecaster.config, panel, folds, refit_every, options.horizon, more=1)
    if coming:
        typer.echo(coming, err=True)
    import_module("gatewise.explorer.page")  # now: a missing extra must not be found at the end

    with staged_folder(out) as folder, Bars() as bars:
        result, notes = None, list(given.notes)
        if folds != 0:
            bars("backtest", 0, folds or FOLDS)
            try:
                result = backtest(
                    forecaster, given.table, folds, **given.columns,
                    refit_every=refit_every, direction=direction, n_jobs=None,
                    resume=resume, progress=bars,
                )  # fmt: skip
                notes += result.notes
            except NoFoldFitsError as error:  # nobody asked for a backtest
                notes.append(f"The table is too short for a backtest, so there is none. {error}")
        forecaster.fit(given.table, **given.columns, progress=bars)
        bars.finish("train")
        forecast_table = forecaster.predict(future=ahead)
        effects = driver_effects(forecaster)
        bars("report", 0, 1)
        forecast_table.write_csv(folder / "forecast.csv")
        forecaster.save(folder / "model.safetensors")
        title = f"The next {options.horizon} rows of {given.columns['target']}"
        pages = _write_pages(
            folder, forecaster, forecast_table, result, effects, title, given.name, notes
        )
        bars("report", 1, 1)
    notes = list(dict.fromkeys([*notes, *forecaster.fitted.notes]))
    if coming and not (panel.columns.past or panel.columns.future):
        notes.append(PRETRAINED)
    _show(forecast_table, effects, result, notes, out, [*FILES[:2], *pages], json)


_OF_A_MODEL = ("table", "model", "future", "out", "json", *DialectOptions.__dataclass_fields__)


def _check_alone(context: typer.Context) -> None:
    """See that nothing is asked of a saved model that only a fit could do.

    Raises:
        BadParameter: an option is given that would be ignored.
    """
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = [name for name, source in sources.items() if source and source.name == "COMMANDLINE"]
    ignored = [f"--{name.replace('_', '-')}" for name in given if name not in _OF_A_MODEL]
    if ignored:
        raise typer.BadParameter(
            f"{', '.join(ignored)}: a saved model is not fitted again, and forecasts with its own "
            f"options. Remove {'them' if len(ignored) > 1 else 'it'}, or --model."
        )


def _write_pages(
    folder: Path,
    forecaster: Forecaster,
    table: Any,
    result: Any,
    effects: Any,
    title: str,
    source: str,
    notes: list[str],
) -> list[str]:
    """Write the report and the explorer's page; return their names. Adds to the notes."""
    from gatewise.explorer.forecast import forecaster_data
    from gatewise.explorer.page import page_of
    from gatewise.forecast.report import write_forecast

    live, written = "", ["report.html"]
    try:
        seen = forecaster_data(forecaster, forecast=table, result=result, effects=effects)
    except ConfigError as error:  # more than a page can hold: no reason to lose a forecast
        notes.append(f"There is no {_EXPLORER}. {error}")
    else:
        written.append(_EXPLORER)
        live = page_of([seen], lab=False, views=["cell", "time", "gradient", "swap"])
        write_atomically(folder / _EXPLORER, page_of([seen], command=command_line()))
    write_forecast(
        folder / "report.html",
        forecaster,
        table,
        result=result,
        effects=effects,
        title=title,
        source=source,
        command=command_line(),
        notes=notes,
        live=live,
    )
    return written


def _forecast_with(
    model: Path,
    table: Path | None,
    dialect: DialectOptions,
    future: Path | None,
    out: Path,
    json: bool,
) -> None:
    """Forecast with a saved model, from its own last rows or from a table's."""
    from gatewise.forecast import Forecaster
    from gatewise.forecast.report import write_forecast

    forecaster = Forecaster.load(model)
    history, ahead = None, None if future is None else dialect.read(future)
    if table is not None:
        columns = asdict(forecaster.fitted.tail.columns)
        history, found = s.split_ahead(dialect.read(table), columns)
        ahead = found if ahead is None else ahead
    with staged_folder(out) as folder, Bars() as bars:
        bars("forecast", 0, 1)
        forecast_table = forecaster.predict(future=ahead, history=history)
        forecast_table.write_csv(folder / "forecast.csv")
        write_forecast(
            folder / "report.html",
            forecaster,
            forecast_table,
            history=history,
            title=f"The next {forecaster.config.prediction_length} rows",
            source=f"With the saved model {model.name}",
            command=command_line(),
        )
        bars("forecast", 1, 1)
    _show(forecast_table, [], None, [], out, ("forecast.csv", "report.html"), json)


def _show(
    table: Any, effects: Any, result: Any, notes: list[str], out: Path, files: Any, json: bool
) -> None:
    from gatewise.cli import render

    for note in notes:
        typer.echo(f"note: {note}", err=True)
    written = {name: str(out / name) for name in files}
    if json:
        render.print_json(
            {
                "forecast": table.rows(named=True),
                "drivers": [asdict(e) for e in effects],
                "backtest": None if result is None else result.to_dict(),
                "files": written,
                "notes": notes,
            }
        )
        return
    render.print_forecast(table)
    render.print_drivers(effects)
    if result is not None:
        render.print_backtest(result)
    typer.echo("Wrote " + ", ".join(written.values()))
