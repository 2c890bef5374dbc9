"""A panel in, quantiles out: what `fitting` sees of this package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from gatewise.errors import TableError, shown
from gatewise.forecast.config import Config, Progress
from gatewise.forecast.data.panel import Array, Panel, Series
from gatewise.forecast.features import season as seasons
from gatewise.forecast.features.floor import find_floor
from gatewise.forecast.features.static import StaticCode, encode_static, static_codes
from gatewise.forecast.models.base import Epoch, Training
from gatewise.forecast.models.products import tensor
from gatewise.forecast.models.residual import ensemble as en
from gatewise.forecast.models.residual import pretrained
from gatewise.forecast.models.residual.bands import aged, error_bands
from gatewise.forecast.models.residual.baseline import window_rows
from gatewise.forecast.models.residual.calibration import unit_of, unit_rows
from gatewise.forecast.models.residual.distribution import Distribution
from gatewise.forecast.models.residual.histories import (
    Histories,
    choose_scale,
    fill,
    flatten,
    targets_of,
)
from gatewise.forecast.models.residual.joint import Seasonal
from gatewise.forecast.models.residual.members import DECAYS, Plan
from gatewise.forecast.models.residual.network import Network
from gatewise.forecast.models.residual.origin_features import describe_origins
from gatewise.forecast.models.residual.recipe import CROP, STEPS_PER_EPOCH, recipe_for
from gatewise.forecast.uncertainty.paths import step_correlation


@dataclass(frozen=True, eq=False)
class ResidualModel:
    """A fitted ensemble.

    Attributes:
        ensemble: the networks and their errors.
        target: name of the target column.
        probabilities: [Q] quantiles to forecast, 0.5 among them.
        bands: [h, Q] what each quantile is away from the forecast, in units of the series' usual
            change over a season; 0 at 0.5.
        lowest: what no forecast is below; -inf for anything.
        origins: how many the networks learnt from.
        static: how each static column is coded.
    """

    ensemble: en.Ensemble
    target: str
    probabilities: tuple[float, ...]
    bands: Array
    lowest: float
    origins: int
    static: tuple[StaticCode, ...] = ()

    @property
    def season_length(self) -> int:
        """Rows per season; 1 without one."""
        return self.ensemble.plan.season_length

    @property
    def context_length(self) -> int:
        """Rows that a forecast reads: those of the first origin's window and the origins after."""
        plan = self.ensemble.plan
        return max(window_rows(plan.season_length, plan.long_season_length) + CROP, unit_rows(plan))

    @property
    def transforms(self) -> dict[str, str]:
        """Nothing is differenced: the baseline takes trend and season."""
        return {self.target: "none"}

    @property
    def networks(self) -> tuple[Network, ...]:
        """Every network."""
        return tuple(member.network for member in self.ensemble.members)

    @property
    def training(self) -> Training:
        """Mean loss over the members; there is no early stopping."""
        losses = [np.array(member.losses) for member in self.ensemble.members]
        epochs = max(map(len, losses)) // STEPS_PER_EPOCH
        nan = float("nan")
        if not epochs:
            return Training((Epoch(0, nan, nan),), 0, (self.origins, 0))
        parts = [[part.mean() for part in np.array_split(loss, epochs)] for loss in losses]
        first = Epoch(0, float(np.mean([loss[0] for loss in losses])), nan)
        mean = np.mean(parts, axis=0)
        history = (first, *(Epoch(i, float(loss), nan) for i, loss in enumerate(mean, 1)))
        return Training(history, epochs, (self.origins, len(self.ensemble.errors.values)))

    @property
    def step_correlation(self) -> Array:
        """[h, h] how the errors of steps go together."""
        return step_correlation(self.ensemble.errors.values)

    def forecast(self, panel: Panel, series: Sequence[int], ends: Sequence[int]) -> Array:
        """Quantiles [B, h, Q] in the target's unit; NaN where a series has no value yet."""
        which, when = np.asarray(series, np.intp), np.asarray(ends, np.intp)
        begins = np.array([_first(s) for s in panel.series])
        h = self.ensemble.plan.prediction_length
        made = np.full((len(which), h, len(self.probabilities)), np.nan)
        ready = np.flatnonzero(when > begins[which])
        if not len(ready):
            return made
        histories, place = self.histories(panel)
        at, end = place[which[ready]], (when - begins[which])[ready]
        if self.ensemble.plan.distribution == "empirical":
            unit = unit_of(histories, self.ensemble.plan, at, end)
            point = self.ensemble.points(histories, at, end)
            bands = aged(self.bands, histories.stale(at, end))
            quantiles = point[:, :, None] + bands * unit[:, None, None]
        else:
            quantiles = self.ensemble.quantiles(histories, at, end, self.probabilities)
        made[ready] = np.maximum(quantiles * histories.size[at, None, None], self.lowest)
        return made

    def histories(self, panel: Panel) -> tuple[Histories, NDArray[np.intp]]:
        """Return the series that have values, and for each of the panel its number among them."""
        counts = self.ensemble.plan.distribution == "negative-binomial"
        return _histories(panel, self.season_length, counts, self.static)

    def lstm_input(
        self, panel: Panel, series: int, end: int
    ) -> tuple[NDArray[np.float32], NDArray[np.intp], list[str]]:
        """What the first member's first LSTM reads: [T, 1, H], the row of each step, names [H]."""
        histories, place = self.histories(panel)
        member = self.ensemble.members[0]
        first = _first(panel.series[series])
        ends = np.arange(max(end - first - CROP + 1, 1), end - first + 1)
        at = np.full(len(ends), place[series])
        found = describe_origins(histories, member.reading, at, ends)
        with torch.no_grad():
            x = member.network.encode(tensor(found.inputs)[:, None]).numpy()
        return x, ends + first - 1, [f"unit {i + 1}" for i in range(x.shape[2])]

    def tail(self, panel: Panel) -> Panel:
        """The rows of each series that its next forecast reads; gaps are filled, but for a last."""
        tails = tuple(_tail(s, self.context_length, self.season_length) for s in panel.series)
        return replace(panel, series=tails, notes=())

    def notes(self, panel: Panel) -> list[str]:
        """What people should know of the choices made."""
        longer = self.ensemble.plan.long_season_length
        m = self.season_length
        season = f"a season of {m} rows" if m > 1 else "no season"
        season += f" and one of {longer}" if longer > 1 else ""
        scale = "logarithm" if self.ensemble.plan.scale == "log" else "values"
        n = len(self.networks)
        notes = [
            f"{'1 network forecasts' if n == 1 else f'{n} networks forecast'} what a baseline "
            f"leaves of {shown(self.target)} (its {scale}, {season})."
        ]
        if self.ensemble.errors.shrinkage < 1:
            share = f"{self.ensemble.errors.shrinkage:.0%}".replace("%", " %")
            notes.append(f"On rows they had not seen, {share} of what the networks add was best.")
        return notes


