"""Columns of the tables that forecasts come back in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.forecast.config import Config
from gatewise.forecast.data.panel import Array, Panel
from gatewise.forecast.data.timestamps import render


def row_names(panel: Panel, times: Sequence[NDArray[Any]]) -> dict[str, Any]:
    """Return the series and time columns of a table with rows at `times` of each series."""
    columns, data = panel.columns, {}
    if columns.series is not None:
        pairs = zip(panel.series, times, strict=True)
        data[columns.series] = [series.name for series, t in pairs for _ in range(len(t))]
    data[columns.time] = render(np.concatenate(times), panel.style, columns.time, panel.kind)
    return data


def quantile_columns(values: Array, config: Config) -> dict[str, Array]:
    """Return columns forecast, lo-80, hi-80, ... of quantiles [rows, Q]."""
    data = {"forecast": values[:, config.probabilities.index(0.5)]}
    for level in config.levels:
        low, high = config.interval(level)
        data |= {f"lo-{level:g}": values[:, low], f"hi-{level:g}": values[:, high]}
    return data
