"""Forecasts of a backtest lined up with what came, and scored.

Losses are measured on the working scale of the target: for log-returns the log, so that an error is
one of the cumulative log-return since the origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import TableError, shown
from gatewise.forecast.config import INNER, Config
from gatewise.forecast.data.panel import Array, Panel
from gatewise.forecast.evaluation import metrics
from gatewise.forecast.evaluation.baselines import Baseline, naive_names
from gatewise.forecast.evaluation.folds import MODEL, Fold, FoldForecast
from gatewise.forecast.evaluation.significance import DieboldMariano, diebold_mariano, hardest, holm
from gatewise.forecast.features.transform import to_working


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
        next_forecast: [R] forecast of this row's change from the row before, made there; NaN where
            none was asked for.
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
    flat = panel.flat()
    working = to_working(flat.target, unit)
    fold, series, step, cut, end = np.concatenate([_numbers(run, h) for run in made], axis=1)
    row = cut + step - 1
    # A series of sparser times has fewer rows in a window than the timeline of all.
    inside = row < end
    at = flat.at(series, np.where(inside, row, 0))
    level, actual = flat.target[at], working[at]
    before = np.array(
        [_last_two(working[flat.first[i] : r]) for i, r in zip(series, at, strict=True)]
    )
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
    next_change = np.concatenate([_padded(m.next_change, h).ravel() for m in made])
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


def _padded(next_change: Array, h: int) -> Array:
    """[A, h]: NaN after the rows that were asked for."""
    return np.pad(next_change, ((0, 0), (0, h - next_change.shape[1])), constant_values=np.nan)


def latest(rows: Rows) -> NDArray[np.intp]:
    """Number each row of each series once: as the latest origin before it was forecast from."""
    order = np.lexsort((-rows.fold, rows.row, rows.series))
    keys = np.stack([rows.series, rows.row])[:, order]
    first = np.append(True, (np.diff(keys) != 0).any(axis=0))
    return np.sort(order[first])


def _numbers(run: FoldForecast, h: int) -> NDArray[np.intp]:
    """[5, A h] of each row of a window: fold, series, step, the window's first row and its end."""
    series, fold = np.array(run.series), run.fold
    cuts, ends = np.array(fold.cuts)[series], np.array(fold.ends)[series]
    made = [np.full(len(series), fold.index), series, cuts, ends]
    index, series, cuts, ends = (np.repeat(values, h) for values in made)
    step = np.tile(np.arange(1, h + 1), len(run.series))
    return np.stack([index, series, step, cuts, ends])


def _last_two(seen: Array) -> tuple[float, float]:
    """The last two values of what was seen, NaN where there are none."""
    seen = seen[-60:]
    seen = seen[~np.isnan(seen)]
    nan = float("nan")
    return (seen[-1] if len(seen) else nan, seen[-2] if len(seen) > 1 else nan)


