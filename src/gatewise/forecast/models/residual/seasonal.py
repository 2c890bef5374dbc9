"""The season of windows: centred averages, means by phase, shrunk as far as they may be noise.

Sources: classical decomposition (Persons 1919), done twice; shrinkage as in Miller & Williams 2003
("Shrinkage estimators of time series seasonal factors").
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.ndimage import correlate1d

from gatewise.forecast.data.panel import Array

_LONG_DECAY: Final = 0.7
"""Weight of a long season, a week of days, relative to the next one."""

_DIRECT: Final = 64
"""A moving average over more rows is taken from running sums."""


def seasonal_means(z: Array, season_length: int, decay: float) -> tuple[Array, Array]:
    """Estimate the season of windows.

    A centred moving average gives a first season; then twice the series without its season is
    smoothed, and the season read off what is left. Older seasons weigh less.

    Args:
        z: [n, L].
        season_length: rows per season m.
        decay: weight of a season relative to the one after it.

    Returns:
        [n, m] the season of the next m rows (of mean 0), and [n] its strength: one minus the share
        of noise in its variance. Zeros for less than two seasons.
    """
    means, noise = _means(z, season_length, decay)
    return means, _strength(means, noise)


def long_means(z: Array, long_season_length: int, season_length: int) -> Array:
    """Estimate a long season of windows, shrunk in two parts.

    What its seasons have in common, the day of all days, is shrunk on its own, and so is what each
    of them differs by: a plain day does not make noise a week.

    Args:
        z: [n, L].
        long_season_length: rows per long season M, a multiple of m; 1 without one.
        season_length: rows per season m.

    Returns:
        [n, M] the long season of the next M rows; zeros for less than two.
    """
    means, noise = _means(z, long_season_length, _LONG_DECAY)
    if long_season_length == 1:
        return means
    count = long_season_length // season_length
    own = means.reshape(len(z), count, season_length)
    shared = own.mean(1, keepdims=True)
    own = own - shared
    shared = shared * _strength(shared, noise / count)[:, None, None]
    own = own * _strength(own, noise * (count - 1) / count)[:, None, None]
    return (shared + own).reshape(means.shape)


def _strength(means: Array, noise: Array) -> Array:
    """[n] one minus the share of noise in the variance of means [n, ...]."""
    variance = (means**2).mean(tuple(range(1, means.ndim)))
    return np.clip(1 - noise / (variance + 1e-12), 0, 1)


def _means(z: Array, season_length: int, decay: float) -> tuple[Array, Array]:
    """[n, m] the season before shrinking, and [n] its variance if there were none."""
    n, L = z.shape
    if season_length == 1 or 2 * season_length > L:
        return np.zeros((n, season_length)), np.ones(n)
    age = (L - 1 - np.arange(L)) // season_length
    weight = decay**age
    half = season_length // 2
    interior = np.zeros(L)
    interior[half : L - half] = 1.0
    average = (
        season_length,
        1 + (season_length + 1) % 2,
    )  # of an even season the outer rows count half
    means = _phase_means(z - moving(z, average), weight * interior, season_length)
    rest = np.empty_like(z)
    for _ in range(2):
        trend = moving(z - repeated(means, L), (half + 1, half + 1))
        means = _phase_means(z - trend, weight, season_length)
        rest = z - trend - repeated(means, L)
    seasons = weight.sum() ** 2 / (weight**2).sum() / season_length  # that many, in effect
    variance = (rest**2 * weight).sum(1) / weight.sum()
    return means, variance * seasons / max(seasons - 1, 0.5) / seasons


def moving(z: Array, boxes: tuple[int, int]) -> Array:
    """Centred average by two boxes convolved; at the edges, of the rows that are there."""
    here = np.ones((1, z.shape[1]))
    if sum(boxes) > _DIRECT:
        return _running(z, boxes) / _running(here, boxes)
    weights = np.convolve(np.ones(boxes[0]), np.full(boxes[1], 1.0))
    total, count = (correlate1d(v, weights, axis=1, mode="constant") for v in (z, here))
    return np.asarray(total / count)


def _running(z: Array, boxes: tuple[int, int]) -> Array:
    """[n, L] sums weighted by two boxes convolved, centred."""
    L, reach = z.shape[1], (sum(boxes) - 2) // 2
    for size in boxes:
        total = np.cumsum(np.pad(z, ((0, 0), (size, size - 1))), axis=1)
        z = total[:, size:] - total[:, :-size]
    return z[:, reach : reach + L]


def _phase_means(deviation: Array, weight: Array, season_length: int) -> Array:
    """[n, m] weighted means of the rows of each phase, of mean 0; the first is the next row's."""
    n, L = deviation.shape
    front = -L % season_length
    total = np.pad(deviation * weight, ((0, 0), (front, 0))).reshape(n, -1, season_length).sum(1)
    means = total / np.maximum(np.pad(weight, (front, 0)).reshape(-1, season_length).sum(0), 1e-12)
    return means - means.mean(1, keepdims=True)


def repeated(means: Array, L: int) -> Array:
    """[n, L] the season of the rows of a window: its last row has the last phase."""
    season_length = means.shape[1]
    return np.tile(means, -(-L // season_length))[:, -L:]
