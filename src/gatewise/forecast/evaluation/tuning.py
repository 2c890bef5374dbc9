"""A small search over what matters, judged on rolling validation inside the given table.

Each trial is fitted as a backtest fits: on the rows before an origin, judged on the horizon after
it, at the last few origins of the table. What is found has seen every row it was given, so a later
backtest is honest on rows that were held back from `tune` only (`holdout`).
"""

from __future__ import annotations

import contextlib
import time as clock
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gatewise.errors import ConfigError, MissingExtraError, TableError, shown
from gatewise.forecast.config import INNER, Config, Progress
from gatewise.forecast.data.panel import Panel
from gatewise.forecast.data.table import DEFAULT_SERIES, choose_columns, read_panel, write_table
from gatewise.forecast.evaluation import metrics, scoring
from gatewise.forecast.evaluation.baselines import Baseline
from gatewise.forecast.evaluation.folds import Fold, forecast_folds, rolling_origins
from gatewise.forecast.evaluation.tuned import Tuned
from gatewise.forecast.forecaster import Forecaster
from gatewise.forecast.models.fit import model_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study

FOLDS: Final = 3
"""Validation origins if nothing is asked for, at most."""

MARGIN: Final = 1e-12
"""A trial must be better than the default by more than rounding; ties go to the default."""


def search_space(model: str = "window") -> dict[str, BaseDistribution]:
    """What is searched: the options of `Config` that a model reads, and where values come from.

    Args:
        model: "window", "residual" or "pretrained"; the last has nothing to search.

    >>> sorted(set(search_space("window")) - set(search_space("residual")))
    ['context_length', 'transform']
    """
    from optuna.distributions import CategoricalDistribution as OneOf

    shared = {  # None: the model's own default
        "hidden_size": OneOf((None, 16, 32, 48, 64)),
        "num_layers": OneOf((None, 1, 2, 3)),
        "dropout": OneOf((None, 0.0, 0.1, 0.2, 0.3, 0.4)),
        "learning_rate": OneOf((None, 1e-3, 2e-3, 4e-3, 8e-3)),
        "max_epochs": OneOf((None, 10, 20, 30, 60)),
    }
    own = {
        "context_length": OneOf((None, 24, 48, 96, 192)),
        "transform": OneOf(("auto", "none", "difference", "log-return")),
    }
    return {"window": shared | own, "residual": shared, "pretrained": {}}[model]


def tune(
    f: Forecaster,
    table: Any,
    trials: int = 20,
    folds: int | None = None,
    timeout_s: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    *,
    time: str = "ds",
    target: str = "y",
    series: str | None = DEFAULT_SERIES,
    past: Sequence[str] = (),
    future: Sequence[str] = (),
    static: Sequence[str] = (),
    holdout: int = 0,
) -> Tuned:
    """Search for better options than a forecaster's own.

    Optuna's tree-structured Parzen estimator proposes (Bergstra et al. 2011), its median rule gives
    up on what is worse than the median of the trials before at the same fold. The first trial is
    the forecaster as it is, and it wins ties.

    Args:
        f: a forecaster; its horizon, levels and seed stay, its other options are the first trial.
        table: pandas, polars or pyarrow.
        trials: how many to try, the default among them. Default 20.
        folds: validation origins, a horizon apart; the last window ends at the last row that is
            not held out. None (default) takes 3, or as many as fit.
        timeout_s: start no trial after so many seconds; None (default) sets no limit.
        seed: of the search. Default 0.
        progress: called as progress("tune", done, trials).
        time, target, series, past, future, static: columns, as in `Forecaster.fit`.
        holdout: last rows of the timeline that the search must not see. Default 0.

    Raises:
        ConfigError: trials, folds, holdout or timeout_s is out of range.
        MissingExtraError: Optuna is not installed.
        TableError: the table is too short, or cannot be used.

    >>> import polars as pl
    >>> table = pl.DataFrame({"ds": range(60), "y": np.random.default_rng(0).normal(size=60)})
    >>> made = tune(Forecaster(2, max_epochs=1), table, trials=1, folds=2)
    >>> made.score == made.default_score, made.trials["state"].to_list()
    (True, ['complete'])
    """
    for name, value, low in (("trials", trials, 1), ("folds", folds, 1), ("holdout", holdout, 0)):
        if value is not None and (not isinstance(value, int) or value < low):
            raise ConfigError(
                f"{name} is {shown(value)}: expected a whole number of at least {low}."
            )
    if timeout_s is not None and not timeout_s > 0:
        raise ConfigError(f"timeout_s is {shown(timeout_s)}: expected more than 0 seconds.")
    study = _study(seed)  # first: a missing Optuna is known before long work
    columns = choose_columns(
        table, time=time, target=target, series=series, past=past, future=future, static=static
    )
    panel = read_panel(table, columns, fill_gaps=f.config.fill_gaps)
    if holdout:
        timeline = panel.timeline()
        if holdout >= len(timeline):
            raise TableError(
                f"The table has {len(timeline)} times: expected more than the {holdout} held out."
            )
        panel = panel.before(panel.cuts(timeline[-holdout]))
    judge = _Judge(f.config, panel, folds)
    space = search_space(
        model_of(replace(f.config, season_length=judge.baseline.season_length), panel)
    )
    if not space:
        raise ConfigError("A pretrained model has no options to search: expected another model.")
    deadline = None if timeout_s is None else clock.monotonic() + timeout_s
    rows: list[dict[str, Any]] = []
    while len(rows) < trials:
        if rows and deadline is not None and clock.monotonic() > deadline:
            break
        rows.append(_trial(study, judge, f.config, space, len(rows)))
        if progress is not None:
            progress("tune", len(rows), trials)
    best = rows[0]
    for row in rows[1:]:
        if row["state"] == "complete" and row["score"] < best["score"] * (1 - MARGIN):
            best = row
    options = {name: best[name] for name in space}
    chosen = asdict(replace(f.config, **options))
    return Tuned(
        Forecaster(**chosen),
        options,
        best["score"],
        rows[0]["score"],
        write_table({name: [row[name] for row in rows] for name in rows[0]}, panel.kind),
        len(judge.origins),
        seed,
        rows,
    )