def scales_of(
    panel: Panel, rows: Rows, folds: Sequence[Fold], baseline: Baseline
) -> tuple[Array, list[str]]:
    """Unit of each row's scaled error: one for each series, from rows before an origin.

    That origin is the first one before which the series changes; its rows of earlier windows, and
    a series that never changes, have no unit.

    Returns:
        [R], NaN where there is none; 1 everywhere if no row has one. And notes for people.
    """
    units, first = np.full(len(panel.series), np.nan), np.zeros(len(panel.series), np.intp)
    for i, s in enumerate(panel.series):
        working = to_working(s.target, baseline.unit)
        for fold in folds:
            units[i] = metrics.naive_scale(working[: fold.cuts[i]], baseline.season_length)
            first[i] = fold.index
            if np.isfinite(units[i]):
                break
    size = np.where(rows.fold >= first[rows.series], units[rows.series], np.nan)
    if not np.isfinite(size).any():
        return np.ones(len(size)), ["No series changes before an origin: errors are not scaled."]
    lost = [panel.series[i].name for i in np.unique(rows.series[np.isnan(size)])]
    if not lost:
        return size, []
    return size, [
        f"Left out of MASE and of the tests, where no change was seen before: {len(lost)} series, "
        f"such as {shown(lost[0])}."
    ]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The network and the baselines, compared.

    Attributes:
        tests: Diebold-Mariano against each baseline on scaled absolute losses per origin, each
            with its value corrected for their number (Holm).
        naive: of the two forecasts that know nothing the one that is hardest to beat.
        naives: both of them.
        best: the baseline with the lowest absolute loss.
        intervals: Diebold-Mariano of the quantile loss against the naive forecast's.
        cone: whose intervals those are: the naive forecast's.
    """

    tests: dict[str, DieboldMariano]
    naive: str
    naives: tuple[str, str]
    best: str
    intervals: DieboldMariano
    cone: str


def compare(config: Config, rows: Rows, size: Array, unit: str, lag: int) -> Comparison:
    """Test the network against each baseline.

    Args:
        config: of the forecaster.
        rows: what was forecast and what came.
        size: [R] unit of each row's scaled error; see `scales_of`.
        unit: transform whose working scale losses are measured on.
        lag: origins whose windows share rows, less 1; see docs/decisions/0004.
    """
    middle = config.probabilities.index(0.5)
    losses = {
        name: _per_origin(rows, np.abs(rows.actual - quantiles[:, middle]) / size)
        for name, quantiles in rows.quantiles.items()
    }
    mine = losses.pop(MODEL)
    tests = holm({name: diebold_mariano(mine, theirs, lag) for name, theirs in losses.items()})
    naives = naive_names(unit)
    naive = hardest(naives, tests, {name: float(losses[name].mean()) for name in naives})
    ours, theirs = (_per_origin(rows, _wql(config, rows, name) / size) for name in (MODEL, naive))
    best = min(losses, key=lambda name: losses[name].mean())
    return Comparison(tests, naive, naives, best, diebold_mariano(ours, theirs, lag), naive)


def _per_origin(rows: Rows, loss: Array) -> Array:
    """[F] mean loss of each origin that has rows with a loss, in order."""
    seen = np.isfinite(loss)
    count = np.bincount(rows.fold[seen])
    return (np.bincount(rows.fold[seen], loss[seen]) / np.maximum(count, 1))[count > 0]


def _wql(config: Config, rows: Rows, name: str) -> Array:
    inner = [config.probabilities.index(p) for p in INNER]
    return metrics.weighted_quantile_loss(rows.quantiles[name][:, inner], rows.actual, INNER)


def scores_of(
    config: Config, rows: Rows, size: Array, comparison: Comparison
) -> dict[str, dict[str, float]]:
    """Every score of every model, `metrics.DEFINITIONS` says what they are.

    Args:
        config: of the forecaster.
        rows: what was forecast and what came.
        size: [R] unit of each row's scaled error; NaN leaves the row out.
        comparison: the tests whose p-values stand in the baselines' rows; the network's own row
            repeats the best baseline's.
    """
    middle = config.probabilities.index(0.5)
    scaled = np.isfinite(size)
    naive = metrics.mse(rows.quantiles[comparison.naive][:, middle], rows.actual)
    scores = {}
    for name, quantiles in rows.quantiles.items():
        point, level = quantiles[:, middle], rows.quantiles_level[name][:, middle]
        mse = metrics.mse(point, rows.actual)
        made = {
            "mae": metrics.mae(point, rows.actual),
            "mse": mse,
            "rmse": mse**0.5,
            "mase": metrics.mase(point[scaled], rows.actual[scaled], size[scaled]),
            "smape": metrics.smape(level, rows.level),
            "mape": metrics.mape(level, rows.level),
            "mae-level": metrics.mae(level, rows.level),
            "wql": float(_wql(config, rows, name).mean()),
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
        test = comparison.tests[comparison.best if name == MODEL else name]
        made["mse_ratio"] = mse / naive if naive > 0 else float("nan")
        made |= {"dm_p": test.p_value, "dm_p_holm": test.p_adjusted}
        scores[name] = made
    return scores
