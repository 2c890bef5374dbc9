"""`Forecaster`: fit, predict, save, load."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import ConfigError, NotFittedError, TableError
from gatewise.forecast import storage
from gatewise.forecast.calendar import observe
from gatewise.forecast.config import Config, Options, Progress
from gatewise.forecast.fitting import Fitted, fit_panel, forecast_next
from gatewise.forecast.panel import Array, Panel, Series
from gatewise.forecast.paths import sample_paths
from gatewise.forecast.table import DEFAULT_SERIES, choose_columns, read_panel, write_table
from gatewise.forecast.timestamps import render


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


class Forecaster:
    """LSTMs that forecast quantiles of one or many series.

    A forecaster is its options; `fit` adds a network to it. The arguments are those of
    `gatewise.forecast.config.Config`, where each is described.

    Args:
        prediction_length: rows to forecast. Default 18.
        levels: prediction intervals in percent. Default (80, 95).
        seed: of the weights and batches. Default 0.
        **options: season, model, ensemble_size, distribution, context_length, transform,
            hidden_size, num_layers, dropout, max_epochs, learning_rate, batch_size, threads; see
            `Config`.

    Raises:
        ConfigError: an option is unknown or out of range.

    >>> import polars as pl
    >>> y = [10.0 + (t % 7) for t in range(80)]
    >>> f = Forecaster(prediction_length=2, max_epochs=2)
    >>> f.fit(pl.DataFrame({"ds": range(80), "y": y})).predict().columns
    ['ds', 'forecast', 'lo-80', 'hi-80', 'lo-95', 'hi-95']
    """

    def __init__(
        self,
        prediction_length: int = 18,
        levels: Sequence[float] = (80, 95),
        seed: int = 0,
        **options: Unpack[Options],
    ) -> None:
        known = Config.__dataclass_fields__
        for name in options:
            if name not in known:
                raise ConfigError(f"Unknown option {name!r}: expected one of {', '.join(known)}.")
        self._config = Config(prediction_length, tuple(levels), seed, **options)
        self._fitted: Fitted | None = None

    @property
    def config(self) -> Config:
        """The options, as one frozen value."""
        return self._config

    @property
    def is_fitted(self) -> bool:
        """Whether `fit` or `load` has been called."""
        return self._fitted is not None

    @property
    def fitted(self) -> Fitted:
        """What fitting left: the network, the transforms, the losses per epoch.

        Raises:
            NotFittedError: `fit` was not called.
        """
        if self._fitted is None:
            raise NotFittedError("The forecaster is not fitted. Call fit(table) first.")
        return self._fitted

    def fit(
        self,
        table: Any,
        time: str = "ds",
        target: str = "y",
        series: str | None = DEFAULT_SERIES,
        past: Sequence[str] = (),
        future: Sequence[str] = (),
        static: Sequence[str] = (),
        progress: Progress | None = None,
        related: Sequence[Any] = (),
    ) -> Forecaster:
        """Fit fresh networks to a table.

        Args:
            table: pandas, polars or pyarrow; one row per series and time.
            time: column of dates, datetimes, ISO text or integers.
            target: numeric column to forecast.
            series: column that tells series apart; the default may be absent.
            past: drivers known up to the present.
            future: drivers known ahead.
            static: columns constant within a series, numeric or text.
            progress: called as progress("train", done, total).
            related: other tables with these columns, of any season. Every other network then
                learns from all of them, from sums of their rows (months to quarters and years) and
                from mixtures of their series.

        Returns:
            The forecaster itself.

        Raises:
            TableError: the table cannot be used; the message says why.
            ConfigError: a column has two roles.
        """
        columns = choose_columns(
            table, time=time, target=target, series=series, past=past, future=future, static=static
        )
        others = [read_panel(other, columns) for other in related]
        self._fitted = fit_panel(self._config, read_panel(table, columns), progress, others)
        return self

    def predict(self, future: Any = None, history: Any = None) -> Any:
        """Forecast the rows after each series' last one.

        Args:
            future: table with the time, series and known-future columns of at least
                prediction_length rows per series after its end; needed if and only if the
                forecaster was fitted with `future` columns. Its times are used.
            history: table to forecast from instead of the fitted one, with the same columns.

        Returns:
            The caller's kind of table: the series column (if there is one) and the time column
            under their own names, then forecast (the median), lo-80, hi-80, lo-95, hi-95.

        Raises:
            NotFittedError: `fit` was not called.
            TableError: a table lacks rows or columns.
            ConfigError: `future` is missing or was not expected.
        """
        fitted = self.fitted
        panel = self._start(history)
        times, drivers = self._ahead(panel, future)
        values = forecast_next(fitted, panel, times, drivers)
        h, columns = self._config.prediction_length, panel.columns
        data: dict[str, Any] = {}
        if columns.series is not None:
            data[columns.series] = [s.name for s in panel.series for _ in range(h)]
        data[columns.time] = render(np.concatenate(times), panel.style, columns.time, panel.kind)
        data |= quantile_columns(values.reshape(-1, values.shape[2]), self._config)
        return write_table(data, panel.kind)

    def sample(
        self, count: int = 100, future: Any = None, history: Any = None, seed: int | None = None
    ) -> Any:
        """Draw whole paths of the rows after each series' last one.

        Each step is distributed as `predict` says; steps go together as past errors did (a Gaussian
        copula, `gatewise.forecast.paths`).

        Args:
            count: paths per series.
            future, history: as in `predict`.
            seed: of the draws; default the forecaster's.

        Returns:
            The caller's kind of table: the series column, the time column, sample (1, 2, ...) and
            value; one row per series, sample and time.

        Raises:
            ConfigError: count is below 1.
        """
        if count < 1:
            raise ConfigError(f"count is {count}: expected at least 1.")
        fitted, panel = self.fitted, self._start(history)
        times, drivers = self._ahead(panel, future)
        quantiles = forecast_next(fitted, panel, times, drivers)
        rng = np.random.default_rng(self._config.seed if seed is None else seed)
        correlation = fitted.model.step_correlation
        paths = sample_paths(quantiles, self._config.probabilities, correlation, count, rng)
        h, columns = self._config.prediction_length, panel.columns
        data: dict[str, Any] = {}
        if columns.series is not None:
            data[columns.series] = [s.name for s in panel.series for _ in range(count * h)]
        every = np.concatenate([np.tile(t, count) for t in times])
        data[columns.time] = render(every, panel.style, columns.time, panel.kind)
        data["sample"] = np.tile(np.repeat(np.arange(1, count + 1), h), len(times))
        data["value"] = np.maximum(paths, fitted.model.lowest).ravel()
        return write_table(data, panel.kind)

    def lstm_input(
        self, history: Any = None, series: Any = None, rows: int | None = None
    ) -> LstmInput:
        """What the first network's first LSTM reads at the latest origin, to trace its gates.

        Args:
            history: table to read instead of the fitted one.
            series: name of the series; default the first.
            rows: end after this many rows of the series instead of at its last.

        Raises:
            TableError: there is no such series.
        """
        fitted = self.fitted
        panel = self._start(history) if history is not None else (fitted.panel or fitted.tail)
        names = [s.name for s in panel.series]
        if series is not None and series not in names:
            raise TableError(f"There is no series {series!r}: expected one of {names[:10]}.")
        which = 0 if series is None else names.index(series)
        end = len(panel.series[which]) if rows is None else rows
        x, steps, feature_names = fitted.model.lstm_input(panel, which, end)
        inside = steps >= 0
        time = panel.series[which].time[steps[inside]]
        return LstmInput(x, int((~inside).sum()), time, feature_names, names[which])

    @classmethod
    def pretrained(
        cls,
        prediction_length: int = 18,
        networks: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> Forecaster:
        """Make a forecaster whose networks come with the package: `fit` only reads a table.

        They were trained on the training parts of M1, M3 and Tourism, and on series made of them
        (`gatewise.forecast.residual.pretraining`). `fit` finds the season, and what past forecasts
        of the table missed by, which the intervals are made of.

        Args:
            prediction_length: rows to forecast.
            networks: file of other networks, which the module above writes.
            **options: levels, season and others of `Config`.

        >>> import polars as pl
        >>> table = pl.DataFrame({"ds": range(60), "y": [20.0 + (t % 12) for t in range(60)]})
        >>> Forecaster.pretrained(3).fit(table).predict()["forecast"].round(0).to_list()
        [20.0, 21.0, 22.0]
        """
        file = None if networks is None else os.fspath(networks)
        return cls(prediction_length, model="pretrained", networks=file, **options)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted forecaster as safetensors with a JSON header, whole or not at all.

        Raises:
            NotFittedError: `fit` was not called.
            OSError: the file cannot be written.
        """
        storage.save_fitted(self.fitted, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Forecaster:
        """Read a forecaster that `save` wrote; `predict()` gives the same bits.

        Raises:
            ModelFileError: the file is missing, cut short, altered, or of another kind.
        """
        fitted = storage.load_fitted(path)
        made = cls()
        made._config, made._fitted = fitted.config, fitted
        return made

    def __repr__(self) -> str:
        state = "fitted" if self.is_fitted else "not fitted"
        return f"<Forecaster {state}, {self._config}>"

    def _start(self, history: Any) -> Panel:
        """The rows to forecast from."""
        if history is None:
            return self.fitted.tail
        panel = read_panel(history, self.fitted.tail.columns)
        return self.fitted.model.tail(panel)

    def _ahead(self, panel: Panel, future: Any) -> tuple[list[NDArray[Any]], list[Array]]:
        """Time stamps and known-future drivers of the rows to forecast, per series."""
        columns, h = panel.columns, self._config.prediction_length
        if not columns.future:
            if future is not None:
                raise ConfigError(
                    "predict got a table of future drivers, but the forecaster was fitted without: "
                    "expected none. Name the columns in fit(..., future=[...])."
                )
            times = [self._calendar_of(s).after(s.time[-1], h) for s in panel.series]
            return times, [np.empty((h, 0)) for _ in times]
        if future is None:
            raise ConfigError(
                f"The forecaster was fitted with known-future drivers {list(columns.future)}: "
                f"expected their next {h} rows per series, in predict(future=...) or --future."
            )
        given = {s.name: s for s in read_panel(future, columns, with_target=False).series}
        pairs = [_rows_after(s, given.get(s.name), h) for s in panel.series]
        return [t for t, _ in pairs], [f for _, f in pairs]

    def _calendar_of(self, series: Series) -> Any:
        fitted = self.fitted
        for known, calendar in zip(fitted.tail.series, fitted.calendars, strict=True):
            if known.name == series.name:
                return calendar
        return observe(series.time) if len(series) > 1 else fitted.calendars[0]


def quantile_columns(values: Array, config: Config) -> dict[str, Array]:
    """Columns forecast, lo-80, hi-80, ... of quantiles [rows, Q]."""
    data = {"forecast": values[:, config.probabilities.index(0.5)]}
    for level in config.levels:
        low, high = config.interval(level)
        data |= {f"lo-{level:g}": values[:, low], f"hi-{level:g}": values[:, high]}
    return data


def _rows_after(series: Series, ahead: Series | None, h: int) -> tuple[NDArray[Any], Array]:
    if ahead is None:
        raise TableError(f"The future table has no rows of series {series.name!r}: expected {h}.")
    after = ahead.time > series.time[-1]
    if after.sum() < h:
        raise TableError(
            f"The future table has {after.sum()} rows after {series.time[-1]}"
            f"{f' of series {series.name!r}' if series.name != '' else ''}: expected {h}."
        )
    return ahead.time[after][:h], ahead.future[after][:h]
