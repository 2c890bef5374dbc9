"""Fit a panel, forecast any panel at any origin: the one path of predict, backtest and checks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import TableError
from gatewise.forecast import model
from gatewise.forecast.calendar import Calendar, observe
from gatewise.forecast.config import Config, Progress
from gatewise.forecast.features import Encoder, fit_encoder
from gatewise.forecast.panel import Array, Panel, forward_fill
from gatewise.forecast.train import Training, train
from gatewise.forecast.transform import from_working
from gatewise.forecast.windows import MIN_CONTEXT, Windows, assemble

_BATCH: Final = 4096
"""Windows per pass of the network, so that memory stays bounded."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted network with everything that a forecast needs.

    Attributes:
        config: the options it was fitted with.
        network: `Network`; its LSTM is `network.lstm`.
        encoder: transforms, codes of static columns, season.
        context_length: rows the network reads.
        training: losses per epoch, the epoch kept, numbers of windows.
        calendars: of each series, in the order of `tail.series`.
        tail: the last rows of each series: what the next forecast starts from.
        panel: the whole fitted table; None in a loaded model.
        rows: how many rows, over all series, it was fitted on.
        seconds: how long that took.
        notes: what was done to the table, for people to read.
    """

    config: Config
    network: model.Network
    encoder: Encoder
    context_length: int
    training: Training
    calendars: tuple[Calendar, ...]
    tail: Panel
    panel: Panel | None
    rows: int
    seconds: float
    notes: tuple[str, ...]

    @property
    def transforms(self) -> dict[str, str]:
        """The transform chosen for each column, the target first."""
        return self.encoder.transforms

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
        """Number of weights."""
        return sum(p.numel() for p in self.network.parameters())


def fit_panel(config: Config, panel: Panel, progress: Progress | None = None) -> Fitted:
    """Choose transforms, build windows, train.

    Args:
        config: the options.
        panel: the rows to fit; nothing outside is seen.
        progress: called as progress("train", epoch, max_epochs).

    Raises:
        TableError: no series is long enough for the horizon.
    """
    started = time.perf_counter()
    h = config.prediction_length
    needed, longest = MIN_CONTEXT + 2 * h, max((len(s) for s in panel.series), default=0)
    if longest < needed:
        raise TableError(
            f"The longest series has {longest} rows: expected at least {needed} for "
            f"prediction_length={h} ({MIN_CONTEXT} to start from, {h} to learn from, {h} to stop "
            "by). Use a shorter horizon or more rows."
        )
    for s in panel.series:
        if len(s) < 2:
            raise TableError(f"Series {s.name!r} has 1 row: expected at least 2. Drop that series.")
    encoder = fit_encoder(panel, config.transform)
    rows_of = encoder.encode(panel)
    context_length = config.context_length or min(max(2 * encoder.season, 2 * h, 32), 96)
    names = encoder.input_names()
    shape = model.Shape(
        inputs=len(names),
        values=len(encoder.transforms),
        ahead=3 * rows_of.future + rows_of.phases.shape[1],
        static=rows_of.static.shape[1],
        recent=min(max(3, encoder.season + 1), context_length),
        prediction_length=h,
        probabilities=config.probabilities,
        hidden_size=config.hidden_size,
        num_layers=config.num_layers,
        dropout=config.dropout,
    )
    network, training = train(shape, rows_of, context_length, config, progress)
    return Fitted(
        config,
        network,
        encoder,
        context_length,
        training,
        tuple(observe(s.time) for s in panel.series),
        shortened(panel, context_length),
        panel,
        sum(len(s) for s in panel.series),
        time.perf_counter() - started,
        (*panel.notes, *_notes(panel, encoder, training)),
    )


def windows_at(fitted: Fitted, panel: Panel, series: Sequence[int], ends: Sequence[int]) -> Windows:
    """Windows of a panel: series numbers, and for each the number of rows known, both [B]."""
    return assemble(
        fitted.encoder.encode(panel),
        np.asarray(series, dtype=np.intp),
        np.asarray(ends, dtype=np.intp),
        fitted.context_length,
        fitted.config.prediction_length,
    )


def forecast_at(
    fitted: Fitted, panel: Panel, series: Sequence[int], ends: Sequence[int]
) -> NDArray[np.float64]:
    """Quantiles [B, h, Q] on the working scale, from origins anywhere in a panel.

    Rows at or after `ends` are read for nothing but the known-future drivers.
    """
    starts = range(0, len(ends), _BATCH)
    made = [windows_at(fitted, panel, series[i : i + _BATCH], ends[i : i + _BATCH]) for i in starts]
    return np.concatenate([model.quantiles(fitted.network, w) for w in made])


def forecast_next(
    fitted: Fitted, panel: Panel, times: Sequence[NDArray[np.generic]], future: Sequence[Array]
) -> Array:
    """Quantiles [S, h, Q] in the target's own unit for the rows after each series' last one."""
    longer = tuple(s.extended(t, f) for s, t, f in zip(panel.series, times, future, strict=True))
    ends = [len(s) for s in panel.series]
    extended = Panel(panel.columns, longer, panel.style, panel.kind)
    working = forecast_at(fitted, extended, range(len(ends)), ends)
    return from_working(working, fitted.encoder.target_transform)


def shortened(panel: Panel, context_length: int) -> Panel:
    """The rows of each series that its next window reads."""
    tails = tuple(s.tail(context_length) for s in panel.series)
    return Panel(panel.columns, tails, panel.style, panel.kind)


def _notes(panel: Panel, encoder: Encoder, training: Training) -> list[str]:
    notes = []
    for name, kind in encoder.transforms.items():
        if kind != "none":
            notes.append(f"{name!r} is read as {kind}s.")
    missing = sum(int(np.isnan(s.target).sum()) for s in panel.series)
    if missing:
        notes.append(
            f"The target is missing in {missing} rows: they stay, and are not learnt from."
        )
    stale = [s.name for s in panel.series if np.isnan(forward_fill(s.target)[-1])]
    if stale:
        notes.append(f"Series without any value: {stale}.")
    if training.best == 0:
        notes.append("No epoch beat the untrained network on the held-out rows: it was kept.")
    return notes
