"""The baseline of an ensemble, taken apart: level, slope and season of the latest forecast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gatewise.forecast.data.panel import Array
from gatewise.forecast.models.residual.baseline import from_working
from gatewise.forecast.models.residual.model import ResidualModel
from gatewise.forecast.models.residual.origin_features import baseline_of

if TYPE_CHECKING:
    from gatewise.forecast.forecaster import Forecaster


@dataclass(frozen=True, eq=False)
class BaselinePaths:
    """What the baseline forecasts, part by part, and what the networks make of it.

    All arrays are [h], in the target's unit. The networks of an ensemble read the past in a few
    ways, and so have a few baselines: these are the medians over all networks, as the forecast is.

    Attributes:
        level: the smoothed level alone.
        with_slope: level and slope.
        with_season: level, slope and season: the whole baseline.
        forecast: the median forecast.
    """

    level: Array
    with_slope: Array
    with_season: Array
    forecast: Array

    @property
    def added(self) -> float:
        """Mean distance of the forecast from the baseline: what the networks add."""
        return float(np.abs(self.forecast - self.with_season).mean())


def baseline_paths(forecaster: Forecaster, history: Any = None) -> BaselinePaths | None:
    """Return the baseline of the latest forecast of the first series, part by part.

    Args:
        forecaster: fitted.
        history: as in `Forecaster.lstm_input`.

    Returns:
        None where the forecaster is no ensemble over a baseline, or the series has no value.

    >>> import polars as pl
    >>> from gatewise.forecast import Forecaster
    >>> table = pl.DataFrame({"ds": range(80), "y": [20.0 + t % 4 for t in range(80)]})
    >>> paths = baseline_paths(Forecaster.pretrained(4, season_length=4).fit(table))
    >>> paths.level.round(1).tolist(), paths.with_season.round(1).tolist()
    ([21.5, 21.5, 21.5, 21.5], [20.0, 21.0, 22.0, 23.0])
    """
    fitted = forecaster.fitted
    model = fitted.model
    if not isinstance(model, ResidualModel):
        return None
    panel = fitted.known(history)
    target = panel.series[0].target
    seen = np.flatnonzero(~np.isnan(target))
    if not len(seen):
        return None
    histories, place = model.histories(panel)
    series, ends = place[:1], np.array([len(target) - seen[0]])
    h = model.ensemble.plan.prediction_length
    readings = [member.reading for member in model.ensemble.members]
    made = {}
    for reading in dict.fromkeys(readings):
        found = baseline_of(histories, reading, series, ends)
        z = np.cumsum([part[0] for part in found.parts(h)], axis=0)
        made[reading] = from_working(z, found.centre, found.level, reading.scale)
    paths = np.median([made[reading] for reading in readings], axis=0)
    paths = np.maximum(paths * histories.size[series[0]], model.lowest)
    quantiles = model.forecast(panel, [0], [len(target)])[0]
    level, with_slope, with_season = paths
    forecast = quantiles[:, model.probabilities.index(0.5)]
    return BaselinePaths(level, with_slope, with_season, forecast)
