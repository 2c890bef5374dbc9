"""The season of a panel: from its calendar where that tells, and from the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from gatewise.forecast.calendar import observe
from gatewise.forecast.panel import Array, Panel, forward_fill

_INTEGER: Final = (4, 7, 12, 24, 52)
"""Seasons looked for where time is a number: quarters, weekdays, months, hours, weeks."""

_LEAST: Final = 0.12
_SIGMAS: Final = 3.0
_APART: Final = 0.25
"""A season counts if the autocorrelation at its lag is at least `_LEAST`, and so many standard
errors above 0. Of a random walk, what a moving average leaves is itself correlated over about a
quarter of a season; rows nearer to each other count as one."""

_NEARLY: Final = 0.8
"""A shorter season wins if it shows nearly as well: a year shows after two years, too."""

_LOOKED_AT: Final = 300
_ROWS: Final = 2000


def find(panel: Panel) -> int:
    """Return the rows per season; 1 if there is none.

    The calendar tells for months, quarters, days and finer steps. Of the seasons that it allows (an
    hour's day and week, say), and of all where time is a number, the data decide. A season of which
    no series has two and two more rows is none.
    """
    longest = max(panel.series, key=len)
    if len(longest) < 2:
        return 1
    calendar = observe(longest.time)
    rows = max(len(s) - int((~np.isnan(s.target)).argmax()) for s in panel.series)
    if calendar.kind == "integer":
        return _best(panel, [m for m in _INTEGER if 2 * m + 2 <= rows]) or 1
    candidates = [m for m in calendar.seasons if 2 * m + 2 <= rows]
    if len(candidates) <= 1:
        return candidates[0] if candidates else 1
    return _best(panel, candidates) or candidates[0]


def shows(panel: Panel, season: int) -> bool:
    """Whether a season is plain in the data."""
    return _strength(panel, season) > 0


def _best(panel: Panel, candidates: Sequence[int]) -> int | None:
    """Return the season that shows best, the shortest of those that do nearly as well."""
    scores = {m: _strength(panel, m) for m in candidates}
    best = max(scores.values(), default=0.0)
    if best <= 0:
        return None
    return next(m for m, score in scores.items() if score >= _NEARLY * best)


def _strength(panel: Panel, season: int) -> float:
    """Mean autocorrelation at a season's lag; 0 if no more than chance.

    Series shorter than three seasons do not count.
    """
    if season <= 1:
        return 0.0
    found, pairs = [], 0
    step = -(-len(panel.series) // _LOOKED_AT)
    for s in panel.series[::step]:
        y = forward_fill(s.target)
        y = y[~np.isnan(y)][-_ROWS:]
        if len(y) >= 3 * season + 2:
            found.append(autocorrelation(y, season))
            pairs += len(y) - 2 * season
    strength = float(np.mean(found)) if found else 0.0
    error = 1 / np.sqrt(max(pairs / max(_APART * season, 1.0), 1.0))
    return strength if strength >= max(_LEAST, _SIGMAS * error) else 0.0


def autocorrelation(y: Array, season: int) -> float:
    """Autocorrelation at lag `season` of y [n] less its centred moving average over a season.

    >>> y = np.tile([1.0, 5.0, 3.0, 2.0], 10)
    >>> autocorrelation(y, 4) > 0.9, autocorrelation(y, 7) < 0.25
    (True, True)
    """
    average = np.ones(season + 1 - season % 2)
    if season % 2 == 0:
        average[[0, -1]] = 0.5
    trend = np.convolve(y, average / average.sum(), mode="valid")
    half = len(average) // 2
    rest = y[half : len(y) - half] - trend
    rest = rest - rest.mean()
    low, high = np.quantile(rest, [0.25, 0.75])
    reach = 5 * (high - low)  # an outlier must not be all that is seen
    rest = np.clip(rest, low - reach, high + reach)
    variance = float((rest**2).mean())
    if len(rest) <= season or variance <= 1e-20 * max(float((y**2).mean()), 1e-300):
        return 0.0
    return float((rest[season:] * rest[:-season]).mean() / variance)
