"""Walk-forward backtests: fit before each origin, forecast after it, and judge.

Scalers, transforms and early stopping live inside the fold, because a fold is a plain `fit` on the
rows before its origin; no label of a training row reaches the test window. Known-future drivers of
the window are passed on, past ones are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.errors import ConfigError, MissingExtraError, TableError
from gatewise.forecast import leaks, metrics
from gatewise.forecast.baselines import LAST_VALUE
from gatewise.forecast.config import Config, Progress
from gatewise.forecast.features import fit_encoder
from gatewise.forecast.folds import Fold, FoldForecast, forecast_folds, rolling_origins
from gatewise.forecast.forecaster import Forecaster, quantile_columns
from gatewise.forecast.panel import Array, Panel
from gatewise.forecast.result import Backtest, verdict
from gatewise.forecast.significance import DieboldMariano, diebold_mariano, direction
from gatewise.forecast.table import DEFAULT_SERIES, choose_columns, read_panel, write_table
from gatewise.forecast.timestamps import render
from gatewise.forecast.transform import to_working, unit_of


def backtest(
    f: Forecaster,
    table: Any,
    folds: int = 8,
    *,
    time: str = "ds",
    target: str = "y",
    series: str | None = DEFAULT_SERIES,
    past: Sequence[str] = (),
    future: Sequence[str] = (),
    static: Sequence[str] = (),
    refit_every: int = 1,
    step: int | None = None,
    checks: bool = True,
    n_jobs: int | None = 1,
    progress: Progress | None = None,
) -> Backtest:
    """Backtest a forecaster's options on a table, beside the baselines that usually win.

    Args:
        f: a forecaster; only its options are used, each fit starts from fresh weights.
        table: pandas, polars or pyarrow.
        folds: rolling origins; the last window ends at the last row. Default 8.
        time: column of time.
        target: column to forecast.
        series: column that tells series apart.
        past: drivers known up to the present.
        future: drivers known ahead.
        static: constant columns.
        refit_every: fit anew at every k-th origin. Default 1.
        step: rows between origins; None (default) takes prediction_length, so that windows do not
            overlap.
        checks: run the leak checks. Default True; without them no skill is claimed.
        n_jobs: worker processes (joblib); None takes the forecaster's `threads`. The numbers do
            not depend on it. Default 1.
        progress: called as progress("backtest", fold, folds), then progress("checks", done, 2).

    Returns:
        A `Backtest`.

    Raises:
        ConfigError: folds, step or refit_every is out of range.
        TableError: the table is too short, or cannot be used.

    >>> import numpy as np, polars as pl
    >>> walk = np.cumsum(np.random.default_rng(0).normal(size=90))
    >>> f = Forecaster(prediction_length=3, max_epochs=1)
    >>> backtest(f, pl.DataFrame({"ds": range(90), "y": walk}), folds=4).skill
    False
    """
    for name, value in (("folds", folds), ("refit_every", refit_every), ("step", step)):
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ConfigError(f"{name} is {value!r}: expected a whole number of at least 1.")
    config = f.config
    columns = choose_columns(
        table, time=time, target=target, series=series, past=past, future=future, static=static
    )
    panel = read_panel(table, columns)
    step = step or config.prediction_length
    origins = rolling_origins(panel, config.prediction_length, folds, step)
    # The scale of the losses and the season of the baselines are read off the first training part.
    encoder = fit_encoder(panel.before(origins[0].cuts), config.transform)
    groups = [origins[i : i + refit_every] for i in range(0, folds, refit_every)]
    unit = encoder.target_transform
    made = _run(config, panel, groups, unit, encoder.season, n_jobs, progress)
    rows = _collect(config, panel, made, unit)
    if not len(rows.actual):
        raise TableError("No row of the test windows has a target: there is nothing to score.")

    season = encoder.season
    scales = _scales(panel, origins[0], unit, season)
    tests, best = _tests(config, rows, scales, step)
    scores = _scores(config, rows, scales, unit, tests, best)
    done = _checks(config, panel, origins, rows, scores, progress) if checks else []
    ratio = scores["gatewise"]["mse_ratio"]
    sentence, skill = verdict(done, tests, best, LAST_VALUE, ratio)
    return Backtest(
        metrics=write_table(_columns(scores), panel.kind),
        verdict=sentence,
        skill=skill,
        checks=done,
        forecasts=_long_table(config, panel, rows),
        direction=direction(rows.next_forecast, rows.next_actual),
        pit=metrics.pit(rows.quantiles["gatewise"], rows.actual, config.probabilities),
        folds=_folds(made, rows),
        tests=tests,
        best_baseline=best,
        unit=unit_of(unit),
        prediction_length=config.prediction_length,
        levels=config.levels,
        seed=config.seed,
        notes=list(panel.notes),
        scores=scores,
    )


@dataclass(frozen=True, eq=False)
class _Rows:
    """Every scored row. R rows: a fold, a series and a step each."""

    fold: Array
    series: Array
    step: Array
    row: Array
    level: Array
    actual: Array
    quantiles: dict[str, Array]
    quantiles_level: dict[str, Array]
    next_forecast: Array
    next_actual: Array
    next_previous: Array


def _run(
    config: Config,
    panel: Panel,
    groups: list[list[Fold]],
    unit: str,
    season: int,
    n_jobs: int | None,
    progress: Progress | None,
) -> list[FoldForecast]:
    try:
        from joblib import Parallel, delayed  # noqa: PLC0415  (an extra)
    except ImportError:
        raise MissingExtraError("A backtest", "forecast") from None
    jobs = min(config.threads if n_jobs is None else n_jobs, len(groups))
    runs = Parallel(n_jobs=jobs, return_as="generator")(
        delayed(forecast_folds)(config, panel, group, unit, season) for group in groups
    )
    total = sum(map(len, groups))
    made: list[FoldForecast] = []
    for run in runs:
        made.extend(run)
        if progress is not None:
            progress("backtest", len(made), total)
    return made


def _collect(config: Config, panel: Panel, made: list[FoldForecast], unit: str) -> _Rows:
    """Line up forecasts and actual values; rows without an actual value drop out."""
    h = config.prediction_length
    working = [to_working(s.target, unit) for s in panel.series]
    index, steps = [], np.arange(h)
    for run in made:
        for i in run.series:
            cut = run.fold.cuts[i]
            index += [(run.fold.index, i, k + 1, cut + k) for k in steps]
    fold, series, step, row = np.array(index).T
    inside = np.array([r < len(panel.series[i]) for i, r in zip(series, row, strict=True)])
    at = np.where(inside, row, 0)
    level = np.array([panel.series[i].target[r] for i, r in zip(series, at, strict=True)])
    actual = np.array([working[i][r] for i, r in zip(series, at, strict=True)])
    before = np.array([_last_two(working[i], r) for i, r in zip(series, at, strict=True)])
    keep = inside & np.isfinite(actual)
    names = list(made[0].quantiles)
    levels = {
        n: np.concatenate([m.quantiles[n].reshape(-1, len(config.probabilities)) for m in made])
        for n in names
    }
    next_change = np.concatenate([m.next_change.ravel() for m in made])
    return _Rows(
        fold[keep],
        series[keep],
        step[keep],
        row[keep],
        level[keep],
        actual[keep],
        {n: to_working(q[keep], unit) for n, q in levels.items()},
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


def _scales(panel: Panel, first: Fold, unit: str, season: int) -> Array:
    """Unit of each series' scaled error, from the rows before the first origin."""
    return np.array(
        [
            metrics.naive_scale(to_working(s.target, unit)[: cut if cut > 2 else None], season)
            for s, cut in zip(panel.series, first.cuts, strict=True)
        ]
    )


