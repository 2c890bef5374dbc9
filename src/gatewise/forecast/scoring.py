"""Forecasts of a backtest lined up with what came, and scored.

Losses are measured on the working scale of the target: for log-returns the log, so that an error is
one of the cumulative log-return since the origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import TableError
from gatewise.forecast import metrics
from gatewise.forecast.baselines import LAST_VALUE
from gatewise.forecast.config import INNER, Config
from gatewise.forecast.folds import MODEL, Fold, FoldForecast
from gatewise.forecast.forecaster import quantile_columns
from gatewise.forecast.panel import Array, Panel
from gatewise.forecast.significance import DieboldMariano, diebold_mariano
from gatewise.forecast.table import write_table
from gatewise.forecast.timestamps import render
from gatewise.forecast.transform import to_working


@dataclass(frozen=True, eq=False)
class Rows:
    """Every scored row. R rows: a fold, a series and a step each.

    Attributes:
        fold: [R] index of the origin.
        series: [R] number of the series.
        step: [R] 1 is the first row after the origin.
        row: [R] number of the row in its series.
        level: [R] the actual value.
        actual: [R] the same on the working scale.
        quantiles: model -> [R, Q] on the working scale.
        quantiles_level: model -> [R, Q] in the target's own unit.
        next_forecast: [R] forecast of this row's change from the row before, made there.
        next_actual: [R] what it was.
        next_previous: [R] the change before it.
    """

    fold: NDArray[np.intp]
    series: NDArray[np.intp]
    step: NDArray[np.intp]
    row: NDArray[np.intp]
    level: Array
    actual: Array
    quantiles: dict[str, Array]
    quantiles_level: dict[str, Array]
    next_forecast: Array
    next_actual: Array
    next_previous: Array


def collect(config: Config, panel: Panel, made: list[FoldForecast], unit: str) -> Rows:
    """Line up forecasts and actual values; rows without an actual value drop out.

    Args:
        config: of the forecaster.
        panel: the whole table.
        made: what was forecast from each origin.
        unit: transform whose working scale losses are measured on.

    Raises:
        TableError: no row has an actual value.
    """
    h = config.prediction_length
    working = [to_working(s.target, unit) for s in panel.series]
    index, steps = [], np.arange(h)
    for run in made:
        for i in run.series:
            cut = run.fold.cuts[i]
            index += [(run.fold.index, i, k + 1, cut + k) for k in steps]
    fold, series, step, row = np.array(index).T
    # A series of sparser times has fewer rows in a window than the timeline of all.
    ends = {run.fold.index: run.fold.ends for run in made}
    inside = np.array([r < ends[f][i] for f, i, r in zip(fold, series, row, strict=True)])
    at = np.where(inside, row, 0)
    level = np.array([panel.series[i].target[r] for i, r in zip(series, at, strict=True)])
    actual = np.array([working[i][r] for i, r in zip(series, at, strict=True)])
    before = np.array([_last_two(working[i], r) for i, r in zip(series, at, strict=True)])
    keep = inside & np.isfinite(actual)
    if not keep.any():
        raise TableError("No row of the test windows has a target: there is nothing to score.")
    names = list(made[0].quantiles)
    levels = {
        n: np.concatenate([m.quantiles[n].reshape(-1, len(config.probabilities)) for m in made])
        for n in names
    }
    # A fold that chose another transform may forecast a value that has no log.
    floor = 0.01 * np.nanmin(level) if unit == "log-return" else -np.inf
    next_change = np.concatenate([m.next_change.ravel() for m in made])
    return Rows(
        fold[keep],
        series[keep],
        step[keep],
        row[keep],
        level[keep],
        actual[keep],
        {n: to_working(np.maximum(q[keep], floor), unit) for n, q in levels.items()},
        {n: q[keep] for n, q in levels.items()},
        next_change[keep],
        (actual - before[:, 0])[keep],
        (before[:, 0] - before[:, 1])[keep],
    )


def _last_two(working: Array, row: int) -> tuple[float, float]:
    seen = working[max(row - 60, 0) : row]
    seen = seen[~np.isnan(seen)]
    nan = float("nan")
    return (seen[-1] if len(seen) else nan, seen[-2] if len(seen) > 1 else nan)


def scales_of(panel: Panel, first: Fold, unit: str, season: int) -> Array:
    """Unit of each series' scaled error, from the rows before the first origin."""
    return np.array(
        [
            metrics.naive_scale(to_working(s.target, unit)[: cut if cut > 2 else None], season)
            for s, cut in zip(panel.series, first.cuts, strict=True)
        ]
    )


