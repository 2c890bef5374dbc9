"""The season of a panel: from its calendar where that tells, and from the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from gatewise.forecast.data.calendar import observe
from gatewise.forecast.data.fields import DAY_US
from gatewise.forecast.data.panel import Array, Panel, forward_fill
from gatewise.forecast.features.outliers import cut_outliers

_INTEGER: Final = (4, 7, 12, 24, 52)
"""Seasons looked for where time is a number: quarters, weekdays, months, hours, weeks."""

_LEAST: Final = 0.12
_SIGMAS: Final = 3.0
_APART: Final = 0.25
"""A season counts if the autocorrelation at its lag is at least `_LEAST`, and so many standard
errors above 0. Of a random walk, what a moving average leaves is itself correlated over about a
quarter of a season: rows nearer to each other count as one. Of a week, the rows of a day do."""

_DAYS: Final = (24, 48, 96, 144, 288)
"""Seasons that may be a day where time is a number: hours, and halves to twelfths of them."""

_LONGEST: Final = 2016
"""Rows of a long season at most, a week of five minutes: windows hold three of it."""

_NEARLY: Final = 0.8
"""A shorter season wins if it shows nearly as well: a year shows after two years, too."""

_LOOKED_AT: Final = 300
_ROWS: Final = 2000
_SEASONS: Final = 12
"""Of each of so many series, evenly spaced, the last rows or seasons are looked at."""


def find(panel: Panel) -> int:
    """Return the rows per season; 1 if there is none.

    The calendar tells for months, quarters, days and finer steps. Of the seasons that it allows (an
    hour's day and week, say), and of all where time is a number, the data decide. A day that shows
    goes before the week, which `find_longer` looks for beside it. A season of which no series has
    two and two more rows is none.
    """
    longest = max(panel.series, key=len)
    if len(longest) < 2:
        return 1
    calendar = observe(longest.time, panel.zone)
    rows = max(len(s) - int((~np.isnan(s.target)).argmax()) for s in panel.series)
    if calendar.kind == "integer":
        return _best(panel, [m for m in _INTEGER if 2 * m + 2 <= rows]) or 1
    candidates = [m for m in calendar.seasons if 2 * m + 2 <= rows]
    if len(candidates) <= 1:
        return candidates[0] if candidates else 1
    if shows(panel, candidates[0]):
        return candidates[0]
    return _best(panel, candidates) or candidates[0]


def find_longer(panel: Panel, season_length: int) -> int:
    """Return the rows of a longer season that shows beside one, a week of days; 1 if there is none.

    The calendar tells how many rows a week has, opening hours and days; where time is a number, a
    week has seven days. Weeks count rows: a missing day shifts the days after it.

    Args:
        panel: the series.
        season_length: rows per season.
    """
    longest = max(panel.series, key=len)
    if season_length < 2 or len(longest) < 2:
        return 1
    calendar = observe(longest.time, panel.zone)
    known = calendar.kind == "slots" and calendar.step < DAY_US
    week = 1
    if known:
        week = len(calendar.slots)
    elif calendar.kind == "integer" and season_length in _DAYS:
        week = 7 * season_length
    if not season_length < week <= _LONGEST or week % season_length:
        return 1
    return week if _strength(panel, week, season_length, known) > 0 else 1


def beside(panel: Panel, season_length: int, asked: int | None) -> int:
    """Return the long season asked for, or with None, the one found; 1 if there is none.

    Nothing as short as the season that was found goes beside it, and nothing beside none.
    """
    if asked is None:
        return find_longer(panel, season_length)
    return asked if 1 < season_length < asked else 1


def shows(panel: Panel, season_length: int) -> bool:
    """Whether a season is plain in the data."""
    return _strength(panel, season_length) > 0


def _best(panel: Panel, candidates: Sequence[int]) -> int | None:
    """Return the season that shows best, the shortest of those that do nearly as well."""
    scores = {m: _strength(panel, m) for m in candidates}
    best = max(scores.values(), default=0.0)
    if best <= 0:
        return None
    return next(m for m, score in scores.items() if score >= _NEARLY * best)


def _strength(panel: Panel, season_length: int, inner: int = 1, known: bool = False) -> float:
    """Mean autocorrelation at a season's lag; 0 if it is low or, unless `known`, may be chance.

    Series shorter than three seasons do not count. What repeats every `inner` rows does not either.
    """
    if season_length <= 1:
        return 0.0
    found, pairs = [], 0
    step = -(-len(panel.series) // _LOOKED_AT)
    for s in panel.series[::step]:
        y = forward_fill(s.target)
        y = y[~np.isnan(y)][-max(_ROWS, _SEASONS * season_length) :]
        if len(y) >= 3 * season_length + 2:
            found.append(autocorrelation(y, season_length, inner))
            pairs += len(y) - 2 * season_length
    strength = float(np.mean(found)) if found else 0.0
    apart = inner if inner > 1 else max(_APART * season_length, 1.0)
    chance = 0.0 if known else _SIGMAS / np.sqrt(max(pairs / apart, 1.0))
    return strength if strength >= max(_LEAST, chance) else 0.0


def autocorrelation(y: Array, season_length: int, inner: int = 1) -> float:
    """Autocorrelation at lag `season_length` of y [n] less its moving average over a season.

    With an inner season, which divides it, the average is of the rows of the same inner phase.

    >>> y = np.tile([1.0, 5.0, 3.0, 2.0], 10)
    >>> autocorrelation(y, 4) > 0.9, autocorrelation(y, 7) < 0.25
    (True, True)
    """
    y = cut_outliers(y[None], season_length, last=True)[0]
    count = season_length // inner
    average = np.ones(count + 1 - count % 2)
    if count % 2 == 0:
        average[[0, -1]] = 0.5
    average /= average.sum()
    half = inner * (len(average) // 2)
    if inner == 1:
        trend = np.convolve(y, average, mode="valid")
    else:
        parts = (y[i * inner : len(y) - 2 * half + i * inner] for i in range(len(average)))
        trend = np.sum([w * part for w, part in zip(average, parts, strict=True)], axis=0)
    rest = y[half : len(y) - half] - trend
    rest = rest - rest.mean()
    low, high = np.quantile(rest, [0.25, 0.75])
    reach = 5 * (high - low)  # an outlier must not be all that is seen
    rest = np.clip(rest, low - reach, high + reach)
    variance = float((rest**2).mean())
    if len(rest) <= season_length or variance <= 1e-20 * max(float((y**2).mean()), 1e-300):
        return 0.0
    return float((rest[season_length:] * rest[:-season_length]).mean() / variance)
