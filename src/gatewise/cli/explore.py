"""gatewise explore: a page in which a trained cell is seen at work."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from gatewise.cli import source as s
from gatewise.cli.progress import Bars
from gatewise.cli.source import command_line
from gatewise.cli.subject import check_out, is_forecaster, subject_of
from gatewise.errors import ConfigError
from gatewise.files import write_atomically

_DEMO = ("sp500", 20)
"""Dataset and horizon of `make demo`."""

_ADDING_STEPS, _ADDING_ROWS = 50, 6


def explore(
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
            help="CSV or Parquet file, one row per step. A forecaster has its own; without one, an "
            "LSTM reads noise."
        ),
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
    out: Annotated[Path, typer.Option(help="File to write the page to.")] = Path("explore.html"),
    show: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = True,
    json: s.Json = False,
) -> None:
    """Write a page in which a trained cell is seen at work, and open it.

    One file that needs no server and makes no request: it holds the core, the weights, the inputs
    and the lab's results, and computes every gate, gradient, edit and training step itself.
    """
    if torch_file is not None and data is None:
        model, data = None, model
    if model is not None and torch_file is not None:
        raise typer.BadParameter("Expected MODEL or --torch, got both.")
    if steps < 0:
        raise ConfigError(f"--steps is {steps}: expected 0 or more.")
    check_out(out, model, torch_file, data)
    from gatewise.explorer.page import page_of

    with Bars() as bars:
        bars("explore", 0, 1)
        if model is None and torch_file is None:
            models, notes = [_demo(bars), _adding(bars)], []
        elif model is not None and is_forecaster(model):
            models, notes = [_forecaster(model, data, columns, time, standardise)], []
        else:
            found, notes = _lstm(
                model, torch_file, lstm, data, columns, time, steps, standardise
            )  # fmt: skip
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
    model: Path | None, torch_file: Path | None, name: str, data: Path | None, columns: str,
    time: str | None, steps: int, standardise: bool,
) -> tuple[dict[str, Any], list[str]]:  # fmt: skip
    from gatewise.explorer.model import model_data

    subject = subject_of(
        model, torch_file, name, data, columns, time, steps, standardise, noise=True
    )
    file = model or torch_file
    assert file is not None
    found = model_data(
        subject.lstm, subject.x, name=file.name,
        about=f"{subject.source}." if subject.source else "",
        inputs=subject.inputs or None, time=subject.labels,
    )  # fmt: skip
    return found, subject.notes


def _forecaster(
    model: Path, data: Path | None, columns: str, time: str | None, standardise: bool
) -> dict[str, Any]:
    from gatewise.forecast import Forecaster, read_table

    if columns or time or standardise:
        raise ConfigError(
            "A forecaster reads its table as it was fitted: expected no --columns, --time or "
            "--standardise."
        )
    history = None if data is None else read_table(data)
    forecaster = Forecaster.load(model)
    from gatewise.explorer.forecast import forecaster_data  # with the extra, which was there

    return forecaster_data(forecaster, history=history)


def _demo(bars: Bars) -> dict[str, Any]:
    """The demo's forecaster, fitted as `make demo` does; its backtest takes longer, and is not."""
    from gatewise.forecast import Forecaster, datasets, driver_effects

    dataset, horizon = _DEMO
    given = datasets.load(dataset)
    forecaster = Forecaster(horizon).fit(given.table, **given.columns, progress=bars)
    bars.finish("train")
    from gatewise.explorer.forecast import forecaster_data  # with the extra, which was there

    return forecaster_data(forecaster, effects=driver_effects(forecaster))


def _adding(bars: Bars) -> dict[str, Any]:
    """A network that has learnt to add the two marked numbers of a sequence, in some seconds."""
    import numpy as np

    from gatewise.explorer.model import model_data
    from gatewise.lab.tasks import Adding
    from gatewise.lab.training import Recipe, train

    bars("adding", 0, 1)
    task = Adding(_ADDING_STEPS)
    recipe = Recipe(
        forget_bias="chrono", longest=_ADDING_STEPS, batch_size=50, check_every=50, steps=3000
    )
    ((network, outcome),) = train(task, recipe, [0])
    batch = task.batch(np.random.default_rng(1), _ADDING_ROWS)
    bars("adding", 1, 1)
    return model_data(
        network.core, batch.x, name="adding", inputs=["number", "marker"],
        about=f"16 units that have learnt to add the two marked numbers of {_ADDING_STEPS} or a "
        f"few more; {100 * outcome.right:.0f} % of 256 unseen sequences are right. After the last "
        "number it says half of their mean plus .5, the form of Hochreiter & Schmidhuber 1997.",
        readout=network.head, outputs=["the sum, scaled"],
    )  # fmt: skip
