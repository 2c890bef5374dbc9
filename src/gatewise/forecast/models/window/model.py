"""A linear baseline and one network over windows: the forecaster of tables with drivers.

Also of few series without a season. The baseline (`ridge`) reads lags, seasons and drivers; the
network (`model`) reads the last rows of the target and the drivers (`windows`) and forecasts what
the baseline leaves. Both are judged by the last rows of the training part (`train`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import TableError, shown
from gatewise.forecast.config import Config, Progress
from gatewise.forecast.data.panel import Array, Panel
from gatewise.forecast.features.floor import find_floor
from gatewise.forecast.features.transform import from_working
from gatewise.forecast.models.base import Training
from gatewise.forecast.models.window import network as model
from gatewise.forecast.models.window.encoder import Encoder, fit_encoder
from gatewise.forecast.models.window.train import Learnt, train
from gatewise.forecast.models.window.windows import MIN_CONTEXT, Windows, assemble, reach
from gatewise.forecast.uncertainty.conformal import widening
from gatewise.forecast.uncertainty.paths import step_correlation

_BATCH: Final = 4096
"""Windows per pass of the network, so that memory stays bounded."""

_LONGEST: Final = 168
"""Of longer seasons (a week of quarters of an hour) the window reads a part."""


@dataclass(frozen=True, eq=False)
class WindowModel:
    """A fitted network over windows.

    Attributes:
        config: the options it was fitted with.
        learnt: the baseline, the network (its LSTM is `network.lstm`), how it was trained.
        encoder: transforms, codes of static columns, season.
        context_length: rows the network reads.
        lowest: what no forecast is below; -inf for anything.
    """

    config: Config
    learnt: Learnt
    encoder: Encoder
    context_length: int
    lowest: float

    @property
    def network(self) -> model.Network:
        """The network."""
        return self.learnt.network

    @property
    def training(self) -> Training:
        """Losses per epoch, the epoch kept, numbers of windows."""
        return self.learnt.training

    @property
    def season_length(self) -> int:
        """Rows per season; 1 without one."""
        return self.encoder.season_length

    @property
    def transforms(self) -> dict[str, str]:
        """The transform chosen for each column, the target first."""
        return self.encoder.transforms

    @property
    def networks(self) -> tuple[model.Network, ...]:
        """Every network."""
        return (self.network,)

    @property
    def step_correlation(self) -> Array:
        """[h, h] that of a random walk: errors add up."""
        return step_correlation(np.empty((0, self.config.prediction_length)))

    def windows(self, panel: Panel, series: Sequence[int], ends: Sequence[int]) -> Windows:
        """Windows of a panel: series numbers, and for each the number of rows known, both [B]."""
        return assemble(
            self.encoder.encode(panel),
            np.asarray(series, dtype=np.intp),
            np.asarray(ends, dtype=np.intp),
            self.context_length,
            self.config.prediction_length,
        )

    def working(self, panel: Panel, series: Sequence[int], ends: Sequence[int]) -> Array:
        """Quantiles [B, h, Q] on the working scale of the target's transform."""
        starts = range(0, len(ends), _BATCH)
        made = [self.windows(panel, series[i : i + _BATCH], ends[i : i + _BATCH]) for i in starts]
        return np.concatenate(
            [w.base[:, None, None] + w.spread[:, :, None] * self.learnt.outputs(w) for w in made]
        )

    def forecast(self, panel: Panel, series: Sequence[int], ends: Sequence[int]) -> Array:
        """Quantiles [B, h, Q] in the target's unit, from origins anywhere in a panel.

        Rows at or after `ends` are read for nothing but the known-future drivers.
        """
        made = from_working(self.working(panel, series, ends), self.encoder.target_transform)
        if self.learnt.adds_up:
            made = widening(made, np.ones(made.shape[1]))
        made = made if self.encoder.spikes is None else self.encoder.spikes.release(made)
        return np.maximum(made, self.lowest)

    def lstm_input(
        self, panel: Panel, series: int, end: int
    ) -> tuple[NDArray[np.float32], NDArray[np.intp], list[str]]:
        """What the LSTM reads for a forecast: [T, 1, F], the row of each step, names [F]."""
        steps = np.arange(end - self.context_length, end)
        return self.windows(panel, [series], [end]).context, steps, self.encoder.input_names()

    def tail(self, panel: Panel) -> Panel:
        """The rows of each series that its next forecast reads."""
        rows = reach(self.encoder.seasons, self.context_length)
        tails = tuple(s.tail(rows) for s in panel.series)
        return Panel(panel.columns, tails, panel.style, panel.kind)

    def notes(self, panel: Panel) -> list[str]:
        """What people should know of the choices made."""
        notes = [
            f"{shown(name)} is read as {kind}s."
            for name, kind in self.transforms.items()
            if kind != "none"
        ]
        if self.training.best == 0:
            notes.append("No epoch beat the untrained network on the held-out rows: it was kept.")
        if self.encoder.spikes is not None:
            notes.append("The target has spikes: it is read on a scale that tames them.")
        return notes


def least_rows(prediction_length: int) -> int:
    """Rows that one series must have: to start from, to learn from, to stop by."""
    return MIN_CONTEXT + 2 * prediction_length


def fit(config: Config, panel: Panel, progress: Progress | None = None) -> WindowModel:
    """Choose transforms, build windows, fit the baseline, train.

    Raises:
        TableError: no series is long enough for the horizon.
    """
    h = config.prediction_length
    needed, longest = least_rows(h), max((len(s) for s in panel.series), default=0)
    if longest < needed:
        raise TableError(
            f"The longest series has {longest} rows: expected at least {needed} for "
            f"prediction_length={h} ({MIN_CONTEXT} to start from, {h} to learn from, {h} to stop "
            "by). Use a shorter horizon or more rows."
        )
    for s in panel.series:
        if len(s) < 2:
            raise TableError(
                f"Series {shown(s.name)} has 1 row: expected at least 2. Drop that series."
            )
    encoder = fit_encoder(panel, config.transform, config.season_length, tame=True)
    rows_of = encoder.encode(panel)
    context_length = config.context_length or _context_length(encoder, h)
    shape = model.Shape(
        inputs=len(encoder.input_names()),
        values=len(encoder.transforms),
        ahead=3 * rows_of.future + rows_of.phases.shape[1],
        static=rows_of.static.shape[1],
        recent=min(max(3, encoder.season_length + 1), context_length),
        prediction_length=h,
        probabilities=config.probabilities,
        hidden_size=config.hidden_size or 24,
        num_layers=config.num_layers or 1,
        dropout=0.1 if config.dropout is None else config.dropout,
    )
    learnt = train(shape, rows_of, context_length, config, progress)
    targets = [s.target for s in panel.series]
    if encoder.usual is not None:
        targets = [encoder.usual.only(target) for target in targets]
    floor = find_floor(targets, config.lower, panel.columns.target)
    return WindowModel(config, learnt, encoder, context_length, floor)


def _context_length(encoder: Encoder, prediction_length: int) -> int:
    """Two seasons or twice the horizon, within bounds; and the longest season, so that it tells."""
    rows = min(max(2 * encoder.season_length, 2 * prediction_length, 32), 96)
    return max([rows, *(m for m in encoder.seasons if m <= _LONGEST)])
