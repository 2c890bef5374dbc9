"""A panel as flat arrays: what every origin of every series is read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from gatewise.forecast.data.panel import Array, Panel, forward_fill
from gatewise.forecast.features.outliers import capped

Scale = Literal["log", "linear"]

_ZEROS: Final = 0.1
"""A target with a larger share of zeros than this is not forecast as a log."""


@dataclass(frozen=True, eq=False)
class Histories:
    """Rows of all series, one series after the other. N rows, S series, D static columns.

    Attributes:
        values: [N] the target over its series' size; a missing value holds the one a season before,
            or the last one.
        observed: [N] whether the value was there.
        first, stop: [S] each series' rows are first <= row < stop, from its first value on.
        unit: [S] mean absolute change over a season, of the rows that training may see: what its
            errors are divided by.
        size: [S] powers of 2 near the mean magnitude of each series: whatever unit a target is in,
            float32 holds its values, and dividing rounds nothing.
        static: [S, D] codes of what is constant within a series.
    """

    values: Array
    observed: NDArray[np.bool_]
    first: NDArray[np.intp]
    stop: NDArray[np.intp]
    unit: Array
    size: Array
    static: Array

    @property
    def rows(self) -> NDArray[np.intp]:
        """[S] number of rows of each series."""
        return self.stop - self.first

    def stale(self, series: NDArray[np.intp], ends: NDArray[np.intp]) -> NDArray[np.intp]:
        """[n] rows since the last value before each end, counted within the series; 0 for none."""
        rows = np.arange(len(self.values))
        last = np.maximum.accumulate(np.where(self.observed, rows, 0))  # a first row has a value
        return self.first[series] + ends - 1 - last[self.first[series] + ends - 1]


def flatten(
    targets: list[Array], season_length: int, counts: bool = False, static: Array | None = None
) -> Histories:
    """Lay series one after the other, from their first values on.

    Args:
        targets: [n] values of each series, NaN where missing; one observed value at least.
        season_length: rows per season.
        counts: whether values stay as they are, of size 1.
        static: [n, D] codes of what is constant within a series; none (default).

    >>> flatten([np.array([np.nan, 0.5, 1.0, np.nan, 2.5])], season_length=2).values
    array([0.5, 1. , 0.5, 2.5])
    """
    trimmed = [y[(~np.isnan(y)).argmax() :] for y in targets]
    rows = np.array([len(y) for y in trimmed])
    size = np.array([1.0 if counts else _size(y) for y in trimmed])
    filled = [fill(y, season_length) / by for y, by in zip(trimmed, size, strict=True)]
    return Histories(
        np.concatenate(filled),
        ~np.isnan(np.concatenate(trimmed)),
        np.cumsum(rows) - rows,
        np.cumsum(rows),
        np.array([_unit(y, season_length) for y in filled]),
        size,
        np.empty((len(targets), 0)) if static is None else static,
    )


def joined(panels: Sequence[Histories]) -> Histories:
    """Lay panels one after the other, without what is constant in them."""
    offsets = np.cumsum([0, *(len(p.values) for p in panels[:-1])])
    return Histories(
        np.concatenate([p.values for p in panels]),
        np.concatenate([p.observed for p in panels]),
        np.concatenate([p.first + at for p, at in zip(panels, offsets, strict=True)]),
        np.concatenate([p.stop + at for p, at in zip(panels, offsets, strict=True)]),
        np.concatenate([p.unit for p in panels]),
        np.concatenate([p.size for p in panels]),
        np.empty((sum(len(p.size) for p in panels), 0)),
    )


def fill(values: Array, season_length: int) -> Array:
    """Fill gaps from the past alone: with the value a season before, else with the last one.

    Args:
        values: [n], the first of which is not NaN.
        season_length: rows per season.
    """
    missing = np.flatnonzero(np.isnan(values))
    if not len(missing):
        return values
    filled, last = values.copy(), forward_fill(values)
    for row in missing:
        filled[row] = filled[row - season_length] if 1 < season_length <= row else last[row]
    return filled


def choose_scale(targets: list[Array]) -> Scale:
    """Return "log" for targets that are never negative and rarely 0, else "linear".

    >>> choose_scale([np.array([1.0, 2.0])]), choose_scale([np.array([-1.0, 2.0])])
    ('log', 'linear')
    """
    values = np.concatenate(targets)
    values = values[~np.isnan(values)]
    return "log" if (values >= 0).all() and np.mean(values == 0) <= _ZEROS else "linear"


def targets_of(panel: Panel) -> list[Array]:
    """Return the target of each series that has a value."""
    return [s.target for s in panel.series if not np.isnan(s.target).all()]


def _size(values: Array) -> float:
    magnitude = float(np.nanmean(np.abs(values)))
    return 2.0 ** np.floor(np.log2(magnitude)) if magnitude > 0 else 1.0


def _unit(values: Array, season_length: int) -> float:
    lag = max(1, min(season_length, len(values) - 2))
    change = capped(np.abs(values[lag:] - values[:-lag])[None])[0]
    floor = 1e-9 * max(float(np.abs(values).mean()), 1e-30)
    size = float(change.mean()) if len(change) > 1 else abs(float(values[0]))
    return max(size, floor)
