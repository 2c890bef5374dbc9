"""The rows and scores of a backtest as tables for people."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewise.forecast.config import Config
from gatewise.forecast.data.panel import Panel
from gatewise.forecast.data.results import quantile_columns
from gatewise.forecast.data.table import write_table
from gatewise.forecast.data.timestamps import render
from gatewise.forecast.evaluation.folds import MODEL, FoldForecast
from gatewise.forecast.evaluation.scoring import Rows
from gatewise.forecast.uncertainty.conformal import adaptive_intervals


def metric_columns(scores: dict[str, dict[str, float]]) -> dict[str, list[Any]]:
    """The scores as columns of a table, one row per model."""
    names = list(next(iter(scores.values())))
    return {"model": list(scores)} | {n: [v[n] for v in scores.values()] for n in names}


def long_table(config: Config, panel: Panel, rows: Rows) -> Any:
    """Every forecast row beside its actual value; see `Backtest.forecasts`."""
    columns, middle = panel.columns, config.probabilities.index(0.5)
    flat = panel.flat()
    time, origin = (
        flat.time[flat.at(rows.series, row)] for row in (rows.row, rows.row - rows.step + 1)
    )
    data: dict[str, Any] = {}
    if columns.series is not None:
        data[columns.series] = [panel.series[i].name for i in rows.series]
    data[columns.time] = render(time, panel.style, columns.time, panel.kind)
    data["origin"] = render(origin, panel.style, "origin", panel.kind)
    data |= {"fold": rows.fold, "step": rows.step, "actual": rows.level}
    data |= quantile_columns(rows.quantiles_level[MODEL], config)
    for name, quantiles in rows.quantiles_level.items():
        if name != MODEL:
            data[name] = quantiles[:, middle]
    return write_table(data, panel.kind)


def fold_summaries(made: list[FoldForecast], rows: Rows) -> list[dict[str, Any]]:
    """One dict per origin; see `Backtest.folds`."""
    folds = []
    for run in made:
        mine = rows.fold == run.fold.index
        errors = {
            name: float(np.mean(np.abs(rows.actual[mine] - q[mine, q.shape[1] // 2])))
            for name, q in rows.quantiles.items()
            if mine.any()
        }
        folds.append(
            {
                "fold": run.fold.index,
                "start": str(run.fold.start),
                "fitted_before": str(run.fitted_before),
                "rows": int(mine.sum()),
                "best_epoch": run.epochs,
                "mae": errors,
            }
        )
    return folds


def adapted_of(config: Config, rows: Rows, lag: int) -> list[dict[str, Any]]:
    """One dict per level: coverage before and after adaptive conformal inference.

    Returns:
        level, rows, before and after (coverage of all rows; `before` is that of `metrics`), width
        (after / before), and per origin fold, covered_before and covered_after. The first origins
        have nothing to adapt to and stay as they are; empty if that holds of all.
    """
    made = []
    quantiles = rows.quantiles[MODEL]
    for level in config.levels:
        low, high = (quantiles[:, edge] for edge in config.interval(level))
        new = adaptive_intervals(low, high, rows.actual, rows.fold, level, lag=lag + 1)
        if not new.usable.any():
            continue
        before, after = (
            ((a <= rows.actual) & (rows.actual <= b)).astype(float)
            for a, b in ((low, high), (new.low, new.high))
        )
        count = np.bincount(rows.fold)
        shares = [np.bincount(rows.fold, x)[count > 0] / count[count > 0] for x in (before, after)]
        made.append(
            {
                "level": level,
                "rows": len(before),
                "before": float(before.mean()),
                "after": float(after.mean()),
                "width": float((new.high - new.low).sum() / (high - low).sum()),
                "fold": np.flatnonzero(count).tolist(),
                "covered_before": shares[0].tolist(),
                "covered_after": shares[1].tolist(),
            }
        )
    return made
