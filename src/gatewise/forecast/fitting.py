"""Fit a panel, forecast any panel at any origin: the one path of predict, backtest and checks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import ConfigError
from gatewise.forecast import season as seasons
from gatewise.forecast import windowed
from gatewise.forecast.calendar import Calendar, observe_all
from gatewise.forecast.config import Config, Progress
from gatewise.forecast.panel import Array, Panel
from gatewise.forecast.residual import model as residual
from gatewise.forecast.residual.unseen import MANY
from gatewise.forecast.train import Training


class Model(Protocol):
    """What a fitted forecaster forecasts with."""

    @property
    def networks(self) -> tuple[Any, ...]:
        """Every network, each with an `lstm`."""
        ...

    @property
    def training(self) -> Training:
        """Losses per epoch."""
        ...

    @property
    def transforms(self) -> dict[str, str]:
        """The transform of each column, the target first."""
        ...

    @property
    def season(self) -> int:
        """Rows per season; 1 without one."""
        ...

    @property
    def context_length(self) -> int:
        """Rows that a forecast reads."""
        ...

    @property
    def step_correlation(self) -> Array:
        """[h, h] how the errors of steps go together."""
        ...

    @property
    def lowest(self) -> float:
        """What the target cannot be below."""
        ...

    def forecast(self, panel: Panel, series: Sequence[int], ends: Sequence[int]) -> Array:
        """Quantiles [B, h, Q] in the target's unit, from origins anywhere in a panel.

        Rows at or after `ends` are read for nothing but the known-future drivers.
        """
        ...

    def lstm_input(
        self, panel: Panel, series: int, end: int
    ) -> tuple[NDArray[np.float32], NDArray[np.intp], list[str]]:
        """What the first LSTM reads for a forecast: [T, 1, F], the row of each step, names [F]."""
        ...

    def tail(self, panel: Panel) -> Panel:
        """The rows of each series that its next forecast reads."""
        ...

    def notes(self, panel: Panel) -> list[str]:
        """What people should know of the choices made."""
        ...


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted model with everything that a forecast needs.

    Attributes:
        config: the options it was fitted with.
        model: a `WindowModel` or a `ResidualModel`.
        calendars: of each series, in the order of `tail.series`.
        tail: the last rows of each series: what the next forecast starts from.
        panel: the whole fitted table; None in a loaded model.
        rows: how many rows, over all series, it was fitted on.
        seconds: how long that took.
        notes: what was done to the table, for people to read.
        whole: whether `tail` holds every series of the table; False if it was drawn from a file.
    """

    config: Config
    model: Model
    calendars: tuple[Calendar, ...]
    tail: Panel
    panel: Panel | None
    rows: int
    seconds: float
    notes: tuple[str, ...]
    whole: bool = True

    @property
    def training(self) -> Training:
        """Losses per epoch."""
        return self.model.training

    @property
    def transforms(self) -> dict[str, str]:
        """The transform chosen for each column, the target first."""
        return self.model.transforms

    @property
    def context_length(self) -> int:
        """Rows that a forecast reads."""
        return self.model.context_length

    @property
    def network(self) -> Any:
        """The first network; its LSTM is `network.lstm`."""
        return self.model.networks[0]

    @property
    def seed(self) -> int:
        """Seed of the weights and the batches."""
        return self.config.seed

    @property
    def epochs(self) -> int:
        """Epochs that were run; `training.best` is the one whose weights were kept."""
        return len(self.training.history) - 1

    @property
    def parameters(self) -> int:
        """Number of weights, of all networks."""
        return sum(p.numel() for network in self.model.networks for p in network.parameters())


def fit_panel(
    config: Config,
    panel: Panel,
    progress: Progress | None = None,
    related: Sequence[Panel] = (),
) -> Fitted:
    """Choose a model for a panel, and fit it.

    The order of the series does not matter.

    Args:
        config: the options.
        panel: the rows to fit; nothing outside is seen.
        progress: called as progress("train", done, total).
        related: other panels to learn from; for a residual model.

    Raises:
        TableError: no series is long enough for the horizon.
        ConfigError: the model takes no drivers, and there are some; or no related panels; or the
            long season is no multiple of the season found.
    """
    started = time.perf_counter()
    ordered = replace(panel, series=tuple(sorted(panel.series, key=lambda s: _key(s.name))))
    season = config.season or seasons.find(ordered)
    longer = seasons.beside(ordered, season, config.long_season)
    chosen = replace(config, season=season, long_season=longer)
    if _kind(chosen, ordered) != "window":
        model = residual.fit(chosen, ordered, progress, related)
    elif related:
        raise ConfigError(
            "A window model learns from one table: expected no related ones. Leave them out, or "
            'use model="residual".'
        )
    else:
        model = windowed.fit(chosen, ordered, progress)
    return Fitted(
        config,
        model,
        observe_all([s.time for s in panel.series]),
        model.tail(panel),
        panel,
        sum(len(s) for s in panel.series),
        time.perf_counter() - started,
        (*panel.notes, *model.notes(panel), *_notes(panel)),
    )


def forecast_at(
    fitted: Fitted, panel: Panel, series: Sequence[int], ends: Sequence[int]
) -> NDArray[np.float64]:
    """Quantiles [B, h, Q] in the target's unit, from origins anywhere in a panel.

    Rows at or after `ends` are read for nothing but the known-future drivers.
    """
    return fitted.model.forecast(panel, series, ends)


def forecast_next(
    fitted: Fitted, panel: Panel, times: Sequence[NDArray[np.generic]], future: Sequence[Array]
) -> Array:
    """Quantiles [S, h, Q] in the target's own unit for the rows after each series' last one."""
    longer = tuple(s.extended(t, f) for s, t, f in zip(panel.series, times, future, strict=True))
    ends = [len(s) for s in panel.series]
    extended = Panel(panel.columns, longer, panel.style, panel.kind)
    return forecast_at(fitted, extended, range(len(ends)), ends)


def _kind(config: Config, panel: Panel) -> str:
    """Which model suits a panel, if the options leave it open."""
    drivers = [*panel.columns.past, *panel.columns.future]
    if config.model in ("residual", "pretrained") and drivers:
        raise ConfigError(
            f'model="{config.model}" takes no drivers, and there are {drivers}: expected none. '
            'Use model="window", or leave it out.'
        )
    if config.model != "auto":
        return config.model
    if drivers:
        return "window"
    short = max(len(s) for s in panel.series) < windowed.least_rows(config.prediction_length)
    suits = short or len(panel.series) >= MANY
    return "residual" if suits or seasons.shows(panel, config.season or 1) else "window"


def _key(name: Any) -> tuple[str, Any]:
    """Names of one type by their values, of several by type."""
    return ("number", name) if isinstance(name, (int, float)) else ("text", str(name))


def _notes(panel: Panel) -> list[str]:
    notes = []
    missing = sum(int(np.isnan(s.target).sum()) for s in panel.series)
    if missing:
        notes.append(
            f"The target is missing in {missing} rows: they stay, and are not learnt from."
        )
    stale = [s.name for s in panel.series if np.isnan(s.target).all()]
    if stale:
        notes.append(f"Series without any value: {stale}.")
    return notes