def tests_of(
    config: Config, rows: Rows, scales: Array, step: int
) -> tuple[dict[str, DieboldMariano], str]:
    """Diebold-Mariano of the network against each baseline on scaled absolute losses per origin."""
    middle = config.probabilities.index(0.5)
    losses = {}
    for name, quantiles in rows.quantiles.items():
        error = np.abs(rows.actual - quantiles[:, middle]) / scales[rows.series]
        losses[name] = np.array([error[rows.fold == i].mean() for i in np.unique(rows.fold)])
    lag = -(-config.prediction_length // step) - 1  # in origins; see docs/decisions/0004
    mine = losses.pop(MODEL)
    tests = {name: diebold_mariano(mine, theirs, lag) for name, theirs in losses.items()}
    return tests, min(losses, key=lambda name: losses[name].mean())


def scores_of(
    config: Config,
    rows: Rows,
    scales: Array,
    tests: dict[str, DieboldMariano],
) -> dict[str, dict[str, float]]:
    """Every score of every model; see `Backtest.metrics` for what they are.

    Args:
        config: of the forecaster.
        rows: what was forecast and what came.
        scales: [S] unit of each series' scaled error.
        tests: the Diebold-Mariano test whose p-value stands in each model's row.
    """
    middle = config.probabilities.index(0.5)
    inner = [config.probabilities.index(p) for p in INNER]
    naive = np.mean((rows.actual - rows.quantiles[LAST_VALUE][:, middle]) ** 2)
    scores = {}
    for name, quantiles in rows.quantiles.items():
        error = rows.actual - quantiles[:, middle]
        point = rows.quantiles_level[name][:, middle]
        mse = float(np.mean(error**2))
        made = {
            "mae": float(np.mean(np.abs(error))),
            "mse": mse,
            "rmse": mse**0.5,
            "mase": float(np.mean(np.abs(error) / scales[rows.series])),
            "smape": metrics.smape(point, rows.level),
            "mape": metrics.mape(point, rows.level),
            "mae-level": float(np.mean(np.abs(point - rows.level))),
            "crps": float(metrics.crps(quantiles[:, inner], rows.actual, INNER).mean()),
        }
        for level in config.levels:
            low, high = config.interval(level)
            made[f"coverage-{level:g}"] = metrics.coverage(
                quantiles[:, low], quantiles[:, high], rows.actual
            )
        made["mse_ratio"] = mse / float(naive) if naive > 0 else float("nan")
        made["dm_p"] = tests[name].p_value
        scores[name] = made
    return scores


def metric_columns(scores: dict[str, dict[str, float]]) -> dict[str, list[Any]]:
    """The scores as columns of a table, one row per model."""
    names = list(next(iter(scores.values())))
    return {"model": list(scores)} | {n: [v[n] for v in scores.values()] for n in names}


def long_table(config: Config, panel: Panel, rows: Rows) -> Any:
    """Every forecast row beside its actual value; see `Backtest.forecasts`."""
    columns, middle = panel.columns, config.probabilities.index(0.5)
    time = np.array([panel.series[i].time[r] for i, r in zip(rows.series, rows.row, strict=True)])
    first = rows.row - rows.step + 1
    origin = np.array([panel.series[i].time[r] for i, r in zip(rows.series, first, strict=True)])
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
                "rows": int(mine.sum()),
                "best_epoch": run.epochs,
                "mae": errors,
            }
        )
    return folds