class _Judge:
    """Losses of options at the validation origins of one panel."""

    def __init__(self, config: Config, panel: Panel, folds: int | None) -> None:
        h = config.prediction_length
        self.panel = panel
        self.origins = rolling_origins(panel, config, folds, h)
        if folds is None:
            self.origins = self.origins[-FOLDS:]
        # One scale for all trials, whatever transform they try.
        self.baseline = Baseline.of(panel.before(self.origins[0].cuts), config, panel)

    def loss(self, config: Config, fold: Fold) -> float:
        """Quantile loss of one fold in units of the naive error."""
        made = forecast_folds(config, self.panel, [fold])
        rows = scoring.collect(config, self.panel, made, self.baseline.unit)
        size, _ = scoring.scales_of(self.panel, rows, self.origins, self.baseline)
        inner = [config.probabilities.index(p) for p in INNER]
        loss = (
            metrics.weighted_quantile_loss(
                rows.quantiles[scoring.MODEL][:, inner], rows.actual, INNER
            )
            / size
        )
        return float(np.nanmean(loss))


def _trial(
    study: Study,
    judge: _Judge,
    config: Config,
    space: dict[str, BaseDistribution],
    number: int,
) -> dict[str, Any]:
    """Run one trial: its row of the table. Trial 0 is the configuration as it is."""
    from optuna.trial import TrialState

    started = clock.perf_counter()
    asked = {name: getattr(config, name) for name in space}
    trial = study.ask(space) if number else study.ask()
    if number:
        asked |= trial.params
    losses: list[float] = []
    state = "complete"
    try:
        for fold in judge.origins:
            losses.append(judge.loss(replace(config, **asked), fold))
            trial.report(float(np.mean(losses)), len(losses))
            if number and len(losses) < len(judge.origins) and trial.should_prune():
                state = "pruned"
                break
    except TableError:
        if not number:
            raise
        state = "failed"  # options that this table does not allow, such as the log of losses
    score = float(np.mean(losses)) if losses else float("nan")
    if not np.isfinite(score):
        state = "failed"
    with _quiet():
        if state == "complete":
            study.tell(trial, score)
        else:
            study.tell(trial, state=TrialState.PRUNED if state == "pruned" else TrialState.FAIL)
    return {
        "trial": number,
        "state": state,
        "score": score,
        "folds": len(losses),
        "seconds": round(clock.perf_counter() - started, 2),
        **asked,
    }


def _study(seed: int) -> Study:
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("Tuning", "tune") from None
    with _quiet():
        return optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=5),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Optuna logs to stderr; what there is to say, we return. Its level is put back."""
    from optuna import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)
