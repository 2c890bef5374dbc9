"""What is held out of each member's training, and what members miss there: an ensemble's errors.

Of fewer than a hundred series, half of the members do not learn from the last rows. Of more, each
member leaves a quarter of the series out, and every eighth the last rows of the others as well. So
past rows are forecast by members that learnt neither from those series nor from those times: a
shock that all series share at a time is not known from another series either. That costs little:
with half of the members held back so, M3's quarters have errors .8 % larger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gatewise.forecast.data.panel import Array
from gatewise.forecast.features.outliers import cut_outliers
from gatewise.forecast.models.residual.histories import Histories
from gatewise.forecast.models.residual.members import CHUNK, DECAYS, Member, Plan, forecasts
from gatewise.forecast.uncertainty.shrinkage import WEIGHTS, least

MANY: Final = 20
"""From so many series on there is enough to learn from without a season, too."""

_HUNDRED: Final = 100
"""From so many series on members leave out some of the series, too. Of fewer, a shock that all
series share leaves too few independent errors for one blind member to tell."""

_FOLDS: Final = 4

_HELD_OUT: Final = 0.25
"""Share of the last rows of a series that is held out, or the horizon if that is longer."""

_ERRORS: Final = 1600
"""Past forecasts whose errors are looked at, at most."""

_WINDOWS: Final = 500
"""They start from the last origins of each series, as many horizons back as it takes for so many
windows that do not overlap, of all series together. For many series one horizon back is enough, and
covers best: series grow calmer or wilder (last rows of the training parts of five sets: 78 to 82 %
and 94 to 96 %; from all origins 71 to 86 and 91 to 97). A single series needs them all."""

_KNOWN: Final = 0.5
"""But no origin knows less than this share of its series: forecasts get better as rows come in."""

_FEW: Final = 3
_NEW: Final = 0.1
_STILL: Final = 1e-3
"""Usual changes are at least this share of the level; of a series with fewer rows than `_FEW`,
whose changes are not known yet, `_NEW`."""


@dataclass(frozen=True, eq=False)
class Errors:
    """What forecasts of held-out rows missed by. R forecasts, h rows.

    Attributes:
        values: [R, h] actual minus forecast, over `unit_of`; NaN where no value came.
        series: [R] number of the series.
        age: [R] rows from the origin to the end of the series.
        shrinkage: weight of the networks beside the baseline: 1 with many series; with few, what
            was best in these forecasts.
    """

    values: Array
    series: NDArray[np.intp]
    age: NDArray[np.intp]
    shrinkage: float


def limits_of(histories: Histories, plan: Plan, number: int) -> NDArray[np.intp]:
    """[S] row of each series from which on a member does not learn.

    Args:
        number: of the member, among those that learn from this panel alone.
    """
    rows, series = histories.rows, np.arange(len(histories.rows))
    if len(rows) < _HUNDRED:
        blind = number % 4 in (1, 2) or plan.members == 1  # else nobody's errors would be known
        return _last_rows(histories, plan) if blind else rows
    limits = _last_rows(histories, plan) if number % 8 == 1 else rows
    fold = (number + number // _FOLDS) % _FOLDS  # meets each head and each decay in turn
    return np.where(series % _FOLDS == fold, 0, limits)


def _last_rows(histories: Histories, plan: Plan) -> NDArray[np.intp]:
    """[S] first of the last rows of each series, which are held out; its end if it is too short."""
    rows = histories.rows
    held = np.maximum(plan.prediction_length, (_HELD_OUT * rows).astype(np.intp))
    return np.where(rows - held > plan.reading(DECAYS[0]).least, rows - held, rows)


def calibration_errors(
    members: Sequence[Member],
    limits: Sequence[NDArray[np.intp]],
    histories: Histories,
    plan: Plan,
) -> Errors:
    """Forecast past rows by the members that did not learn from them."""
    seen = np.stack(limits)
    late = np.flatnonzero((seen <= _last_rows(histories, plan)).all(1))  # know no series' last rows
    if len(late):
        members, seen = [members[int(number)] for number in late], seen[late]
    series, ends = _past_origins(histories, plan, seen)
    many = len(histories.rows) >= _HUNDRED
    shrinkages = (1.0,) if many else WEIGHTS
    values = np.full((len(shrinkages), len(series), plan.prediction_length), np.nan)
    # [M, R]; of many series the whole series is held out, and the last rows of all others
    held_out = seen[:, series] <= (0 if many else ends)
    for pattern in np.unique(held_out, axis=1).T:
        at = np.flatnonzero((held_out == pattern[:, None]).all(0))
        honest = [member for member, is_out in zip(members, pattern, strict=True) if is_out]
        if not honest:
            continue
        values[:, at] = _missed(honest, histories, plan, series[at], ends[at], shrinkages)
    best = len(shrinkages) - 1
    if best and np.isfinite(values[best]).any():
        best = int(least(np.nanmean(np.abs(values), (1, 2))))
    errors = Errors(values[best], series, histories.rows[series] - ends, shrinkages[best])
    if many or not seen.any():  # universal networks learnt from no row: all origins are looked at
        return errors
    return _over_longer(errors, values[0], members, histories, plan)


def _over_longer(
    errors: Errors,
    of_baseline: Array,
    members: Sequence[Member],
    histories: Histories,
    plan: Plan,
) -> Errors:
    """Errors from origins before the held-out rows, too: the baseline's, which learns from none.

    They are taken in proportion to what the networks' forecasts missed by at the same held-out
    origins. How errors grow with the step, and how far they reach, is then known from twice the
    rows or more.

    Args:
        errors: of the forecasts of held-out rows.
        of_baseline: [R, h] what the baseline alone missed by there.
    """
    series, ends = _past_origins(histories, plan, np.zeros((1, len(histories.rows)), np.intp))
    alike = list({member.reading: member for member in members}.values())
    (missed,) = _missed(alike, histories, plan, series, ends, [0.0])
    usual = np.sqrt(np.nanmean(missed**2, 0)) if np.isfinite(missed).any() else np.ones(1)
    both = np.isfinite(errors.values) & np.isfinite(of_baseline) & (usual > 0)
    mine, theirs = (
        float(np.square(np.divide(values, usual, where=both, out=np.zeros(both.shape))).sum())
        for values in (errors.values, of_baseline)
    )
    if not theirs > 0:
        return errors
    ratio = np.sqrt(mine / theirs)
    return Errors(ratio * missed, series, histories.rows[series] - ends, errors.shrinkage)


def _missed(
    members: Sequence[Member],
    histories: Histories,
    plan: Plan,
    series: NDArray[np.intp],
    ends: NDArray[np.intp],
    shrinkages: Sequence[float],
) -> Array:
    """[S, n, h] what the median of members misses by, over `unit_of`; NaN where no value came."""
    made = np.median(forecasts(members, histories, series, ends, shrinkages), 1)
    unit = unit_of(histories, plan, series, ends)[:, None]
    return (_actual(histories, series, ends, plan.prediction_length) - made) / unit


def _past_origins(
    histories: Histories, plan: Plan, limits: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Series and ends of origins that some members did not learn from, with a horizon after them.

    Args:
        limits: [M, S] of those members.
    """
    rows, h = histories.rows, plan.prediction_length
    last = rows - h
    horizons = -(-_WINDOWS // len(rows))
    known = np.maximum((_KNOWN * rows).astype(np.intp), plan.reading(DECAYS[0]).least)
    first = np.maximum(known, last - horizons * h + 1)
    if limits.any():  # universal networks learnt from none of it
        late = _last_rows(histories, plan)
        first = np.maximum(first, np.where(late < rows, late, 0))
        many = len(rows) >= _HUNDRED
        first = np.where((limits < (1 if many else rows)).any(0), first, rows)
    count = np.maximum(last - first + 1, 0)
    series = np.repeat(np.arange(len(rows)), count)
    ends = np.arange(len(series)) - np.repeat(np.cumsum(count) - count - first, count)
    rng = np.random.default_rng(plan.recipe.seed)
    weight = 1.0 / count[series]
    some = min(len(series), _ERRORS)
    if some < len(series):
        kept = np.sort(rng.choice(len(series), some, replace=False, p=weight / weight.sum()))
        series, ends = series[kept], ends[kept]
    known = histories.observed[histories.first[series] + ends - 1]
    if known.any():  # after a gap more is to be missed: `bands.aged` tells of that
        series, ends = series[known], ends[known]
    return series, ends


def unit_rows(plan: Plan) -> int:
    """Rows that usual changes are read off, at most."""
    return 5 * max(plan.longest_season, 4)


def unit_of(
    histories: Histories, plan: Plan, series: NDArray[np.intp], ends: NDArray[np.intp]
) -> Array:
    """[n] size of usual changes over a season, of the last five seasons before an origin.

    The season is the long one where there are two of it, else the short one.
    """
    made = np.empty(len(ends))
    lengths = np.minimum(ends, unit_rows(plan))
    for length in np.unique(lengths):
        for at in _chunks(np.flatnonzero(lengths == length)):
            rows = (histories.first[series[at]] + ends[at])[:, None] + np.arange(-length, 0)
            values = cut_outliers(histories.values[rows], plan.season_length)
            lag = plan.season_length if length > plan.season_length + 1 else 1
            if plan.long_season_length > 1 and length >= 2 * plan.long_season_length:
                lag = plan.long_season_length
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
