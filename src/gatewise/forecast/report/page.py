"""Figures and numbers into one self-contained page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from gatewise.files import write_atomically
from gatewise.forecast.charts import fan_chart
from gatewise.forecast.data.timestamps import column_clock
from gatewise.forecast.explain.baseline import baseline_paths
from gatewise.forecast.explain.share import lstm_share
from gatewise.forecast.report.parts import backtest_parts
from gatewise.forecast.report.sections import (
    baseline_parts,
    driver_parts,
    facts_of,
    training_picture,
)
from gatewise.page.numerals import significant
from gatewise.page.rendering import Picture, picture, render
from gatewise.page.time_axis import time_labels
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
        notes: to show with those of the fit and the backtest.
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
        fans=_fan_charts(forecaster, forecast, history, result),
        baseline=_baseline(forecaster, forecast, history),
        cell=_cell_parts(forecaster, history),
        live=live,
        drivers=driver_parts(effects),
        training=training_picture(fitted.training),
        rows=_table_rows(forecast, forecaster),
        facts=facts_of(forecaster),
        notes=list(dict.fromkeys([*notes, *told, *fitted.notes])),
    )


def _render(**values: Any) -> str:
    template = files("gatewise.forecast.report").joinpath("page.html.j2").read_text("utf-8")
    return render(template, **values)


def _columns(table: Any) -> dict[str, NDArray[Any]]:
    frame = nw.from_native(table, eager_only=True)
    return {name: frame[name].to_numpy() for name in frame.columns}


def _times(panel: Panel, forecast: Any) -> NDArray[Any]:
    """Times of the forecast's rows as the caller's clocks show them."""
    frame = nw.from_native(forecast, eager_only=True)
    return column_clock(frame[panel.columns.time], panel.style)


def _baseline(forecaster: Forecaster, forecast: Any, history: Any) -> dict[str, Any] | None:
    paths = baseline_paths(forecaster, history)
    if paths is None or not np.isfinite(paths.forecast).all():
        return None
    panel = forecaster.fitted.known(history)
    series = panel.series[0]
    past, ahead = panel.clock(series.time), _times(panel, forecast)[: len(paths.forecast)]
    return baseline_parts(past, series.target, ahead, paths, panel.columns.target)


def _fan_charts(
    forecaster: Forecaster, forecast: Any, history: Any, result: Result | None
) -> list[tuple[str, Picture]]:
    fitted, h = forecaster.fitted, forecaster.config.prediction_length
    panel = forecaster.fitted.known(history)
    columns = _columns(forecast)
    times = _times(panel, forecast)
    names = None if panel.columns.series is None else columns[panel.columns.series]
    shown = []
    for k, series in enumerate(panel.series[:_MAX_CHARTS]):
        rows = slice(None) if names is None else names == series.name
        own = {name: values[rows] for name, values in columns.items()}
        keep = slice(-max(_PAST_ROWS * h, fitted.context_length), None)
        draw = partial(
            fan_chart,
            panel.clock(series.time[keep]),
            series.target[keep],
            times[rows],
            own,
            forecaster.config.levels,
            panel.columns.target,
        )
        caption = (
            f"The latest rows of {panel.columns.target}, and the forecast of the next {h}. The "
            f"steps are rows of the table. The dashed line is the last value{_rival(result)}."
        )
        title = "" if names is None else str(series.name)
        shown.append((title, picture(draw, f"fan{k}", caption)))
    return shown


def _rival(result: Result | None) -> str:
    """What the caption of the forecast says of the rival."""
    if result is None:
        return ""
    if result.naive == "last value":
        return ", the rival of the backtest"
    return f"; the rival of the backtest is the {result.naive}"


def _cell_parts(forecaster: Forecaster, history: Any) -> dict[str, Any]:
    """What the first LSTM did over the window that made the forecast, and how much hangs on it."""
    window = forecaster.lstm_input(history)
    clock = forecaster.fitted.tail.clock(window.time)
    share = lstm_share(forecaster, history)
    seen = inspection(
        forecaster.fitted.network.lstm,
        window.x[window.padding :],
        inputs=window.names,
        time=clock if clock.dtype.kind == "M" else time_labels(clock),
        pictures=_CELL_PICTURES,
    )
    return {"share": "" if share is None else share.sentence, "seen": seen}


def _table_rows(forecast: Any, forecaster: Forecaster) -> dict[str, Any]:
    panel = forecaster.fitted.tail
    columns = _columns(forecast)
    if columns[panel.columns.time].dtype.kind == "M":
        columns[panel.columns.time] = _times(panel, forecast)  # of the caller's clocks
    cells = [
        time_labels(v)
        if v.dtype.kind == "M"
        else [significant(x, 6) if v.dtype.kind == "f" else str(x) for x in v]
        for v in columns.values()
    ]
    return {"names": list(columns), "rows": list(zip(*cells, strict=True))[:500]}
