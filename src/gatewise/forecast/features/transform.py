"""Which scale a column is forecast on: its log, its level, and whether in changes.

Chosen per column, on the table that is fitted and on nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gatewise.errors import TableError, shown
from gatewise.forecast.data.panel import Array, forward_fill
from gatewise.forecast.features.season import autocorrelation

_PERSISTENT: Final = 0.2
"""A column is persistent if the variance of its steps is below this share of its own variance.

For an autoregression of order 1 the share is 2 (1 - phi), so this is phi > 0.9. A random walk of
n rows has an expected share of about 6 / n.
"""

_CYCLE: Final = 0.3
"""From this autocorrelation at a season's lag, less the trend, a column comes back each season: its
level is what matters, though it moves little from row to row."""

_SPIKE: Final = 8.0
"""Median distances from the median beyond which a value is a spike."""


def choose(
    columns: Sequence[Array], wanted: str = "auto", name: str = "target", season_length: int = 1
) -> str:
    """Choose the transform of one column, given its values in each series.

    "log-return" for a positive persistent level (a price), "difference" for a persistent one that
    may be negative, "none" otherwise.

    Args:
        columns: the values per series, [n] each, NaN where missing.
        wanted: "auto" (default) or the transform to use.
        name: of the column, for the message.
        season_length: of many rows, within which levels move little from row to row; 1 (default)
            for none.

    Raises:
        TableError: "log-return" was asked for and a value is not positive.

    >>> walk = np.cumsum(np.random.default_rng(0).normal(size=400))
    >>> choose([walk]), choose([np.exp(walk / 50)]), choose([np.diff(walk)])
    ('difference', 'log-return', 'none')
    """
    seen = [v[~np.isnan(v)] for v in columns]
    positive = all((v > 0).all() for v in seen)
    if wanted == "log-return" and not positive:
        lowest = min(v.min() for v in seen if len(v))
        raise TableError(
            f"Column {shown(name)} goes down to {lowest:g}: expected positive values for "
            "log-returns. "
            'Use transform="difference".'
        )
    if wanted != "auto":
        return wanted
    shares, cycles = [], []
    for values in seen:
        level = np.log(values) if positive else values
        if len(level) >= 8 * season_length and level.var() > 0:
            shares.append((level[season_length:] - level[:-season_length]).var() / level.var())
            cycles.append(autocorrelation(level, season_length) if season_length > 1 else 0.0)
    if not shares or np.median(shares) >= _PERSISTENT or np.median(cycles) >= _CYCLE:
        return "none"
    return "log-return" if positive else "difference"


@dataclass(frozen=True, slots=True)
class Spikes:
    """A scale on which spikes are tame, for values of either sign: asinh((value - centre) / reach).

    About linear up to `reach` from the centre, and logarithmic beyond (Uniejewski, Weron & Ziel
    2018, who compare such transforms for electricity prices). Beyond the largest value that was
    seen it goes on straight, so that a forecast cannot explode on its way back.

    Attributes:
        centre: median of the values.
        reach: three times their median distance from it.
        limit: the largest tame value that was seen.
    """

    centre: float
    reach: float
    limit: float

    def tame(self, values: Array) -> Array:
        """The scale to learn on.

        >>> Spikes(0.0, 1.0, 3.0).tame(np.array([0.0, 1.1752012]))
        array([0., 1.])
        """
        z = (values - self.centre) / self.reach
        over = np.maximum(np.abs(z) - np.sinh(self.limit), 0.0)
        return np.arcsinh(z - np.sign(z) * over) + np.sign(z) * over / np.cosh(self.limit)

    def release(self, tamed: Array) -> Array:
        """The inverse of `tame`; monotone, so it maps quantiles to quantiles.

        >>> Spikes(0.0, 1.0, 1.0).release(np.array([1.0, 2.0]))
        array([1.17520119, 2.71828183])
        """
        over = np.maximum(np.abs(tamed) - self.limit, 0.0)
        z = np.sinh(tamed - np.sign(tamed) * over) + np.sign(tamed) * over * np.cosh(self.limit)
        return self.centre + self.reach * z


def find_spikes(columns: Sequence[Array]) -> Spikes | None:
    """How to tame the spikes of a column, given its values in each series; None without spikes.

    A spike is farther from the median than eight times the median distance from it: more than five
    standard deviations, if the values were normal.

    >>> calm = np.sin(np.arange(50.0))
    >>> find_spikes([calm]), find_spikes([np.append(calm, 9.0)]) is None
    (None, False)
    """
    values = np.concatenate(columns)
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    centre = float(np.median(values))
    distances = np.abs(values - centre)
    typical, farthest = float(np.median(distances)), float(distances.max())
    if typical <= 0 or farthest <= _SPIKE * typical:
        return None
    return Spikes(centre, 3 * typical, float(np.arcsinh(farthest / (3 * typical))))


def to_working(values: Array, transform: str) -> Array:
    """The scale on which errors are measured: the log for log-returns, else the values.

    A value that is not positive has no log and counts as missing.

    >>> to_working(np.array([1.0, 0.0]), "log-return")
    array([ 0., nan])
    """
    if transform != "log-return":
        return values
    return np.log(np.where(values > 0, values, np.nan))


def from_working(values: Array, transform: str) -> Array:
    """The inverse of `to_working`; monotone, so it maps quantiles to quantiles.

    >>> from_working(np.array([0.0]), "log-return")
    array([1.])
    """
    return np.exp(values) if transform == "log-return" else values


def to_inputs(working: Array, transform: str) -> Array:
    """What the network reads per row: changes since the last observed value, or the values.

    A change over several rows counts as one row's: it is divided by their root, as changes of a
    random walk grow. So gaps do not make a series look wilder.

    >>> to_inputs(np.array([1.0, np.nan, np.nan, np.nan, 4.0, 5.0]), "difference")
    array([nan, nan, nan, nan, 1.5, 1. ])
    """
    if transform == "none":
        return working
    before = np.concatenate([working[:1] * np.nan, forward_fill(working)[:-1]])
    seen = np.flatnonzero(~np.isnan(working))
    rows = np.ones(len(working))
    rows[seen[1:]] = np.diff(seen)
    return (working - before) / np.sqrt(rows)


def unit_of(transform: str) -> str:
    """Name of the working scale, for tables and reports.

    >>> unit_of("log-return"), unit_of("difference")
    ('log', 'level')
    """
    return "log" if transform == "log-return" else "level"
