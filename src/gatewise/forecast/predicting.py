"""What a fitted forecaster says of the rows ahead: tables, paths, a chart; what its LSTM reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import ConfigError, TableError, shown
from gatewise.forecast.charts import fan_chart
from gatewise.forecast.data import streams
from gatewise.forecast.data.future_rows import check_frequency, read_future, rows_ahead
from gatewise.forecast.data.panel import Array, Panel, Series
from gatewise.forecast.data.results import quantile_columns, row_names
from gatewise.forecast.data.table import write_table
from gatewise.forecast.models.base import Fitted, forecast_next
from gatewise.forecast.notebook import html_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class LstmInput:
    """What the LSTM of a fitted forecaster reads at one origin.

    Attributes:
        x: [T, 1, F] float32, T the context length.
        padding: how many of the first steps lie before the series begins; they are all 0.
        time: [T - padding] the rows' time stamps.
        names: [F] names of the features.
        series: name of the series.
    """

    x: NDArray[np.float32]
    padding: int
    time: NDArray[Any]
    names: list[str]
    series: Any


def forecast_parts(fitted: Fitted, future: Any, history: Any) -> Iterator[Any]:
    """Yield the forecast as tables, batch by batch where the history is a stream."""
    given = _read_future(fitted, future)
    if not streams.is_stream(history):
        yield _forecast(fitted, _start(fitted, history), given)
        return
    stream = streams.open_stream(streams.scan(history), fitted.tail.columns)
    for batch in stream.batches(streams.ROWS):
        yield _forecast(fitted, _start(fitted, batch), given)


def sample(fitted: Fitted, count: int, future: Any, history: Any, seed: int | None) -> Any:
    """Return paths of the rows ahead as a table; see `Forecaster.sample`."""
    from gatewise.forecast.uncertainty.paths import sample_paths  # with scipy.stats, slow to load

    if count < 1:
        raise ConfigError(f"count is {count}: expected at least 1.")
    config, panel = fitted.config, _start(fitted, history)
    times, drivers = _rows_ahead(fitted, panel, _read_future(fitted, future))
    quantiles = forecast_next(fitted, panel, times, drivers)
    rng = np.random.default_rng(config.seed if seed is None else seed)
    correlation = fitted.model.step_correlation
    paths = sample_paths(quantiles, config.probabilities, correlation, count, rng)
    data = row_names(panel, [np.tile(t, count) for t in times])
    h = config.prediction_length
    data["sample"] = np.tile(np.repeat(np.arange(1, count + 1), h), len(times))
    data["value"] = np.maximum(paths, fitted.model.lowest).ravel()
    return write_table(data, panel.kind)


def draw(fitted: Fitted, future: Any, history: Any, series: Any) -> Figure:
    """Draw the forecast of a series; see `Forecaster.plot`."""
    panel = _start(fitted, history)
    which = _number_of(series, panel)
    times, drivers = _rows_ahead(fitted, panel, _read_future(fitted, future))
    made = quantile_columns(forecast_next(fitted, panel, times, drivers)[which], fitted.config)
    own, target = panel.series[which], panel.columns.target
    past, ahead = (panel.clock(time) for time in (own.time, times[which]))
    return fan_chart(past, own.target, ahead, made, fitted.config.levels, target)


def html(fitted: Fitted, plot: Callable[[], Figure]) -> str:
    """Show the forecast of the first series; see `Forecaster._repr_html_`."""
    facts = [
        ("rows", fitted.rows),
        ("series", len(fitted.tail.series)),
        ("networks", len(fitted.model.networks)),
        ("weights", fitted.parameters),
    ]
    told = f"fitted, forecasts {fitted.config.prediction_length} rows"
    return html_of("Forecaster", told, facts, plot, "The forecast and its intervals.")


def lstm_input(fitted: Fitted, history: Any, series: Any, rows: int | None) -> LstmInput:
    """Return what the first LSTM reads; see `Forecaster.lstm_input`."""
    panel = _start(fitted, history) if history is not None else (fitted.panel or fitted.tail)
    which = _number_of(series, panel)
    end = len(panel.series[which]) if rows is None else rows
    x, steps, names = fitted.model.lstm_input(panel, which, end)
    inside = steps >= 0
    time = panel.series[which].time[steps[inside]]
    return LstmInput(x, int((~inside).sum()), time, names, panel.series[which].name)


def _start(fitted: Fitted, history: Any) -> Panel:
    """The rows to forecast from."""
    if history is not None:
        panel = fitted.read(history, to_learn=False)
        check_frequency(fitted.tail, panel)
        return fitted.model.tail(panel)
    if not fitted.whole:
        raise ConfigError(
            f"The forecaster was fitted on {len(fitted.tail.series)} series drawn from a file "
            "that has more: expected a table to forecast from. Use predict(history=...)."
        )
    return fitted.tail


def _read_future(fitted: Fitted, future: Any) -> Mapping[Any, Series]:
    """The table of known-future drivers, by series."""
    h = fitted.config.prediction_length
    return read_future(fitted.tail, h, streams.collected(future))


def _rows_ahead(
    fitted: Fitted, panel: Panel, future: Mapping[Any, Series]
) -> tuple[list[NDArray[Any]], list[Array]]:
    """Times and known-future drivers of the rows to forecast, per series."""
    h = fitted.config.prediction_length
    return rows_ahead(fitted.tail, fitted.calendars, h, panel, future)


def _forecast(fitted: Fitted, panel: Panel, future: Mapping[Any, Series]) -> Any:
    """The forecast as a table of the panel's kind."""
    times, drivers = _rows_ahead(fitted, panel, future)
    values = forecast_next(fitted, panel, times, drivers)
    data = row_names(panel, times)
    data |= quantile_columns(values.reshape(-1, values.shape[2]), fitted.config)
    return write_table(data, panel.kind)


def _number_of(series: Any, panel: Panel) -> int:
    """The number of the series of this name, 0 for None.

    Raises:
        TableError: there is no such series.
    """
    names = [s.name for s in panel.series]
    if series is not None and series not in names:
        raise TableError(
            f"There is no series {shown(series)}: expected one of {shown(names[:10])}."
        )
    return 0 if series is None else names.index(series)
