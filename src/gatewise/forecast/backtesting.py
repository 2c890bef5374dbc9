"""Walk-forward backtests: fit before each origin, forecast after it, and judge.

Scalers, transforms and early stopping live inside the fold, because a fold is a plain `fit` on the
rows before its origin. So training is purged: no label that a fit learns from or stops by lies in
the test window of an origin that uses it, in any series, whatever their ends and however rarely
models are fitted anew. Known-future drivers of the window are passed on, past ones are not.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from gatewise.errors import ConfigError, shown
from gatewise.forecast import workers
from gatewise.forecast.config import Progress
from gatewise.forecast.data.panel import Panel
from gatewise.forecast.data.table import DEFAULT_SERIES, choose_columns, read_panel, write_table
from gatewise.forecast.evaluation import leaks, metrics, plausibility, scoring, tables
from gatewise.forecast.evaluation.baselines import Baseline, naive_names
from gatewise.forecast.evaluation.checkpoints import open_checkpoints, resumed_folds
from gatewise.forecast.evaluation.folds import FOLDS, FoldForecast, rolling_origins
from gatewise.forecast.evaluation.linear import LINEAR
from gatewise.forecast.evaluation.replaced import renamed
from gatewise.forecast.evaluation.result import Result, verdict
from gatewise.forecast.evaluation.significance import Direction
from gatewise.forecast.evaluation.significance import direction as direction_of
from gatewise.forecast.features.transform import unit_of
from gatewise.forecast.forecaster import Forecaster
from gatewise.forecast.notebook import html_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_VIEWS: Final = {
    "forecasts": "windows_chart",
    "baselines": "standing_chart",
    "origins": "backtest_chart",
    "calibration": "calibration_chart",
}


class Backtest(Result):
    """A finished backtest; see `gatewise.forecast.evaluation.result.Result`."""

    def plot(self, view: str = "forecasts") -> Figure:
        """Draw one picture of the report.

        Args:
            view: "forecasts" (default): the forecasts from the latest origins and the actual values
                of the first series, in the target's unit. "baselines": the absolute error relative
                to each baseline's, in percent. "origins": the absolute error at each origin.
                "calibration": where the actual values lie in the forecast distribution.

        Returns:
            A matplotlib figure of one panel.

        Raises:
            ConfigError: there is no such view.
            MissingExtraError: matplotlib is not installed.
        """
        if view not in _VIEWS:
            raise ConfigError(f"view is {shown(view)}: expected one of {', '.join(_VIEWS)}.")
        from gatewise.forecast.report import figures

        return getattr(figures, _VIEWS[view])(self)

    def _repr_html_(self) -> str:
        """Show the verdict and how the model stands to the baselines, in a notebook."""
        mine = self.scores["gatewise"]
        covered = [(f"inside the {v:g} %", f"{mine[f'coverage-{v:g}']:.1%}") for v in self.levels]
        facts = [("origins", len(self.folds)), ("rival", self.naive), *covered]
        caption = "The absolute error relative to each baseline's, with 95 % intervals."
        return html_of("Backtest", self.verdict, facts, lambda: self.plot("baselines"), caption)

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write one self-contained HTML page.

        Raises:
            OSError: the file cannot be written.
        """
        from gatewise.forecast.report import write_backtest

        write_backtest(self, path)


