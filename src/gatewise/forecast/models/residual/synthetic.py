"""Made series: mixtures, mirror images and other swings of given ones.

Networks learn shapes that a set happens not to hold. A mixture is a weighted mean of the logarithms
of a few series of like length (Bandara et al. 2021 survey such augmentation); a mirror image turns
growth into decline; another swing scales the logarithm.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gatewise.forecast.data.panel import Array
from gatewise.forecast.models.residual.histories import Histories, flatten

_ALIKE: Final = 120
"""Mixed series are this near to each other in the order of length, at most."""

_FLOOR: Final = 0.02
"""Values below this share of a series' mean count as this share."""

_SWING: Final = 0.4
"""Standard deviation of the logarithm of a change of swing."""


def synthesise(histories: Histories, count: int, season_length: int, seed: int) -> Histories:
    """Make `count` series of those given, which are never negative.

    >>> given = flatten([np.arange(1.0, 30), np.arange(30.0, 1, -1)], 1)
    >>> synthesise(given, 3, 1, seed=0).rows
    array([29, 29, 29])
    """
    rng = np.random.default_rng(seed)
    logs = [
        _log(histories.values[a:b]) for a, b in zip(histories.first, histories.stop, strict=True)
    ]
    order = np.argsort([len(log) for log in logs], kind="stable")
    made = [np.exp(np.clip(_one(logs, order, rng), -7, 9)) for _ in range(count)]
    return flatten(made, season_length)


def aggregate(histories: Histories, rows: int, least: int, season_length: int) -> Histories | None:
    """Add up every `rows` rows, counted from the end: months to quarters or years.

    Args:
        histories: the given series.
        rows: that become one.
        least: sums that a series must give.
        season_length: rows per season of the sums.

    Returns:
        None if no series is long enough.

    >>> made = aggregate(flatten([np.arange(9.0)], 4), 4, 2, 1)
    >>> made and made.values  # 10 and 26, over 4 and over 4
    array([0.625, 1.625])
    """
    spans = zip(histories.first, histories.stop, strict=True)
    given = [histories.values[first:stop] for first, stop in spans if stop - first >= rows * least]
    sums = [y[len(y) % rows :].reshape(-1, rows).sum(1) for y in given]
    return flatten(sums, season_length) if sums else None


def _one(logs: list[Array], order: NDArray[np.intp], rng: np.random.Generator) -> Array:
    place = int(rng.integers(len(logs)))
    log = logs[order[place]]
    kind = rng.integers(3)
    if kind == 0:
        return -log
    if kind == 1:
        return log * np.exp(_SWING * rng.normal())
    low, high = max(0, place - _ALIKE), min(len(logs), place + _ALIKE)
    others = [logs[order[rng.integers(low, high)]] for _ in range(rng.integers(1, 3))]
    parts = [log, *others]
    weights = rng.dirichlet(np.full(len(parts), 1.5)) * rng.choice([1.0, 1.3], len(parts))
    rows = min(map(len, parts))
    mixed = weights @ np.array([part[-rows:] for part in parts])
    return -mixed if rng.random() < 0.3 else mixed


def _log(values: Array) -> Array:
    mean = max(float(np.abs(values).mean()), 1e-300)
    return np.log(np.maximum(values / mean, _FLOOR))
