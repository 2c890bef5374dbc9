"""Rolling origins, and what is forecast from each: the part of a backtest that can run anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from gatewise.errors import TableError
from gatewise.forecast import baselines
from gatewise.forecast.config import Config
from gatewise.forecast.features import Encoded, fit_encoder
from gatewise.forecast.fitting import Fitted, fit_panel, forecast_at
from gatewise.forecast.panel import Array, Panel
from gatewise.forecast.transform import from_working, to_working
from gatewise.forecast.windows import MIN_CONTEXT

MODEL: Final = "gatewise"
"""Name of the network's forecasts among the baselines'."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """How the baselines see the table, chosen once, on the rows before the first origin.

    Attributes:
        unit: transform whose working scale they are fitted on, and all losses measured on.
        season: rows per season, 1 without one.
    """

    unit: str
    season: int


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
            of the window in turn, by the network fitted before the window.
        epochs: best epoch of the fit.
    """

    fold: Fold
    series: tuple[int, ...]
    quantiles: dict[str, Array]
    next_change: Array
    epochs: int


def rolling_origins(panel: Panel, prediction_length: int, folds: int, step: int) -> list[Fold]:
    """Origins `step` rows apart; the last window ends at the last row of the timeline.

    Rows are counted on the timeline of all series together, so that no series lends another what
    was not known yet.

    Raises:
        TableError: the first origin would leave too few rows to fit.
    """
    timeline = panel.timeline()
    h = prediction_length
    starts = [len(timeline) - h - step * back for back in range(folds - 1, -1, -1)]
    needed = MIN_CONTEXT + 2 * h
    cuts = panel.cuts(timeline[starts[0]]) if starts[0] > 0 else [0]
    if max(cuts) < needed:
        longest = max(len(s) for s in panel.series)
        raise TableError(
            f"The longest series has {longest} rows: expected at least "
            f"{needed + h + step * (folds - 1)} for {folds} folds of {h} rows. "
            "Use fewer folds, a shorter horizon or more rows."
        )
    whole = tuple(len(s) for s in panel.series)

    def known(at: int) -> tuple[int, ...]:
        return tuple(panel.cuts(timeline[at])) if at < len(timeline) else whole

    return [
        Fold(i, timeline[start], known(start), known(start + h)) for i, start in enumerate(starts)
    ]


def forecast_folds(
    config: Config, panel: Panel, group: Sequence[Fold], benchmark: Benchmark
) -> list[FoldForecast]:
    """Fit on the rows before the first fold of a group, and forecast each of its folds.

    Args:
        config: of the forecaster; every fit starts from fresh weights.
        panel: the whole table.
        group: folds that share a fit.
        benchmark: scale and season of the baselines.
    """
    fitted = fit_panel(config, panel.before(group[0].cuts))
    rows_of = fit_encoder(panel.before(group[0].cuts), benchmark.unit).encode(panel)
    return [_forecast_fold(fitted, panel, fold, rows_of, benchmark) for fold in group]


def _forecast_fold(
    fitted: Fitted, panel: Panel, fold: Fold, rows_of: Encoded, benchmark: Benchmark
) -> FoldForecast:
    config = fitted.config
    h, middle = config.prediction_length, config.probabilities.index(0.5)
    unit = benchmark.unit
    series = tuple(
        i
        for i, (s, cut) in enumerate(zip(panel.series, fold.cuts, strict=True))
        if 2 <= cut < len(s) and np.isfinite(s.target[:cut]).any()
    )
    where = [(i, fold.cuts[i] + j) for i in series for j in range(h)]
    where = [(i, min(end, len(panel.series[i]))) for i, end in where]
    if not where:
        raise TableError(
            f"No series has values before and rows after {fold.start}: expected at least one in "
            "each fold. Use fewer folds."
        )
    every = forecast_at(fitted, panel, *zip(*where, strict=True))
    every = every.reshape(len(series), h, *every.shape[1:])
    last = np.array([_last(panel.series[i].target, end, unit) for i, end in where])
    made = {MODEL: every[:, 0]}
    for a, i in enumerate(series):
        rows = slice(rows_of.first[i], rows_of.stop[i])
        working, cut = rows_of.working[rows], fold.cuts[i]
        by_name = baselines.univariate(working[:cut], h, benchmark.season, config.probabilities)
        by_name[baselines.LINEAR] = baselines.linear(
            rows_of.inputs[rows],
            working,
            cut,
            centred=bool(rows_of.centred[0]),
            future=rows_of.future,
            season=benchmark.season,
            prediction_length=h,
            probabilities=config.probabilities,
        )
        for name, quantiles in by_name.items():
            shape = (len(series), h, len(config.probabilities))
            made.setdefault(name, np.empty(shape))[a] = from_working(quantiles, benchmark.unit)
    change = to_working(every[:, :, 0, middle], unit) - last.reshape(len(series), h)
    return FoldForecast(fold, series, made, change, fitted.training.best)


def _last(target: Array, end: int, kind: str) -> float:
    """The last observed working value before a row."""
    seen = to_working(target[:end], kind)
    seen = seen[~np.isnan(seen)]
    return float(seen[-1]) if len(seen) else float("nan")
