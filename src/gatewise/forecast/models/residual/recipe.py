"""How a network is trained, and how much training a table is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gatewise.forecast.config import Config

STEPS_PER_EPOCH: Final = 10
"""Steps of what `max_epochs` counts."""

CROP: Final = 48
"""Origins in a row that a network is run over."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained; JSON-able.

    Attributes:
        steps: of the optimiser.
        batch_size: crops per step.
        learning_rate: its peak.
        seed: of weights, crops and dropout.
        own_share: of the steps that the first training set takes at least.
    """

    steps: int = 300
    batch_size: int = 64
    learning_rate: float = 2e-3
    seed: int = 0
    own_share: float = 0.0


def recipe_for(config: Config, rows: int) -> Recipe:
    """Return what the options ask for, and where they leave it open, what suits so many rows."""
    epochs = enough_epochs(rows) if config.max_epochs is None else config.max_epochs
    return Recipe(
        STEPS_PER_EPOCH * epochs,
        config.batch_size or enough_crops(rows),
        config.learning_rate or 2e-3,
        config.seed,
    )


def enough_crops(rows: int) -> int:
    """Return how many crops a step of training learns from: enough to cover all rows twice.

    At least 16, at most 64. A single series of a year has no more to teach, and takes a third of
    the time: fourteen series of M3 by themselves have the same errors as with 64.

    >>> [enough_crops(rows) for rows in (50, 1000, 100_000)]
    [16, 42, 64]
    """
    return min(max(-(-2 * rows // CROP), 16), 64)


def enough_epochs(rows: int) -> int:
    """Return over how many epochs to train on so many rows: one per hundred, from 10 to 30.

    More would learn a single short series by heart. On the last training rows of single series a
    hundred steps have smaller errors than three hundred; on those of thousands of rows, larger.

    >>> [enough_epochs(rows) for rows in (500, 2000, 100_000)]
    [10, 20, 30]
    """
    return min(max(rows // 100, 10), 30)
