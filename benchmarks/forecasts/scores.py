"""Forecasts beside what came: the package's own metrics, averaged over series."""

from __future__ import annotations

import numpy as np
import polars as pl

from benchmarks.forecasts.peers import EDGES
from benchmarks.forecasts.sets import Task
from gatewise.errors import BenchmarkError
from gatewise.forecast.evaluation import metrics

PROBABILITIES = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
"""Of the columns `EDGES`."""


def score(task: Task, forecasts: pl.DataFrame) -> dict[str, float]:
    """Score forecasts of all rows that were held out.

    Args:
        task: with the rows.
        forecasts: unique_id, step, forecast; with intervals or without.

    Returns:
        mase, smape, mae; with intervals also coverage-80, coverage-95 and wql, in units of MASE:
        the mean absolute change over a season of each series' training part. A series without a
        change has no such unit, and is left out of mase and wql.

    Raises:
        BenchmarkError: a row has no forecast, or one that is no number.
    """
    rows = task.test.join(forecasts, on=["unique_id", "step"], how="left", maintain_order="left")
    lost = rows.filter(~pl.col("forecast").is_finite().fill_null(value=False))
    if len(lost):
        raise BenchmarkError(
            f"{len(lost)} of {len(rows)} rows have no forecast, the first of them of "
            f"{lost['unique_id'][0]!r}: expected one for each."
        )
    with_intervals = set(EDGES) <= set(rows.columns)
    history = dict(_by_series(task.train, ["y"]))
    found = [
        _of_series(values, history[name][:, 0], task.season_length)
        for name, values in _by_series(rows, ["y", *(EDGES if with_intervals else ["forecast"])])
    ]
    made = {name: float(np.nanmean([each[name] for each in found])) for name in found[0]}
    for level in (80, 95) if with_intervals else ():
        low, high, actual = (rows[c].to_numpy() for c in (f"lo-{level}", f"hi-{level}", "y"))
        made[f"coverage-{level}"] = metrics.coverage(low, high, actual)
    return made


def _of_series(values: np.ndarray, history: np.ndarray, season_length: int) -> dict[str, float]:
    """Scores of one series: what came, then its quantiles or its point forecast."""
    actual, quantiles = values[:, 0], values[:, 1:]
    point = quantiles[:, quantiles.shape[1] // 2]
    scale = metrics.naive_scale(history, season_length)
    error = float(np.abs(point - actual).mean())
    made = {"mase": error / scale, "smape": metrics.smape(point, actual), "mae": error}
    if quantiles.shape[1] > 1:
        made["wql"] = float(
            metrics.weighted_quantile_loss(quantiles, actual, PROBABILITIES).mean() / scale
        )
    return made


def _by_series(table: pl.DataFrame, columns: list[str]) -> list[tuple[str, np.ndarray]]:
    parts = table.partition_by("unique_id", as_dict=True, maintain_order=True)
    return [(str(name), part.select(columns).to_numpy()) for (name,), part in parts.items()]
