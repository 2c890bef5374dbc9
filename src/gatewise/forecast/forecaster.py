"""`Forecaster`: fit, predict, save, load."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

from gatewise.errors import NotFittedError
from gatewise.forecast import predicting
from gatewise.forecast.config import Config, Options, Progress, check_names
from gatewise.forecast.data import streams
from gatewise.forecast.data.table import DEFAULT_SERIES, choose_columns, read_panel
from gatewise.forecast.models import io
from gatewise.forecast.models.base import Fitted
from gatewise.forecast.models.fit import fit_panel
from gatewise.forecast.notebook import html_of
from gatewise.forecast.predicting import LstmInput

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Forecaster:
    """LSTMs that forecast quantiles of one or many series.

    A forecaster is its options; `fit` adds networks. `gatewise.forecast.config.Config` describes
    each option.

    Args:
        prediction_length: rows to forecast. Default 18.
        levels: prediction intervals in percent. Default (80, 95).
        seed: of the weights and batches. Default 0.
        **options: season_length, long_season_length, model, ensemble_size, distribution,
            context_length, transform, lower, fill_gaps, hidden_size, num_layers, dropout,
            max_epochs, learning_rate, batch_size, threads; see `Config`.

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
        check_names(options)
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

        Of a Parquet file, a folder of them, a pyarrow data set or a lazy polars frame, no more than
        `gatewise.forecast.data.streams.ROWS` rows are read: whole series, drawn by the seed. Such a
        forecaster learns from at most 200,000 origins in any case. A note says how many were read.

        Args:
            table: pandas, polars or pyarrow; one row per series and time. Or a path (CSV or
                Parquet), a folder of Parquet files, a lazy polars frame, a pyarrow data set.
            time: column of dates, datetimes, ISO text or integers.
            target: numeric column to forecast.
            series: column that tells series apart; the default may be absent.
            past: drivers known up to the present.
            future: drivers known ahead.
            static: columns constant within a series, numeric or text. Only the 32 most frequent
                values of a text column are used; all others count as unknown.
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
        rows = streams.scan(table) if streams.is_stream(table) else None
        columns = choose_columns(
            table if rows is None else rows.head(1).collect(),
            time=time, target=target, series=series, past=past, future=future, static=static,
        )  # fmt: skip
        keep = self._config.fill_gaps
        others = [read_panel(other, columns, fill_gaps=keep) for other in related]
        if rows is None:
            panel = read_panel(table, columns, fill_gaps=keep)
            self._fitted = fit_panel(self._config, panel, progress, others)
            return self
        stream = streams.open_stream(rows, columns)
        some, note = stream.sample(streams.ROWS, self._config.seed)
        panel = read_panel(some, columns, fill_gaps=keep)
        fitted = fit_panel(self._config, panel, progress, others)
        told = replace(fitted, whole=False, notes=(note, *fitted.notes)) if note else fitted
        self._fitted = told
        return self

    def predict(
        self, future: Any = None, history: Any = None, out: str | os.PathLike[str] | None = None
    ) -> Any:
        """Forecast the rows after each series' last one.

        A history that is a path, a lazy frame or a data set is gone through by series, in order of
        their names, at most `gatewise.forecast.data.streams.ROWS` rows at a time (or one series).

        Args:
            future: table with the time, series and known-future columns of at least
                prediction_length rows per series after its end; needed if and only if the
                forecaster was fitted with `future` columns. Its times are used.
            history: table to forecast from instead of the fitted one, with the same columns; also
                anything that `fit` takes.
            out: Parquet file to write the forecast to; with a history that is read in parts, no
                more than one part of it is in memory.

        Returns:
            The caller's kind of table: the series column (if there is one) and the time column
            under their own names, then forecast (the median), lo-80, hi-80, lo-95, hi-95. Paths and
            lazy frames give polars, data sets pyarrow. With `out`, its path.

        Raises:
            NotFittedError: `fit` was not called.
            TableError: a table lacks rows or columns, or is of another frequency.
            ConfigError: `future` is missing or was not expected.
            OSError: `out` cannot be written.
        """
        parts = predicting.forecast_parts(self.fitted, future, history)
        return streams.joined(parts, history) if out is None else streams.write_parquet(parts, out)

    def sample(
        self, count: int = 100, future: Any = None, history: Any = None, seed: int | None = None
    ) -> Any:
        """Draw whole paths of the rows after each series' last one.

        Each step is distributed as `predict` says; steps go together as past errors did (a Gaussian
        copula, `gatewise.forecast.uncertainty.paths`).

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
        return predicting.sample(self.fitted, count, future, history, seed)

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
        return predicting.lstm_input(self.fitted, history, series, rows)

    @classmethod
    def pretrained(
        cls,
        prediction_length: int = 18,
        networks: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> Forecaster:
        """Make a forecaster whose networks come with the package: `fit` only reads a table.

        They were trained on the training parts of M1, M3 and Tourism, and on series made of them
        (`gatewise.forecast.models.residual.pretraining`). `fit` finds the season, and what past
        forecasts of the table missed by, which the intervals are made of.

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

    def plot(self, future: Any = None, history: Any = None, series: Any = None) -> Figure:
        """Draw the latest rows of a series and its forecast with intervals.

        Args:
            future, history: as in `predict`. Default None.
            series: name of the series; default the first.

        Returns:
            A matplotlib figure of one panel; the target's unit is on the y axis.

        Raises:
            NotFittedError: `fit` was not called.
            TableError: there is no such series.
            ConfigError: `future` is missing or was not expected.
            MissingExtraError: matplotlib is not installed.

        >>> import polars as pl
        >>> table = pl.DataFrame({"ds": range(60), "y": [20.0 + (t % 12) for t in range(60)]})
        >>> Forecaster.pretrained(3).fit(table).plot().axes[0].get_ylabel()
        'y'
        """
        return predicting.draw(self.fitted, future, history, series)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted forecaster as safetensors with a JSON header, whole or not at all.

        Raises:
            NotFittedError: `fit` was not called.
            OSError: the file cannot be written.
        """
        io.save_fitted(self.fitted, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Forecaster:
        """Read a forecaster that `save` wrote; `predict()` gives the same bits.

        Raises:
            ModelFileError: the file is missing, cut short, altered, or of another kind.
        """
        fitted = io.load_fitted(path)
        made = cls()
        made._config, made._fitted = fitted.config, fitted
        return made

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the options by name, as scikit-learn asks for them; `deep` changes nothing."""
        return {name: getattr(self._config, name) for name in Config.__dataclass_fields__}

    def set_params(self, **options: Any) -> Forecaster:
        """Change options, as scikit-learn does it; they hold from the next `fit` on.

        Raises:
            ConfigError: an option is unknown or out of range.
        """
        self._config = type(self)(**(self.get_params() | options))._config
        return self

    def __repr__(self) -> str:
        state = "fitted" if self.is_fitted else "not fitted"
        return f"<Forecaster {state}, {self._config}>"

    def _repr_html_(self) -> str:
        """Show the options and, if fitted, the forecast of the first series, in a notebook."""
        if self._fitted is None:
            return html_of("Forecaster", f"not fitted, {self._config}")
        return predicting.html(self._fitted, self.plot)
