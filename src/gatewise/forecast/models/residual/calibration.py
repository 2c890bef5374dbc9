"""What members are blind to, and by how much they miss it: the honest errors of an ensemble.

With many series each member is blind to a quarter of them, with few, half of the members to the
last rows. So past rows can be forecast by members that never learnt from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gatewise.forecast.data.panel import Array
from gatewise.forecast.models.residual.histories import Histories
from gatewise.forecast.models.residual.members import CHUNK, DECAYS, Member, Plan, forecasts
from gatewise.forecast.uncertainty.shrinkage import WEIGHTS, least

MANY: Final = 20
"""From so many series on there is enough to learn from without a season, too, and networks are
blind to some of the series; else to the last rows."""

_FOLDS: Final = 4

_HELD_OUT: Final = 0.25
"""Share of the last rows of a series that networks are blind to, at most, if there are few."""

_ERRORS: Final = 1600
"""Past forecasts whose errors are looked at, at most."""

_HORIZONS: Final = 1
"""They start from the origins of so many horizons, the latest that have a whole one after them.

Chosen by coverage of the last rows of the training parts of five sets: 78 to 82 % and 94 to 96 %;
from all origins it was 71 to 86 and 91 to 97, for series grow calmer or wilder.
"""

_FEW: Final = 3
_NEW: Final = 0.1
_STILL: Final = 1e-3
"""Usual changes are at least this share of the level; of a series with fewer rows than `_FEW`,
whose changes are not known yet, `_NEW`."""


@dataclass(frozen=True, eq=False)
class Errors:
    """What forecasts by blind members missed by. R forecasts, h rows.

    Attributes:
        values: [R, h] actual minus forecast, over `unit_of`; NaN where no value came.
        shrinkage: weight of the networks beside the baseline: 1 with many series; with few, what
            was best in these forecasts.
    """

    values: Array
    shrinkage: float


def limits_of(histories: Histories, plan: Plan, number: int) -> NDArray[np.intp]:
    """[S] row of each series from which on a member is blind."""
    rows, series = histories.rows, np.arange(len(histories.rows))
    if len(rows) >= MANY:
        fold = (number + number // _FOLDS) % _FOLDS  # meets each head and each decay in turn
        return np.where(series % _FOLDS == fold, 0, rows)
    if number % 4 in (0, 3):
        return rows
    held = np.maximum(plan.prediction_length, (_HELD_OUT * rows).astype(np.intp))
    least = plan.reading(DECAYS[0]).least
    return np.where(rows - held > least, rows - held, rows)


def calibration_errors(
    members: Sequence[Member],
    limits: Sequence[NDArray[np.intp]],
    histories: Histories,
    plan: Plan,
) -> Errors:
    """Forecast past rows by the members blind to them."""
    h = plan.prediction_length
    series, ends = _past_origins(histories, plan, np.min(limits, axis=0))
    unit = unit_of(histories, plan, series, ends)[:, None]
    actual = _actual(histories, series, ends, h)
    shrinkages = (1.0,) if len(histories.rows) >= MANY else WEIGHTS
    values = {shrinkage: np.full((len(series), h), np.nan) for shrinkage in shrinkages}
    blind = np.array([limit[series] <= ends for limit in limits])  # [M, R]
    for pattern in np.unique(blind, axis=1).T:
        at = np.flatnonzero((blind == pattern[:, None]).all(0))
        honest = [member for member, is_blind in zip(members, pattern, strict=True) if is_blind]
        if not honest:
            continue
        for shrinkage in shrinkages:
            made = np.median(forecasts(honest, histories, series[at], ends[at], shrinkage), 0)
            values[shrinkage][at] = (actual[at] - made) / unit[at]
    if len(shrinkages) == 1 or not np.isfinite(values[shrinkages[0]]).any():
        return Errors(values[shrinkages[-1]], shrinkages[-1])
    sizes = np.array([float(np.nanmean(np.abs(missed))) for missed in values.values()])
    shrinkage = shrinkages[int(least(sizes))]
    return Errors(values[shrinkage], shrinkage)


def _past_origins(
    histories: Histories, plan: Plan, limits: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Series and ends of origins that some members are blind to, with a whole horizon after them.

    With many series each gives as many, drawn from its latest horizons.
    """
    rows, least = histories.rows, plan.reading(DECAYS[0]).least
    last = rows - plan.prediction_length
    first = np.maximum(np.maximum(limits, least), last - _HORIZONS * plan.prediction_length + 1)
    if len(rows) < MANY and limits.any():
        first = np.where(limits < rows, np.maximum(limits, least), rows)
    count = np.maximum(last - first + 1, 0)
    series = np.repeat(np.arange(len(rows)), count)
    ends = np.arange(len(series)) - np.repeat(np.cumsum(count) - count - first, count)
    rng = np.random.default_rng(plan.recipe.seed)
    weight = 1.0 / count[series]
    some = min(len(series), _ERRORS)
    if some < len(series):
        kept = np.sort(rng.choice(len(series), some, replace=False, p=weight / weight.sum()))
        series, ends = series[kept], ends[kept]
    return series, ends


def unit_rows(plan: Plan) -> int:
    """Rows that usual changes are read off, at most."""
    return 5 * max(plan.longest_season, 4)


def unit_of(
    histories: Histories, plan: Plan, series: NDArray[np.intp], ends: NDArray[np.intp]
) -> Array:
    """[n] size of usual changes over a season, of the last four seasons before an origin.

    The season is the long one where there are two of it, else the short one.
    """
    made = np.empty(len(ends))
    lengths = np.minimum(ends, unit_rows(plan))
    for length in np.unique(lengths):
        for at in _chunks(np.flatnonzero(lengths == length)):
            rows = (histories.first[series[at]] + ends[at])[:, None] + np.arange(-length, 0)
            values = histories.values[rows]
            lag = plan.season if length > plan.season + 1 else 1
            if plan.long_season > 1 and length >= 2 * plan.long_season:
                lag = plan.long_season
            change = np.abs(values[:, lag:] - values[:, :-lag])
            usual = change.mean(1) if change.shape[1] else np.zeros(len(at))
            share = _STILL if length >= _FEW else _NEW
            made[at] = np.maximum(usual, share * np.abs(values).mean(1))
    return np.maximum(made, 1e-12)


def _chunks(numbers: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    return (numbers[i : i + CHUNK] for i in range(0, len(numbers), CHUNK))


def _actual(
    histories: Histories, series: NDArray[np.intp], ends: NDArray[np.intp], h: int
) -> Array:
    rows = (histories.first[series] + ends)[:, None] + np.arange(h)
    return np.where(histories.observed[rows], histories.values[rows], np.nan)
