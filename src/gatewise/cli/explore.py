"""gatewise explore: a page in which a trained cell is seen at work."""

from __future__ import annotations

import webbrowser
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from gatewise.cli import source as s
from gatewise.cli.options import DialectOptions, expanded
from gatewise.cli.progress import Bars
from gatewise.cli.source import command_line
from gatewise.cli.subject import (
    SubjectOptions,
    check_out,
    is_forecaster,
    subject_of,
)
from gatewise.errors import ConfigError
from gatewise.files import write_atomically

_DEMO = ("sp500", 20)
"""Dataset and horizon of `make demo`."""


@expanded
def explore(
    options: SubjectOptions,
    dialect: DialectOptions,
    model: Annotated[
        Path | None,
        typer.Argument(
            help="File of gatewise.weights.save_lstm or of Forecaster.save. Default: the demo's "
            "forecaster, fitted anew, and a network that adds two numbers."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Argument(
            help="CSV, Parquet or Excel file, one row per step. A forecaster has its own; without "
            "one, an LSTM reads noise."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="File to write the page to.")] = Path("explore.html"),
    show: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = True,
    future: Annotated[
        Path | None,
        typer.Option(
            help="Of a forecaster: table of the drivers known ahead. Default: DATA's rows after "
            "its last target."
        ),
    ] = None,
    json: s.Json = False,
) -> None:
    """Write a page in which a trained cell is seen at work, and open it.

    One file that needs no server and makes no request: it holds the core, the weights, the inputs
    and the lab's results, and computes every gate, gradient, edit and training step itself.
    """
    torch_file = options.torch_file
    if torch_file is not None and data is None:
        model, data = None, model
    if model is not None and torch_file is not None:
        raise typer.BadParameter("Expected MODEL or --torch, got both.")
    options.check(model, data)
    if future is not None and (model is None or not is_forecaster(model)):
        raise ConfigError("--future is for a forecaster: expected a saved one.")
    s.look(data, future)
    check_out(out, model, torch_file, data, future)
    from gatewise.explorer.page import page_of

    with Bars() as bars:
        bars("explore", 0, 1)
        if model is None and torch_file is None:
            models, notes = _demo(bars), []
        elif model is not None and is_forecaster(model):
            models, notes = [_forecaster(model, data, future, dialect)], []
        else:
            found, notes = _lstm(model, data, options, dialect)
            models = [found]
        write_atomically(out, page_of(models, command=command_line()))
        bars("explore", 1, 1)
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    if json:
        from gatewise.cli import render

        render.print_json({"file": str(out), "notes": notes})
    else:
        typer.echo(f"Wrote {out}")
    if show:
        webbrowser.open(out.resolve().as_uri())


def _lstm(
    model: Path | None, data: Path | None, options: SubjectOptions, dialect: DialectOptions
) -> tuple[dict[str, Any], list[str]]:
    from gatewise.explorer.model import model_data

    subject = subject_of(model, data, options, dialect, noise=True)
    file = model or options.torch_file
    assert file is not None
    found = model_data(
        subject.lstm, subject.x, name=file.name,
        about=f"{subject.source}." if subject.source else "",
        inputs=subject.inputs or None, time=subject.labels,
    )  # fmt: skip
    return found, subject.notes


def _forecaster(
    model: Path, data: Path | None, future: Path | None, dialect: DialectOptions
) -> dict[str, Any]:
    from gatewise.forecast import Forecaster

    forecaster = Forecaster.load(model)
    history, ahead = None, None if future is None else dialect.read(future)
    if data is not None:
        history, found = s.split_ahead(dialect.read(data), asdict(forecaster.fitted.tail.columns))
        ahead = found if ahead is None else ahead
    from gatewise.explorer.forecast import forecaster_data  # with the extra, which was there

    return forecaster_data(forecaster, history=history, future=ahead)


def _demo(bars: Bars) -> list[dict[str, Any]]:
    """The demo's forecaster, fitted anew without its backtest, and a network that adds."""
    from gatewise.forecast import Forecaster, datasets, driver_effects

    dataset, horizon = _DEMO
    given = datasets.load(dataset)
    forecaster = Forecaster(horizon).fit(given.table, **given.columns, progress=bars)
    bars.finish("train")
    from gatewise.explorer.adding import adding_data
    from gatewise.explorer.forecast import forecaster_data  # with the extra, which was there

    bars("adding", 0, 1)
    added = adding_data()
    bars("adding", 1, 1)
    return [forecaster_data(forecaster, effects=driver_effects(forecaster)), added]
