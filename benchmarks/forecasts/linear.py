"""Least squares with the drivers known ahead: what forecasts of electricity prices must beat.

One regression for all hours: the price on the hour of the week, the drivers now, a day and a week
ago, the price one, two and seven days ago, and the last day's last price and mean. In the spirit of
the linear models of Lago et al. 2021, without their selection of variables.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from benchmarks.forecasts.sets import Task

Array = NDArray[np.float64]

DAY: Final = 24
WEEK: Final = 7 * DAY
_PRICE_LAGS: Final = (DAY, 2 * DAY, WEEK)
_DRIVER_LAGS: Final = (DAY, WEEK)
_RIDGE: Final = 1e-9
"""Keeps the normal equations solvable; too small to be seen in the forecast."""

_EDGES: Final = {
    "lo-95": 0.025, "lo-80": 0.1, "lo-50": 0.25, "hi-50": 0.75, "hi-80": 0.9, "hi-95": 0.975,
}  # fmt: skip


def fit(
    task: Task, table: pl.DataFrame, _: dict[str, Any]
) -> Callable[[pl.DataFrame | None, pl.DataFrame | None], pl.DataFrame]:
    """Fit hourly rows of whole days; intervals are quantiles of the residuals."""
    x, y = features(table, task.future), table["y"].to_numpy()
    weights = _solve(x[WEEK:], y[WEEK:])
    residuals = y[WEEK:] - x[WEEK:] @ weights
    edges = {name: np.quantile(residuals, p) for name, p in _EDGES.items()}

    def predict(history: pl.DataFrame | None, ahead: pl.DataFrame | None) -> pl.DataFrame:
        if ahead is None:
            raise ValueError("ahead is None: expected the drivers of the rows to forecast.")
        rows = pl.concat([table if history is None else history, ahead], how="diagonal")
        found = features(rows, task.future)[-len(ahead) :] @ weights
        columns = {name: found + offset for name, offset in edges.items()}
        steps = np.arange(1, len(ahead) + 1)
        return pl.DataFrame({"step": steps, "forecast": found} | columns).with_columns(
            unique_id=pl.lit(task.name)
        )

    return predict


def features(table: pl.DataFrame, drivers: tuple[str, ...]) -> Array:
    """What is known of each hour when its day is forecast; NaN in the first week.

    Args:
        table: whole days; of the last one the price may be missing.
        drivers: names of columns.

    Returns:
        [n, 168 + 3 * drivers + 5].
    """
    price = table["y"].to_numpy().astype(np.float64)
    known = table.select(drivers).to_numpy().astype(np.float64)
    hour = table["ds"].to_numpy().astype("datetime64[h]").astype(np.int64) % WEEK
    days = price.reshape(-1, DAY)
    last = np.vstack([np.full(2, np.nan), np.column_stack([days[:, -1], days.mean(1)])[:-1]])
    return np.column_stack(
        [
            np.eye(WEEK)[hour],
            known,
            *(_lagged(known, lag) for lag in _DRIVER_LAGS),
            *(_lagged(price[:, None], lag) for lag in _PRICE_LAGS),
            np.repeat(last, DAY, axis=0),
        ]
    )


def _lagged(values: Array, lag: int) -> Array:
    return np.vstack([np.full((lag, values.shape[1]), np.nan), values[:-lag]])


def _solve(x: Array, y: Array) -> Array:
    """Least squares by the normal equations of scaled columns."""
    scale = np.sqrt((x**2).mean(0))
    scale = np.where(scale > 0, scale, 1.0)
    scaled = x / scale
    matrix = scaled.T @ scaled
    matrix[np.diag_indices_from(matrix)] += _RIDGE * len(x)
    return np.linalg.solve(matrix, scaled.T @ y) / scale
