"""Figures and numbers into one self-contained page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import narwhals as nw
from numpy.typing import NDArray

from gatewise.files import write_atomically
from gatewise.forecast.data.timestamps import column_labels, time_labels
from gatewise.forecast.explain.drivers import NEGLIGIBLE
from gatewise.forecast.explain.share import lstm_share
from gatewise.forecast.report import figures
from gatewise.forecast.report.parts import backtest_parts
from gatewise.page.rendering import Picture, picture, render
from gatewise.trace.inspection import inspection

if TYPE_CHECKING:
    from gatewise.forecast.data.panel import Panel
    from gatewise.forecast.evaluation.result import Result
    from gatewise.forecast.explain.drivers import DriverEffect
    from gatewise.forecast.forecaster import Forecaster

_PAST_ROWS = 6  # rows of the past in the fan chart, in horizons
_MAX_CHARTS = 6  # series with a fan chart
_CELL_PICTURES = ("gates", "attention", "memory", "gradient")


def write_forecast(
    path: str | os.PathLike[str],
    forecaster: Forecaster,
    forecast: Any,
    *,
    history: Any = None,
    result: Result | None = None,
    effects: Sequence[DriverEffect] = (),
    title: str = "Forecast",
    source: str = "",
    command: str = "",
    notes: Sequence[str] = (),
    live: str = "",
) -> None:
    """Write the page of a forecast; see `forecast_page`.

    Raises:
        OSError: the file cannot be written.
    """
    page = forecast_page(
        forecaster,
        forecast,
        history=history,
        result=result,
        effects=effects,
        title=title,
        source=source,
        command=command,
        notes=notes,
        live=live,
    )
    write_atomically(path, page)


def write_backtest(
    result: Result, path: str | os.PathLike[str], source: str = "", command: str = ""
) -> None:
    """Write the page of a backtest.

    Args:
        result: what `backtest` returned.
        path: the file; written whole or not at all.
        source: where the table comes from.
        command: that repeats it.

    Raises:
        OSError: the file cannot be written.
    """
    parts = backtest_parts(result) | {"notes": result.notes}
    write_atomically(path, _render(title="Backtest", source=source, command=command, **parts))


def forecast_page(
    forecaster: Forecaster,
    forecast: Any,
    *,
    history: Any = None,
    result: Result | None = None,
    effects: Sequence[DriverEffect] = (),
    title: str = "Forecast",
    source: str = "",
    command: str = "",
    notes: Sequence[str] = (),
    live: str = "",
) -> str:
    """Return the page of a forecast.

    Args:
        forecaster: fitted.
        forecast: what its `predict` returned.
        history: the table that was forecast from, if it is not the fitted one.
        result: a backtest of the same forecaster, if there is one.
        effects: what `driver_effects` returned.
        title: of the page.
        source: where the table comes from.
        command: that repeats it.
        notes: to show beside those of the fit and the backtest.
        live: a page of `gatewise.explorer` to show in it.
    """
    fitted = forecaster.fitted
    told = () if result is None else result.notes
    parts: dict[str, Any] = {} if result is None else backtest_parts(result)
    return _render(
        title=title,
        source=source,
        command=command,
        **parts,
        fans=_fan_charts(forecaster, forecast, history),
        cell=_cell_parts(forecaster, history),
        live=live,
        drivers=_driver_parts(effects),
        training=picture(
            figures.training_chart(fitted.training),
            "training",
            "Losses per epoch, the mean over all networks. Where some of the last rows are held "
            "back, the weights that forecast them best are kept.",
        ),
        rows=_table_rows(forecast, forecaster),
        facts=_facts(forecaster),
        notes=list(dict.fromkeys([*notes, *told, *fitted.notes])),
    )


def _render(**values: Any) -> str:
    template = files("gatewise.forecast.report").joinpath("page.html.j2").read_text("utf-8")
    return render(template, **values)


def _columns(table: Any) -> dict[str, NDArray[Any]]:
    frame = nw.from_native(table, eager_only=True)
    return {name: frame[name].to_numpy() for name in frame.columns}


def _fan_charts(forecaster: Forecaster, forecast: Any, history: Any) -> list[tuple[str, Picture]]:
    fitted, h = forecaster.fitted, forecaster.config.prediction_length
    panel = _shown_panel(forecaster, history)
    columns = _columns(forecast)
    frame = nw.from_native(forecast, eager_only=True)
    times = column_labels(frame[panel.columns.time], panel.style)
    names = columns.get(panel.columns.series or "")
    shown = []
    for k, series in enumerate(panel.series[:_MAX_CHARTS]):
        rows = slice(None) if names is None else names == series.name
        own = {name: values[rows] for name, values in columns.items()}
        keep = slice(-max(_PAST_ROWS * h, fitted.context_length), None)
        figure = figures.fan_chart(
            time_labels(panel.clock(series.time[keep])),
            series.target[keep],
            times[rows],
            own,
            forecaster.config.levels,
            panel.columns.target,
        )
        caption = (
            f"{panel.columns.target} and the {h} rows after it. Each step is a row of the observed "
            "calendar. The dashed line is the last value: the forecast to beat."
        )
        title = "" if names is None else str(series.name)
        shown.append((title, picture(figure, f"fan{k}", caption)))
    return shown


def _shown_panel(forecaster: Forecaster, history: Any) -> Panel:
    fitted = forecaster.fitted
    if history is not None:
        return fitted.read(history)
    return fitted.panel or fitted.tail


def _cell_parts(forecaster: Forecaster, history: Any) -> dict[str, Any]:
    """What the first LSTM did over the window that made the forecast, and how much hangs on it."""
    window = forecaster.lstm_input(history)
    share = lstm_share(forecaster, history)
    seen = inspection(
        forecaster.fitted.network.lstm,
        window.x[window.padding :],
        inputs=window.names,
        time=time_labels(forecaster.fitted.tail.clock(window.time)),
        pictures=_CELL_PICTURES,
    )
    return {"share": "" if share is None else share.sentence, "seen": seen}


def _driver_parts(effects: Sequence[DriverEffect]) -> dict[str, Any] | None:
    if not effects:
        return None
    caption = (
        "Change of the next row's forecast when one driver is raised by one standard deviation of "
        "its window, per lag; the dot is the strongest lag with its 95 % interval."
    )
    return {
        "negligible": NEGLIGIBLE,
        "picture": picture(figures.drivers_chart(effects), "drivers", caption),
        "rows": [
            {
                "name": e.name,
                "kind": e.kind,
                "sign": {"+": "+", "-": "−"}.get(e.sign, e.sign),
                "lag": e.lag,
                "effect": f"{e.effect:+.3f}",
                "interval": f"{e.low:+.3f} to {e.high:+.3f}",
            }
            for e in effects
        ],
    }


def _table_rows(forecast: Any, forecaster: Forecaster) -> dict[str, Any]:
    columns = _columns(forecast)
    style = time_labels
    cells = [
        style(v)
        if v.dtype.kind == "M"
        else [f"{x:.6g}" if v.dtype.kind == "f" else str(x) for x in v]
        for v in columns.values()
    ]
    return {"names": list(columns), "rows": list(zip(*cells, strict=True))[:500]}


def _facts(forecaster: Forecaster) -> list[tuple[str, str]]:
    fitted = forecaster.fitted
    return [
        ("rows", f"{fitted.rows:,}"),
        ("series", f"{len(fitted.tail.series):,}"),
        ("horizon", f"{forecaster.config.prediction_length} rows"),
        ("context", f"{fitted.context_length} rows"),
        ("parameters", f"{fitted.parameters:,}"),
        ("epochs", f"{fitted.epochs}, kept {fitted.training.best}"),
        ("training time", f"{fitted.seconds:.1f} s"),
        ("seed", str(fitted.seed)),
        *((f"transform of {name}", kind) for name, kind in fitted.transforms.items()),
    ]
