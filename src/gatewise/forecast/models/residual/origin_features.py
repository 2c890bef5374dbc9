"""Origins to arrays: what the network reads at each, and what its output is added to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gatewise.forecast.data.panel import Array
from gatewise.forecast.models.residual.baseline import (
    ALPHAS,
    Baseline,
    describe,
    detrended,
    window_rows,
)
from gatewise.forecast.models.residual.histories import Histories, Scale

Single = NDArray[np.float32]

_CLIP: Final = 8.0
"""Inputs beyond this many volatilities are cut off: one outlier must not saturate the gates."""

_CHUNK: Final = 2048
_CELLS: Final = 2**21
"""Origins described at once, and rows of all their windows, so that memory stays bounded."""

_PHASES: Final = 24
"""Seasonal indices that the network reads at most: those of the next rows."""

_YEARS: Final = 4
"""Seasons whose growth the network reads."""

_DECAY: Final = 0.8
"""How fast older seasons fade for universal networks."""

_VARIANT: Final = 5
"""Features that only a season has, of each row of the horizon."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How origins are read; JSON-able.

    Attributes:
        season_length: rows per season m; 1 without one.
        prediction_length: rows of the horizon h.
        scale: "log" or "linear".
        decay: weight of a season relative to the one after it.
        universal: read the same features whatever the season, for a network that serves any.
        static: D, how many numbers each series has that are constant within it.
        long_season_length: rows of a longer season beside, a multiple of m; 1 without one.
    """

    season_length: int
    prediction_length: int
    scale: Scale
    decay: float = 0.7
    universal: bool = False
    static: int = 0
    long_season_length: int = 1

    @property
    def recent(self) -> int:
        """Last rows that the network reads one by one.

        >>> [Reading(m, 8, "log").recent for m in (1, 4, 12, 24)]
        [5, 8, 18, 30]
        """
        if self.universal:
            return 12
        if self.season_length == 1:
            return 5
        return 8 if self.season_length <= 4 else min(self.season_length, 24) + 6

    @property
    def inputs(self) -> int:
        """F, the number of features of an origin."""
        seasonal = min(self.season_length, _PHASES) + _YEARS if self.season_length > 1 else 0
        seasonal = _YEARS + 2 if self.universal else seasonal
        return self.recent + len(ALPHAS) + 6 + seasonal + self.static

    @property
    def channels(self) -> int:
        """J, the number of features of each row of the horizon."""
        return 3 + (_VARIANT if self.season_length > 1 or self.universal else 0)

    @property
    def least(self) -> int:
        """Rows before the first origin that is learnt from."""
        return max(2 * self.season_length + 1, 6) if self.season_length > 1 else 5


def universal_reading(
    season_length: int, prediction_length: int, scale: Scale = "log", long_season_length: int = 1
) -> Reading:
    """How universal networks read a panel."""
    return Reading(
        season_length,
        prediction_length,
        scale,
        _DECAY,
        universal=True,
        long_season_length=long_season_length,
    )


@dataclass(frozen=True, eq=False)
class OriginFeatures:
    """Described origins. n origins, F features, h horizon, J channels.

    Attributes:
        inputs: [n, F] float32.
        channels: [n, h, J] float32: features of each row of the horizon.
        base: [n, h] float32: the baseline on the working scale.
        volatility: [n] float32: unit of the network's output.
        centre, level: [n] float64: how the working scale returns to the target's unit.
    """

    inputs: Single
    channels: Single
    base: Single
    volatility: Single
    centre: Array
    level: Array

    def __len__(self) -> int:
        return len(self.level)


def describe_origins(
    histories: Histories, reading: Reading, series: NDArray[np.intp], ends: NDArray[np.intp]
) -> OriginFeatures:
    """Describe origins; of each, the rows before it are read and no other.

    Args:
        histories: the panel.
        reading: how.
        series: [n] numbers of series.
        ends: [n] rows known, at least 1, counted within the series.
    """
    n, h = len(series), reading.prediction_length
    made = OriginFeatures(
        np.empty((n, reading.inputs), np.float32),
        np.empty((n, h, reading.channels), np.float32),
        np.empty((n, h), np.float32),
        np.empty(n, np.float32),
        np.empty(n),
        np.empty(n),
    )
    lengths = _window_rows(reading, ends)
    order = np.argsort(lengths, kind="stable")
    bounds = np.flatnonzero(np.diff(lengths[order])) + 1
    for group in np.split(order, bounds):
        count = min(_CHUNK, max(_CELLS // int(lengths[group[0]]), 1)) if len(group) else _CHUNK
        for at in np.split(group, range(count, len(group), count)):
            if len(at):
                _describe_group(histories, reading, series[at], ends[at], made, at)
    return made


def _window_rows(reading: Reading, ends: NDArray[np.intp]) -> NDArray[np.intp]:
    """[n] rows that are read before each end: whole seasons where there are more than needed."""
    short = window_rows(reading.season_length)
    rows = np.minimum(ends, window_rows(reading.season_length, reading.long_season_length))
    return np.where(rows > short, rows - (rows - short) % reading.season_length, rows)


def _describe_group(
    histories: Histories,
    reading: Reading,
    series: NDArray[np.intp],
    ends: NDArray[np.intp],
    made: OriginFeatures,
    at: NDArray[np.intp],
) -> None:
    """Describe origins of equally long windows, into rows `at`."""
    h = reading.prediction_length
    found = baseline_of(histories, reading, series, ends)
    static = histories.static[series, : reading.static]
    made.inputs[at] = np.concatenate([_inputs(found, reading), _clipped(static)], axis=1)
    made.channels[at] = _channels(found, reading)
    made.base[at] = found.ahead(h)
    made.volatility[at] = found.volatility
    made.centre[at], made.level[at] = found.centre, found.level


def baseline_of(
    histories: Histories, reading: Reading, series: NDArray[np.intp], ends: NDArray[np.intp]
) -> Baseline:
    """Return the baseline of origins whose windows are equally long.

    Args:
        histories: the panel.
        reading: how the windows are read.
        series: [n] numbers of series.
        ends: [n] rows known, counted within the series.
    """
    L = int(_window_rows(reading, ends[:1])[0])
    rows = (histories.first[series] + ends)[:, None] + np.arange(-L, 0)
    windows = histories.values[rows]
    return describe(
        windows, reading.season_length, reading.decay, reading.scale, reading.long_season_length
    )


def _inputs(found: Baseline, reading: Reading) -> Array:
    """[n, F] the state of the series, in units of its volatility."""
    m, start, unit = reading.season_length, found.start[:, None], found.volatility[:, None]
    n, L = found.z.shape
    recent = np.zeros((n, reading.recent))
    seen = min(reading.recent, L)
    recent[:, reading.recent - seen :] = (found.flat[:, L - seen :] - start) / unit
    log_unit = np.log(unit) + (3.0 if reading.scale == "log" else 0.0)
    parts = [
        _clipped(recent),
        _clipped((found.smooth - start) / unit),
        _clipped(12 * found.slope[:, None] / unit),
        _clipped(6 * found.recent_slope[:, None] / unit),
        ALPHAS[found.best][:, None],
        log_unit,
        2 * found.strength[:, None] - 1,
        np.full((n, 1), np.log(L / max(m, 4)) - 1.5),
    ]
    if m > 1 or reading.universal:
        spread = found.season.std(1, keepdims=True)
        spread = np.log(spread + 0.01) + 3 if reading.scale == "log" else np.log(spread + 0.1)
        if reading.universal:
            parts += [np.full((n, 1), float(m > 1)), np.full((n, 1), np.log(m) / 2)]
        else:
            parts.append(_clipped(found.season[:, : min(m, _PHASES)] / unit))
        parts += [spread, _growth(found.z, m, unit)]
    return np.concatenate(parts, axis=1)


def _growth(z: Array, season_length: int, unit: Array) -> Array:
    """[n, 3] changes of the mean from one season to the next, the latest first."""
    n, L = z.shape
    made = np.zeros((n, _YEARS - 1))
    seasons = min(_YEARS, L // season_length)
    means = [
        z[:, L - (j + 1) * season_length : L - j * season_length].mean(1) for j in range(seasons)
    ]
    for j in range(seasons - 1):
        made[:, j] = means[j] - means[j + 1]
    return _clipped(made / unit)


def _channels(found: Baseline, reading: Reading) -> Array:
    """[n, h, J] shapes over the horizon that the network may add: trends, seasons, last years."""
    m, h = reading.season_length, reading.prediction_length
    n, L = found.flat.shape
    k = np.arange(1, h + 1)
    unit = found.volatility[:, None]
    shapes = [k * found.slope[:, None] / unit, k * found.recent_slope[:, None] / unit]
    if m > 1 or reading.universal:
        phase = np.arange(h) % m
        rest = np.zeros((n, 2 * m))  # of the last two seasons
        if m <= L:
            found_rest = detrended(found.flat, m)[:, -min(L, 2 * m) :]
            rest[:, 2 * m - found_rest.shape[1] :] = found_rest
        shapes += [
            found.season[:, np.arange(h) % found.season.shape[1]] / unit,
            (found.unshrunk - found.shrunk)[:, phase] / unit,
            (found.fast - found.unshrunk)[:, phase] / unit,
            rest[:, m + phase] / unit,
            (rest[:, phase] if 2 * m <= L else np.zeros((n, h))) / unit,
        ]
    return np.stack([np.ones((n, h)), *map(_clipped, shapes)], axis=2)


def _clipped(values: Array) -> Array:
    return np.clip(values, -_CLIP, _CLIP)
