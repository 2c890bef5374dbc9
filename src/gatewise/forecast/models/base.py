"""What every model is to the rest: how it forecasts, how it was trained, what was fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gatewise.forecast.config import Config
from gatewise.forecast.data.calendar import Calendar
from gatewise.forecast.data.panel import Array, Panel
from gatewise.forecast.data.table import read_panel


@dataclass(frozen=True, slots=True)
class Epoch:
    """Losses after an epoch: mean pinball loss of steps and quantiles, in the baseline's errors."""

    epoch: int
    train: float
    validation: float


@dataclass(frozen=True, slots=True)
class Training:
    """What training leaves.

    Attributes:
        history: losses per epoch; epoch 0 is the untrained network.
        best: the epoch whose weights were kept.
        windows: how many there were to learn from, and to stop by.
    """

    history: tuple[Epoch, ...]
    best: int
    windows: tuple[int, int]


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
    def season_length(self) -> int:
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
        """What no forecast is below; -inf for anything."""
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

    def read(self, table: Any, *, to_learn: bool = True) -> Panel:
        """Another table with the columns of the fitted one, read as that was.

        Raises:
            TableError: it cannot be used; see `data.table.read_panel`.
        """
        return read_panel(
            table, self.tail.columns, to_learn=to_learn, fill_gaps=self.config.fill_gaps,
            like=self.tail.style,
        )  # fmt: skip

    def known(self, history: Any) -> Panel:
        """The rows that a forecast is explained on: a history, read to forecast from, or its own.

        Args:
            history: a table; None for the fitted one, or its last rows in a loaded model.

        Raises:
            TableError: it cannot be used; see `read`.
        """
        if history is None:
            return self.panel or self.tail
        return self.read(history, to_learn=False)

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
