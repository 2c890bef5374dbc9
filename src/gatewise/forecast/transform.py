"""Which scale a column is forecast on: its log, its level, and whether in changes.

Chosen per column, on the table that is fitted and on nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from gatewise.errors import TableError
from gatewise.forecast.panel import Array, forward_fill

_PERSISTENT: Final = 0.2
"""A column is persistent if the variance of its steps is below this share of its own variance.

For an autoregression of order 1 the share is 2 (1 - phi), so this is phi > 0.9. A random walk of
n rows has an expected share of about 6 / n.
"""


def choose(columns: Sequence[Array], wanted: str = "auto", name: str = "target") -> str:
    """Choose the transform of one column, given its values in each series.

    "log-return" for a positive persistent level (a price), "difference" for a persistent one that
    may be negative, "none" otherwise.

    Args:
        columns: the values per series, [n] each, NaN where missing.
        wanted: "auto" (default) or the transform to use.
        name: of the column, for the message.

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
            f"Column {name!r} goes down to {lowest:g}: expected positive values for log-returns. "
            'Use transform="difference".'
        )
    if wanted != "auto":
        return wanted
    shares = []
    for values in seen:
        level = np.log(values) if positive else values
        if len(level) >= 8 and level.var() > 0:
            shares.append(np.diff(level).var() / level.var())
    if not shares or np.median(shares) >= _PERSISTENT:
        return "none"
    return "log-return" if positive else "difference"


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

    >>> to_inputs(np.array([1.0, np.nan, 4.0, 5.0]), "difference")
    array([nan, nan,  3.,  1.])
    """
    if transform == "none":
        return working
    before = np.concatenate([working[:1] * np.nan, forward_fill(working)[:-1]])
    return working - before


def unit_of(transform: str) -> str:
    """Name of the working scale, for tables and reports.

    >>> unit_of("log-return"), unit_of("difference")
    ('log', 'level')
    """
    return "log" if transform == "log-return" else "level"
