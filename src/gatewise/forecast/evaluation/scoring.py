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
from gatewise.forecast.config import INNER, Config
from gatewise.forecast.data.panel import Array, Panel
from gatewise.forecast.data.results import quantile_columns
from gatewise.forecast.data.table import write_table
from gatewise.forecast.data.timestamps import render
from gatewise.forecast.evaluation import metrics
from gatewise.forecast.evaluation.baselines import naive_names
from gatewise.forecast.evaluation.folds import MODEL, Fold, FoldForecast
from gatewise.forecast.evaluation.significance import DieboldMariano, diebold_mariano, hardest, holm
from gatewise.forecast.features.transform import to_working
from gatewise.forecast.uncertainty.conformal import adaptive_intervals


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


@dataclass(frozen=True, slots=True)
class Standing:
    """How the network stands to the baselines.

    Attributes:
        tests: Diebold-Mariano against each baseline on scaled absolute losses per origin, each
            with its value corrected for their number (Holm).
        naive: of the two forecasts that know nothing the one that is hardest to beat.
        naives: both of them.
        best: the baseline with the lowest absolute loss.
        intervals: Diebold-Mariano of the CRPS against that of the naive forecast's intervals.
        cone: whose intervals those are: the naive forecast's.
    """

    tests: dict[str, DieboldMariano]
    naive: str
    naives: tuple[str, str]
    best: str
    intervals: DieboldMariano
    cone: str


def standing_of(config: Config, rows: Rows, scales: Array, unit: str, lag: int) -> Standing:
    """Test the network against each baseline.

    Args:
        config: of the forecaster.
        rows: what was forecast and what came.
        scales: [S] unit of each series' scaled error.
        unit: transform whose working scale losses are measured on.
        lag: origins whose windows share rows, less 1; see docs/decisions/0004.
    """
    middle = config.probabilities.index(0.5)
    size = scales[rows.series]
    losses = {
        name: _per_origin(rows, np.abs(rows.actual - quantiles[:, middle]) / size)
        for name, quantiles in rows.quantiles.items()
    }
    mine = losses.pop(MODEL)
    tests = holm({name: diebold_mariano(mine, theirs, lag) for name, theirs in losses.items()})
    naives = naive_names(unit)
    naive = hardest(naives, tests, {name: float(losses[name].mean()) for name in naives})
    ours, theirs = (_per_origin(rows, _crps(config, rows, name) / size) for name in (MODEL, naive))
    best = min(losses, key=lambda name: losses[name].mean())
    return Standing(tests, naive, naives, best, diebold_mariano(ours, theirs, lag), naive)


def _per_origin(rows: Rows, loss: Array) -> Array:
    """[F] mean loss of each origin that has rows, in order."""
    count = np.bincount(rows.fold)
    return (np.bincount(rows.fold, loss) / np.maximum(count, 1))[count > 0]


def _crps(config: Config, rows: Rows, name: str) -> Array:
    inner = [config.probabilities.index(p) for p in INNER]
    return metrics.crps(rows.quantiles[name][:, inner], rows.actual, INNER)


def scores_of(
    config: Config, rows: Rows, scales: Array, standing: Standing
) -> dict[str, dict[str, float]]:
    """Every score of every model, `metrics.DEFINITIONS` says what they are.

    Args:
        config: of the forecaster.
        rows: what was forecast and what came.
        scales: [S] unit of each series' scaled error.
        standing: the tests whose p-values stand in the baselines' rows; the network's own row
            repeats the best baseline's.
    """
    middle = config.probabilities.index(0.5)
    naive = metrics.mse(rows.quantiles[standing.naive][:, middle], rows.actual)
    scores = {}
    for name, quantiles in rows.quantiles.items():
        point, level = quantiles[:, middle], rows.quantiles_level[name][:, middle]
        mse = metrics.mse(point, rows.actual)
        made = {
            "mae": metrics.mae(point, rows.actual),
            "mse": mse,
            "rmse": mse**0.5,
            "mase": metrics.mase(point, rows.actual, scales[rows.series]),
            "smape": metrics.smape(level, rows.level),
            "mape": metrics.mape(level, rows.level),
            "mae-level": metrics.mae(level, rows.level),
            "crps": float(_crps(config, rows, name).mean()),
        }
        intervals = []
        for asked in config.levels:
            low, high = (quantiles[:, edge] for edge in config.interval(asked))
            intervals.append((asked, low, high))
            made[f"coverage-{asked:g}"] = metrics.coverage(low, high, rows.actual)
            made[f"winkler-{asked:g}"] = float(
                metrics.winkler(low, high, rows.actual, asked).mean()
            )
        made["wis"] = float(metrics.weighted_interval_score(point, intervals, rows.actual).mean())
        test = standing.tests[standing.best if name == MODEL else name]
        made["mse_ratio"] = mse / naive if naive > 0 else float("nan")
        made |= {"dm_p": test.p_value, "dm_p_holm": test.p_adjusted}
        scores[name] = made
    return scores


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
                "fitted_before": str(run.fitted_before),
                "rows": int(mine.sum()),
                "best_epoch": run.epochs,
                "mae": errors,
            }
        )
    return folds
