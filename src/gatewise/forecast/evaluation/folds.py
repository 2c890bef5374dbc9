"""Rolling origins, and what is forecast from each: the part of a backtest that can run anywhere."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from gatewise.errors import TableError
from gatewise.forecast.config import Config
from gatewise.forecast.data.panel import Array, Panel, forward_fill
from gatewise.forecast.evaluation import baselines
from gatewise.forecast.evaluation.baselines import Baseline, BaselineForecast
from gatewise.forecast.evaluation.linear import LINEAR, linear
from gatewise.forecast.features.transform import from_working, to_working
from gatewise.forecast.models.base import Fitted, forecast_at
from gatewise.forecast.models.fit import fit_panel
from gatewise.forecast.models.window.encoder import Encoded, fit_encoder
from gatewise.forecast.models.window.windows import MIN_CONTEXT

FOLDS: Final = 8
"""Folds of a backtest if nothing is asked for, at most."""

MODEL: Final = "gatewise"
"""Name of the network's forecasts among the baselines'."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One origin.

    Attributes:
        index: 0 is the earliest.
        start: time of the first row to forecast, on the timeline of all series.
        cuts: rows known per series.
        ends: rows known per series when the window is over.
    """

    index: int
    start: Any
    cuts: tuple[int, ...]
    ends: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class FoldForecast:
    """What was forecast from one origin, in the target's own unit. A series each, A active ones.

    Attributes:
        fold: the origin.
        series: [A] numbers of the series with known rows and rows to forecast.
        quantiles: model -> [A, h, Q]; "gatewise" first, then each baseline.
        next_change: [A, h] forecast of the next row's change, on the working scale, from each row
            of the window in turn, by the network fitted before the window; [A, 1] from the origin
            alone, if no more was asked for.
        epochs: best epoch of the fit.
        fitted_before: time of the first row that the fit was not given.
        replaced: model -> what stood in for it -> for how many of the A series.
    """

    fold: Fold
    series: tuple[int, ...]
    quantiles: dict[str, Array]
    next_change: Array
    epochs: int
    fitted_before: Any
    replaced: dict[str, dict[str, int]]


class NoFoldFitsError(TableError):
    """The table is too short for one fold."""


def rolling_origins(panel: Panel, config: Config, folds: int | None, step: int) -> list[Fold]:
    """Origins `step` rows apart; the last window ends at the last row of the timeline.

    Rows are counted on the timeline of all series together, so that no series lends another what
    was not known yet.

    Args:
        panel: the whole table.
        config: its horizon and its season say how many rows a fold needs.
        folds: how many; None takes as many as fit, `FOLDS` at most.
        step: rows between origins.

    Raises:
        NoFoldFitsError: `folds` is None, and not even one fits.
        TableError: the first origin would leave too few rows to fit.
    """
    timeline, h = panel.timeline(), config.prediction_length
    needed = MIN_CONTEXT + 2 * h
    if folds is None:
        needed = max(needed, 2 * (config.season_length or 1) + 2)  # an ensemble needs two seasons
    latest_first = range(len(timeline) - h, 0, -step)
    fit = itertools.takewhile(lambda at: max(panel.cuts(timeline[at])) >= needed, latest_first)
    starts = list(itertools.islice(fit, folds or FOLDS))[::-1]
    if not starts or (folds is not None and len(starts) < folds):
        longest, asked = max(len(s) for s in panel.series), folds or 1
        fitting = f"at most {len(starts)} fold{'s' * (len(starts) > 1)}, a" if starts else "a"
        error = NoFoldFitsError if folds is None else TableError
        raise error(
            f"The longest series has {longest} rows: expected at least "
            f"{needed + h + step * (asked - 1)} for {asked} fold{'s' * (asked > 1)} of {h} rows. "
            f"Use {fitting} shorter horizon or more rows."
        )
    whole = tuple(len(s) for s in panel.series)

    def known(at: int) -> tuple[int, ...]:
        return tuple(panel.cuts(timeline[at])) if at < len(timeline) else whole

    return [
        Fold(i, timeline[start], known(start), known(start + h)) for i, start in enumerate(starts)
    ]


def forecast_folds(
    config: Config,
    panel: Panel,
    group: Sequence[Fold],
    baseline: Baseline | None = None,
    each_row: bool = False,
) -> list[FoldForecast]:
    """Fit on the rows before the first fold of a group, and forecast each of its folds.

    Purged by construction: the fit is given the rows before the group's first origin and no other,
    series by series, so no label that it learns from or stops by lies in a window of the group.

    Args:
        config: of the forecaster; every fit starts from fresh weights.
        panel: the whole table.
        group: folds that share a fit.
        baseline: scale and seasons of the baselines; None (default) leaves them out.
        each_row: forecast the next change from each row of a window, not from its origin alone.
            Takes h times as many forecasts.

    Raises:
        TableError: a fold has no series with rows on both sides of its origin.
    """
    h = config.prediction_length
    rows = h if each_row else 1
    before = panel.before(group[0].cuts)
    fitted = fit_panel(config, before)
    active = [_active(panel, fold) for fold in group]
    every = _from_rows(fitted, panel, group, active, rows)  # one pass of the networks for all folds
    quantiles: list[dict[str, Array]] = [{MODEL: part[:, 0]} for part in every]
    replaced: list[dict[str, dict[str, int]]] = [{} for _ in group]
    if baseline is not None:
        rows_of = fit_encoder(before, baseline.unit).encode(panel)
        for i in sorted(set().union(*active)):
            mine = [f for f, series in enumerate(active) if i in series]
            cuts = [group[f].cuts[i] for f in mine]
            for name, made in _baselines(config, rows_of, i, cuts, baseline).items():
                for f, values, other in zip(mine, made.quantiles, made.replaced, strict=True):
                    empty = np.empty((len(active[f]), h, len(config.probabilities)))
                    quantiles[f].setdefault(name, empty)[active[f].index(i)] = values
                    if other:
                        counts = replaced[f].setdefault(name, {})
                        counts[made.by] = counts.get(made.by, 0) + 1
    middle = config.probabilities.index(0.5)
    kind = "none" if baseline is None else baseline.unit
    last = [forward_fill(to_working(s.target, kind)) for s in panel.series]
    return [
        FoldForecast(
            fold,
            series,
            values,
            to_working(part[:, :, 0, middle], kind)
            - np.array([last[i][end - 1] for i, end in _rows(panel, fold, series, rows)]).reshape(
                -1, rows
            ),
            fitted.training.best,
            group[0].start,
            others,
        )
        for fold, series, values, part, others in zip(
            group, active, quantiles, every, replaced, strict=True
        )
    ]


def _active(panel: Panel, fold: Fold) -> tuple[int, ...]:
    """Numbers of the series with known values before the origin and rows after it."""
    series = tuple(
        i
        for i, (s, cut) in enumerate(zip(panel.series, fold.cuts, strict=True))
        if 2 <= cut < len(s) and np.isfinite(s.target[:cut]).any()
    )
    if not series:
        raise TableError(
            f"No series has values before and rows after {fold.start}: expected at least one in "
            "each fold. Use fewer folds."
        )
    return series


def _rows(panel: Panel, fold: Fold, series: Sequence[int], count: int) -> list[tuple[int, int]]:
    """The first rows of a window in turn, as (series, rows known); A times `count` of them."""
    return [(i, min(fold.cuts[i] + j, len(panel.series[i]))) for i in series for j in range(count)]


def _from_rows(
    fitted: Fitted,
    panel: Panel,
    group: Sequence[Fold],
    active: Sequence[tuple[int, ...]],
    count: int,
) -> list[Array]:
    """For each fold [A, count, h, Q]: from the first rows of its window, the h rows after each."""
    where = [
        row
        for fold, series in zip(group, active, strict=True)
        for row in _rows(panel, fold, series, count)
    ]
    every = forecast_at(fitted, panel, *zip(*where, strict=True))
    every = every.reshape(-1, count, *every.shape[1:])
    return np.split(every, np.cumsum([len(series) for series in active])[:-1])


def _baselines(
    config: Config, rows_of: Encoded, i: int, cuts: Sequence[int], baseline: Baseline
) -> dict[str, BaselineForecast]:
    """What each baseline says of series i, in the target's own unit."""
    rows = slice(rows_of.first[i], rows_of.stop[i])
    working, centred = rows_of.working[rows], bool(rows_of.centred[0])
    h, probabilities = config.prediction_length, config.probabilities
    made = baselines.univariate(working, cuts, h, baseline.seasons, probabilities, centred=centred)
    made[LINEAR] = linear(
        rows_of.inputs[rows],
        working,
        cuts,
        centred=centred,
        future=rows_of.future,
        season_length=baseline.season_length,
        prediction_length=h,
        probabilities=probabilities,
    )
    return {
        name: replace(one, quantiles=from_working(one.quantiles, baseline.unit))
        for name, one in made.items()
    }
