"""The baseline: level, slope, season and volatility of a series, from the rows before an origin.

All functions take windows [n, L]: the last L rows before n origins, oldest first. They work on
z, the logarithm of the target over its recent level, or for targets that may be negative its
distance from the recent mean in units of its mean change. Sources: the seasonal means shrink like
Miller & Williams 2003 ("Shrinkage estimators of time series seasonal factors"); simple exponential
smoothing as in Hyndman et al. 2008; half of the trend as in the theta method (Assimakopoulos &
Nikolopoulos 2000).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from gatewise.forecast.data.panel import Array
from gatewise.forecast.features.outliers import cut_outliers
from gatewise.forecast.models.residual.histories import Scale
from gatewise.forecast.models.residual.seasonal import (
    long_means,
    moving,
    repeated,
    seasonal_means,
)

ALPHAS: Final = np.array([0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9])
"""Smoothing constants to choose from."""

_DISCOUNT: Final = 0.98
"""By how much an older error weighs less, per row, in the choice of the smoothing constant."""

_TREND: Final = 0.5
"""Share of the slope that the baseline goes on with."""

_FAST: Final = 0.4
"""Weight of a season relative to the next one, for the season of the last years alone."""

_FLOOR: Final = 0.03
"""Values below this share of the level count as this share: a log needs a bottom."""


@dataclass(frozen=True, eq=False)
class Baseline:
    """What the rows before n origins say.

    m: rows per season, M: per long season or m, h: horizon, L: the last rows of the windows,
    `window_rows(m)` at most.

    Attributes:
        centre, level: [n] what z = 0 is, and what one unit of z is (see `from_working`).
        z: [n, L] the rows on the working scale, without the long season.
        flat: [n, L] z without its season.
        season: [n, M] the shrunk seasons of the next M rows, added up; 0 without one.
        shrunk, unshrunk, fast: [n, m] the season, before shrinking, and that of the last years.
        strength: [n] 0 (noise) to 1: how much of the season is kept.
        smooth: [n, A] the level by each smoothing constant.
        best: [n] number of the smoothing constant with the smallest errors.
        slope, recent_slope: [n] per row, over the window and over the last two seasons.
        volatility: [n] size of an unforeseeable change.
    """

    centre: Array
    level: Array
    z: Array
    flat: Array
    season: Array
    shrunk: Array
    unshrunk: Array
    fast: Array
    strength: Array
    smooth: Array
    best: NDArray[np.intp]
    slope: Array
    recent_slope: Array
    volatility: Array

    @property
    def start(self) -> Array:
        """[n] the smoothed level at the origin."""
        return np.take_along_axis(self.smooth, self.best[:, None], 1)[:, 0]

    def parts(self, h: int) -> tuple[Array, Array, Array]:
        """[n, h] each: level, half of the trend, season. The baseline's forecast is their sum."""
        k = np.arange(1, h + 1)
        season = self.season[:, np.arange(h) % self.season.shape[1]]
        return np.tile(self.start[:, None], h), _TREND * self.slope[:, None] * k, season

    def ahead(self, h: int) -> Array:
        """[n, h] the baseline's forecast of z."""
        level, trend, season = self.parts(h)
        return level + trend + season