def _tests(
    config: Config, rows: _Rows, scales: Array, step: int
) -> tuple[dict[str, DieboldMariano], str]:
    """Diebold-Mariano of gatewise against each baseline on scaled absolute losses per origin."""
    middle = config.probabilities.index(0.5)
    losses = {}
    for name, quantiles in rows.quantiles.items():
        error = np.abs(rows.actual - quantiles[:, middle]) / scales[rows.series]
        losses[name] = np.array([error[rows.fold == i].mean() for i in np.unique(rows.fold)])
    lag = -(-config.prediction_length // step) - 1
    mine = losses.pop("gatewise")
    tests = {name: diebold_mariano(mine, theirs, lag) for name, theirs in losses.items()}
    return tests, min(losses, key=lambda name: losses[name].mean())


def _scores(
    config: Config,
    rows: _Rows,
    scales: Array,
    unit: str,
    tests: dict[str, DieboldMariano],
    best: str,
) -> dict[str, dict[str, float]]:
    middle = config.probabilities.index(0.5)
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
            "crps": float(metrics.crps(quantiles, rows.actual, config.probabilities).mean()),
        }
        for level in config.levels:
            low, high = config.interval(level)
            made[f"coverage-{level:g}"] = metrics.coverage(
                quantiles[:, low], quantiles[:, high], rows.actual
            )
        made["mse_ratio"] = mse / float(naive) if naive > 0 else float("nan")
        made["dm_p"] = tests[best if name == "gatewise" else name].p_value
        scores[name] = made
    return scores


def _checks(
    config: Config,
    panel: Panel,
    origins: list[Fold],
    rows: _Rows,
    scores: dict[str, dict[str, float]],
    progress: Progress | None,
) -> list[leaks.LeakCheck]:
    middle = origins[len(origins) // 2]
    done = leaks.run_experiments(config, panel, middle.cuts, progress)
    lagging = leaks.yesterdays_value(rows.next_forecast, rows.next_actual, rows.next_previous)
    own = min(v["mse_ratio"] for k, v in scores.items() if k not in ("gatewise", "linear"))
    suspicious = leaks.too_good(panel, scores["gatewise"]["mse_ratio"], own)
    return [*done, lagging, suspicious]


def _columns(scores: dict[str, dict[str, float]]) -> dict[str, list[Any]]:
    names = list(next(iter(scores.values())))
    return {"model": list(scores)} | {n: [v[n] for v in scores.values()] for n in names}


def _long_table(config: Config, panel: Panel, rows: _Rows) -> Any:
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
    data |= quantile_columns(rows.quantiles_level["gatewise"], config)
    for name, quantiles in rows.quantiles_level.items():
        if name != "gatewise":
            data[name] = quantiles[:, middle]
    return write_table(data, panel.kind)


def _folds(made: list[FoldForecast], rows: _Rows) -> list[dict[str, Any]]:
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