def fit(
    config: Config,
    panel: Panel,
    progress: Progress | None = None,
    related: Sequence[Panel] = (),
) -> ResidualModel:
    """Train an ensemble on a panel, and on related ones, too, if there are any.

    Raises:
        TableError: no series is long enough for the horizon.
    """
    h, season_length = config.prediction_length, config.season_length or 1
    targets = targets_of(panel)
    counts = config.distribution == "negative-binomial"
    codes = static_codes(panel)  # universal networks do not read them
    histories, _ = _histories(panel, season_length, counts, codes)
    rows = int(histories.rows.sum()) + sum(len(s.target) for p in related for s in p.series)
    plan = Plan(
        season_length,
        h,
        choose_scale(targets),
        _distribution(config, targets, panel.columns.target),
        config.ensemble_size,
        config.hidden_size or 48,
        config.num_layers or 2,
        0.2 if config.dropout is None else config.dropout,
        recipe_for(config, rows),
        static=histories.static.shape[1],
        long_season_length=config.long_season_length or 1,
    )
    if config.model == "pretrained":
        made = en.ready(pretrained.networks(config.networks), histories, plan)
        return _model(made, config, panel, targets, 0, codes)
    needed, longest = plan.reading(DECAYS[0]).least + 1, int(histories.rows.max())
    if longest < needed:
        wanted, remedy = f"{needed} to learn from", "Use more rows."
        if season_length > 1:
            wanted = f"{needed} for a season of {season_length} rows"
            remedy = "Use more rows, or season_length=1."
        raise TableError(
            f"The longest series has {longest} rows: expected at least {wanted}. {remedy}"
        )

    def tell(done: int, total: int) -> None:
        if progress is not None:
            progress("train", done, total)

    others = [_seasonal(p) for p in related]
    made = en.fit(histories, plan, others, config.jobs, tell)
    origins = min(int(np.maximum(histories.rows - needed + 1, 0).sum()), plan.origins)
    return _model(made, config, panel, targets, origins, codes)