def window_rows(season_length: int, long_season_length: int = 1) -> int:
    """Return how many rows a baseline looks back: eight seasons, fewer of many rows.

    For a long season it is six of them, fewer of many rows.

    >>> [window_rows(m) for m in (1, 4, 12, 52, 168)], window_rows(24, 168)
    ([30, 32, 96, 364, 504], 1008)
    """
    if long_season_length > 1:
        return long_season_length * min(max(3, 2016 // long_season_length), 6)
    if season_length == 1:
        return 30
    return season_length * (8 if season_length <= 24 else max(3, 400 // season_length))


def describe(
    windows: Array, season_length: int, decay: float, scale: Scale, long_season_length: int = 1
) -> Baseline:
    """Read the baseline off windows.

    Args:
        windows: [n, L] values, oldest first, without gaps. With a long season, all but the last
            `window_rows(season_length)` rows serve that one alone.
        season_length: rows per season m; 1 without one.
        decay: weight of a season relative to the one after it.
        scale: "log" or "linear".
        long_season_length: rows of a longer season, a multiple of `season_length`, which is taken
            out first; 1 without one.

    >>> y = 100.0 + 10.0 * (np.arange(40) % 4)
    >>> made = describe(y[None], 4, 0.8, "log")
    >>> from_working(made.ahead(4), made.centre, made.level, "log").round(1)
    array([[100., 110., 120., 130.]])
    """
    L = windows.shape[1]
    windows = cut_outliers(windows, season_length)
    last = windows[:, -max(season_length, 3) :]
    if scale == "log":
        level = np.maximum(np.abs(last).mean(1), 1e-3 * np.abs(windows).mean(1))
        centre, level = np.zeros(len(windows)), np.maximum(level, 1e-300)
        z = np.log(np.maximum(windows / level[:, None], _FLOOR))
    else:
        centre = last.mean(1)
        change = np.abs(np.diff(windows, axis=1)).mean(1) if L > 1 else np.zeros(len(windows))
        level = np.maximum(change, 1e-6 * np.abs(windows).mean(1) + 1e-300)
        z = (windows - centre[:, None]) / level[:, None]
    long = long_means(z, long_season_length, season_length)
    z = (z - repeated(long, L))[:, -window_rows(season_length) :]
    L = z.shape[1]
    unshrunk, strength = seasonal_means(z, season_length, decay)
    shrunk = unshrunk * strength[:, None]
    fast = unshrunk
    if season_length > 1 and 2 * season_length <= L:
        fast, _ = seasonal_means(z[:, -min(L, 4 * season_length) :], season_length, _FAST)
    flat = z - repeated(shrunk, L)
    smooth, errors = _smoothed(flat)
    best = errors.argmin(1)
    error = np.take_along_axis(errors, best[:, None], 1)[:, 0]
    weight = (_DISCOUNT ** np.arange(L)).sum()
    steps = np.abs(np.diff(flat, axis=1)).mean(1) if L > 1 else np.zeros(len(z))
    volatility = 0.5 * steps + 0.5 * np.sqrt(error / weight)
    bounds = (0.004, 1.0) if scale == "log" else (0.05, 10.0)
    recent = flat[:, -min(L, 2 * max(season_length, 4)) :]
    return Baseline(
        centre,
        level,
        z,
        flat,
        long + np.tile(shrunk, max(long_season_length // season_length, 1)),
        shrunk,
        unshrunk,
        fast,
        strength,
        smooth,
        best,
        slope(flat),
        slope(recent),
        np.clip(volatility, *bounds),
    )


def from_working(z: Array, centre: Array, level: Array, scale: Scale) -> Array:
    """Bring z [n, h] back to the target's own unit, by `centre` and `level` [n]."""
    if scale == "log":
        return level[:, None] * np.exp(np.clip(z, -6, 6))
    return centre[:, None] + level[:, None] * z


def slope(z: Array) -> Array:
    """[n] least-squares slope of windows [n, L], per row."""
    u = np.arange(z.shape[1]) - (z.shape[1] - 1) / 2
    return (z * u).sum(1) / max((u**2).sum(), 1e-12)


def detrended(flat: Array, season_length: int) -> Array:
    """[n, L] what a short symmetric smoother leaves of windows without season."""
    half = min(3, season_length // 2)
    return flat - moving(flat, (half + 1, half + 1))


def _smoothed(flat: Array) -> tuple[Array, Array]:
    """[n, A] smoothed levels at the end, and [n, A] discounted squared errors of one row ahead."""
    L = flat.shape[1]
    start = flat[:, : min(3, L)].mean(1, keepdims=True)
    weight = _DISCOUNT ** (L - 1 - np.arange(L))
    levels, errors = [], []
    for alpha in ALPHAS:
        path, _ = lfilter([alpha], [1, alpha - 1], flat, axis=1, zi=(1 - alpha) * start)
        before = np.concatenate([start, path[:, :-1]], axis=1)
        levels.append(path[:, -1])
        errors.append(((flat - before) ** 2 * weight).sum(1))
    return np.column_stack(levels), np.column_stack(errors)
