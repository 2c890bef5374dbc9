"""Choose a model for a panel and fit it: the one path of predict, backtest and checks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from gatewise.errors import ConfigError, shown
from gatewise.forecast.config import Config, Progress
from gatewise.forecast.data.calendar import observe_all
from gatewise.forecast.data.panel import Array, Panel, Series
from gatewise.forecast.features import season as seasons
from gatewise.forecast.features.floor import floor_note
from gatewise.forecast.features.outliers import find_usual
from gatewise.forecast.models.base import Fitted
from gatewise.forecast.models.residual import model as residual
from gatewise.forecast.models.residual.calibration import MANY
from gatewise.forecast.models.window import model as windowed

_SHORT: Final = 20
"""Horizons. A table with fewer has too few windows that do not overlap to trust a linear baseline
by: on nine of twelve such tables without a season the ensemble was better (decision 12)."""


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
    ordered = sorted(map(_trimmed, panel.series), key=lambda s: _key(s.name))
    ordered = replace(panel, series=tuple(ordered))
    season_length = config.season_length or seasons.find(ordered)
    longer = seasons.beside(ordered, season_length, config.long_season_length)
    chosen = replace(config, season_length=season_length, long_season_length=longer)
    pooled = model_of(chosen, ordered) == "window"
    if not pooled:
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
        observe_all([s.time for s in panel.series], zone=panel.zone),
        model.tail(panel),
        panel,
        sum(len(s) for s in panel.series),
        time.perf_counter() - started,
        (
            *panel.notes,
            *model.notes(panel),
            *floor_note(model.lowest, config.lower),
            *_notes(panel, season_length, pooled),
        ),
    )


def model_of(config: Config, panel: Panel) -> str:
    """Return the name of the model that is fitted: the one asked for, or which suits the panel.

    Raises:
        ConfigError: the one asked for takes no drivers, and there are some.
    """
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
    h, longest = config.prediction_length, max(len(s) for s in panel.series)
    short = longest < max(_SHORT * h, windowed.least_rows(h))
    suits = short or len(panel.series) >= MANY
    return "residual" if suits or seasons.shows(panel, config.season_length or 1) else "window"


def _trimmed(series: Series) -> Series:
    """A series without the empty rows before its first value: they say nothing."""
    known = ~np.isnan(series.target)
    return series.rows(int(known.argmax()), len(series)) if known.any() else series


def _key(name: Any) -> tuple[str, Any]:
    """Names of one type by their values, of several by type."""
    return ("number", name) if isinstance(name, (int, float)) else ("text", str(name))


def _notes(panel: Panel, season_length: int, pooled: bool) -> list[str]:
    notes = []
    missing = sum(int(np.isnan(s.target).sum()) for s in panel.series)
    if missing:
        notes.append(
            f"The target is missing in {missing} row{'s' * (missing > 1)}, which nothing is learnt "
            "from."
        )
    targets = [s.target for s in panel.series]
    groups = [targets] if pooled else [[target] for target in targets]
    far = next(filter(None, (_far(group, season_length) for group in groups)), None)
    if far is not None:
        what = "it counts as missing" if pooled else "the baseline takes a usual value instead"
        notes.append(
            f"{shown(panel.columns.target)} holds {far:g}, far outside of all other values: {what}."
        )
    stale = [s.name for s in panel.series if np.isnan(s.target).all()]
    if stale:
        notes.append(f"Series without any value: {stale}.")
    return notes


def _far(targets: Sequence[Array], season_length: int) -> float | None:
    """The first value of some series that is an error of the data, if there is one."""
    usual = find_usual(targets, season_length)
    if usual is None:
        return None
    cut = next(target for target in targets if usual.only(target) is not target)
    return float(cut[(cut < usual.low) | (cut > usual.high)][0])