def _distribution(config: Config, targets: Sequence[Array], name: str) -> Distribution:
    """The distribution asked for, if the target can have it.

    Raises:
        TableError: a negative binomial is asked for, and a value is no count.
    """
    if config.distribution == "negative-binomial":
        for y in targets:
            wrong = y[~np.isnan(y) & ((y < 0) | (y != np.round(y)))]
            if len(wrong):
                raise TableError(
                    f"Target {shown(name)} holds {wrong[0]:g}: expected counts, 0, 1, 2, ..., for "
                    'distribution="negative-binomial". Use "student-t" or "empirical".'
                )
    return cast(Distribution, config.distribution)


def _model(
    made: en.Ensemble,
    config: Config,
    panel: Panel,
    targets: Sequence[Array],
    origins: int,
    codes: tuple[StaticCode, ...],
) -> ResidualModel:
    floor = find_floor(targets, config.lower, panel.columns.target)
    bands = error_bands(made.errors, made.plan.longest_season, config.probabilities)
    target = panel.columns.target
    return ResidualModel(made, target, config.probabilities, bands, floor, origins, codes)


def _seasonal(panel: Panel) -> Seasonal:
    """A related panel with its own seasons.

    Raises:
        TableError: a value is negative: related panels are read as logarithms.
    """
    targets, season_length = targets_of(panel), seasons.find(panel)
    if choose_scale(targets) != "log":
        raise TableError(
            f"A related table's {shown(panel.columns.target)} is negative or often 0: expected "
            "positive values. Leave that table out."
        )
    return flatten(targets, season_length), season_length, seasons.find_longer(panel, season_length)


def _histories(
    panel: Panel, season_length: int, counts: bool, codes: Sequence[StaticCode]
) -> tuple[Histories, NDArray[np.intp]]:
    """The series that have values, and for each series of the panel its number among them."""
    has = np.array([not np.isnan(s.target).all() for s in panel.series])
    kept = [s for s, there in zip(panel.series, has, strict=True) if there]
    static = encode_static(codes, kept)
    histories = flatten([s.target for s in kept], season_length, counts, static)
    return histories, np.where(has, np.cumsum(has) - 1, 0)


def _first(series: Series) -> int:
    """The first row with a value; the number of rows if there is none."""
    seen = np.flatnonzero(~np.isnan(series.target))
    return int(seen[0]) if len(seen) else len(series)


def _tail(series: Series, count: int, season_length: int) -> Series:
    first = _first(series)
    if first == len(series):
        return series.rows(len(series) - 1, len(series))
    values = fill(series.target[first:], season_length)
    last = int(np.flatnonzero(~np.isnan(series.target[first:]))[-1])
    cut = len(values) - count
    if cut <= 0 or last - season_length >= cut:  # else the rows to fill it from are not in the tail
        values = np.where(np.arange(len(values)) > last, np.nan, values)
    filled = replace(series.rows(first, len(series)), target=values)
    return filled.rows(len(filled) - count, len(filled))