def backtest(
    f: Forecaster,
    table: Any,
    folds: int | None = None,
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
    direction: bool = False,
    n_jobs: int | None = 1,
    resume: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Backtest:
    """Backtest a forecaster's options on a table, and compare it with baselines that usually win.

    Args:
        f: a forecaster; only its options are used, each fit starts from fresh weights.
        table: pandas, polars or pyarrow.
        folds: rolling origins; the last window ends at the last row. None (default) takes 8, or
            as many as fit; a note says so if they are fewer.
        time: column of time.
        target: column to forecast.
        series: column that tells series apart.
        past: drivers known up to the present.
        future: drivers known ahead.
        static: constant columns.
        refit_every: k, to fit again at every k-th origin: the network, and the baselines that have
            something to fit. Every origin reads all rows before it. Default 1.
        step: rows between origins; None (default) takes prediction_length, so that windows do not
            overlap.
        checks: run the leak checks. Default True; without them no skill is claimed.
        direction: judge the sign of the next change at each row of each window, which takes
            prediction_length times as many forecasts. Default False: at each origin alone.
        n_jobs: worker processes (joblib); None takes the forecaster's `threads`. The numbers do
            not depend on it. Default 1.
        resume: folder of finished folds. Each group of folds that shares a fit is written there
            when it is done, and read from there if it is: an interrupted backtest goes on, and
            gives the same numbers. Files of other options, tables or versions are not looked at.
        progress: called as progress("backtest", fold, folds), then progress("checks", done, 2).

    Returns:
        A `Backtest`.

    Raises:
        ConfigError: folds, step or refit_every is out of range.
        TableError: the table is too short for the folds, or cannot be used.
        CheckpointError: a file in `resume` is damaged.

    >>> import numpy as np, polars as pl
    >>> walk = np.cumsum(np.random.default_rng(0).normal(size=90))
    >>> f = Forecaster(prediction_length=3, max_epochs=1)
    >>> backtest(f, pl.DataFrame({"ds": range(90), "y": walk}), folds=4).skill
    False
    """
    for name, value in (("folds", folds), ("refit_every", refit_every), ("step", step)):
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ConfigError(f"{name} is {shown(value)}: expected a whole number of at least 1.")
    config = f.config
    columns = choose_columns(
        table, time=time, target=target, series=series, past=past, future=future, static=static
    )
    panel = read_panel(table, columns, fill_gaps=config.fill_gaps)
    step = step or config.prediction_length
    origins = rolling_origins(panel, config, folds, step)
    notes = list(panel.notes)
    if folds is None and len(origins) < FOLDS:
        notes.append(
            f"{len(origins)} fold{'s fit' if len(origins) > 1 else ' fits'} into the table, not "
            f"{FOLDS}: the backtest has so many."
        )
    folds = len(origins)
    before = panel.before(origins[0].cuts)
    baseline = Baseline.of(before, config, panel)
    groups = [origins[i : i + refit_every] for i in range(0, folds, refit_every)]
    jobs = min(config.jobs if n_jobs is None else n_jobs, len(groups))
    config = replace(config, threads=1) if jobs > 1 else config  # else a fit may have them
    kept = None if resume is None else open_checkpoints(resume, config, panel, baseline, direction)
    calls = ((config, panel, group, baseline, direction, kept) for group in groups)
    made: list[FoldForecast] = []
    for run in workers.run(resumed_folds, calls, jobs):
        made.extend(run)
        if progress is not None:
            progress("backtest", len(made), folds)
    made, told = renamed(made, naive_names(baseline.unit))
    rows = scoring.collect(config, panel, made, baseline.unit)
    size, unscaled = scoring.scales_of(panel, rows, origins, baseline)
    notes += [*told, *unscaled]
    lag = -(-config.prediction_length // step) - 1  # in origins; see docs/decisions/0004
    compared = scoring.compare(config, rows, size, baseline.unit, lag)
    scores = scoring.scores_of(config, rows, size, compared)
    done: list[leaks.LeakCheck] = []
    if checks:
        done += leaks.run_experiments(config, panel, origins[folds // 2].cuts, progress)
        done += _inspect(panel, rows, scores, baseline.unit)
    sentence, skill = verdict(
        done,
        compared.tests,
        compared.naives,
        compared.best,
        {n: s["mae"] for n, s in scores.items()},
    )
    return Backtest(
        metrics=write_table(tables.metric_columns(scores), panel.kind),
        verdict=sentence,
        skill=skill,
        checks=done,
        forecasts=tables.long_table(config, panel, rows),
        direction=_direction(panel, rows),
        pit=metrics.pit(rows.quantiles[scoring.MODEL], rows.actual, config.probabilities),
        folds=tables.fold_summaries(made, rows),
        tests=compared.tests,
        naive=compared.naive,
        best_baseline=compared.best,
        intervals=compared.intervals,
        cone=compared.cone,
        adaptive=tables.adapted_of(config, rows, lag),
        unit=unit_of(baseline.unit),
        prediction_length=config.prediction_length,
        levels=config.levels,
        seed=config.seed,
        notes=notes,
        scores=scores,
        target=columns.target,
    )


def _direction(panel: Panel, rows: scoring.Rows) -> Direction:
    """Each row of each series counts once, and rows of one time depend on each other."""
    once = scoring.latest(rows)
    flat = panel.flat()
    time = flat.time[flat.at(rows.series[once], rows.row[once])]
    return direction_of(rows.next_forecast[once], rows.next_actual[once], time)


def _inspect(
    panel: Panel, rows: scoring.Rows, scores: dict[str, dict[str, float]], unit: str
) -> list[leaks.LeakCheck]:
    """The leak checks that look at the finished forecasts."""
    with_drivers = (scoring.MODEL, LINEAR)
    own = min(v["mse_ratio"] for name, v in scores.items() if name not in with_drivers)
    once = scoring.latest(rows)
    return [
        plausibility.yesterdays_value(
            rows.next_forecast[once], rows.next_actual[once], rows.next_previous[once]
        ),
        plausibility.too_good(panel, scores[scoring.MODEL]["mse_ratio"], own, unit),
    ]
