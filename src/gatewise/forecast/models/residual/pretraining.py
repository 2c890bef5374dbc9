"""Train the networks that come with the package: `make pretrained`, a minute on one core.

They learn from the training parts of M1, M3 and Tourism and from series made of them, never from a
test part. `--without` leaves a source out, to judge the rest on its sets.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from gatewise.forecast import datasets, workers
from gatewise.forecast.data.panel import Array
from gatewise.forecast.models.residual import pretrained
from gatewise.forecast.models.residual.histories import flatten
from gatewise.forecast.models.residual.joint import joint_training_sets
from gatewise.forecast.models.residual.network import Network, Shape
from gatewise.forecast.models.residual.origin_features import universal_reading
from gatewise.forecast.models.residual.recipe import Recipe
from gatewise.forecast.models.residual.training import TrainingSet, train

SETS: Final = (
    "m1-monthly", "m1-quarterly", "m1-yearly", "m3-monthly", "m3-quarterly", "m3-yearly",
    "tourism-monthly", "tourism-quarterly",
)  # fmt: skip
SOURCES: Final = {
    "m": tuple(name for name in SETS if name.startswith("m")),
    "tourism": tuple(name for name in SETS if name.startswith("tourism")),
}
"""Sets of one source share series: sums of one are another's, and rows of one another's test part.

What is judged on a set must have learnt from none of its source (the M competitions took series
from each other)."""

SEED: Final = 2026
HORIZON: Final = 24
_RECIPE: Final = Recipe(steps=600, seed=SEED)
_NETWORKS: Final = 3


def source_of(name: str) -> str:
    """Return the source of a set.

    >>> source_of("m3-monthly"), source_of("tourism-quarterly")
    ('m', 'tourism')
    """
    return next(source for source, names in SOURCES.items() if name in names)


def training_sets(names: Sequence[str]) -> list[TrainingSet]:
    """Return what the training parts of data sets teach, and series made of them."""
    found = []
    for name in names:
        data = datasets.load(name)
        season_length = data.season_length or 1
        found.append((flatten(_targets(data), season_length), season_length, 1))
    return joint_training_sets(found, HORIZON, 200_000, SEED)


def pretrain(names: Sequence[str], jobs: int = 1) -> tuple[Network, ...]:
    """Train networks on data sets."""
    taught = training_sets(names)
    reading = universal_reading(12, HORIZON)
    shape = Shape(reading.inputs, reading.channels, HORIZON, structured=True, universal=True)
    calls = ((taught, "log", shape, replace(_RECIPE, seed=SEED + i)) for i in range(_NETWORKS))
    return tuple(network for network, _ in workers.run(train, calls, jobs))


def main() -> None:
    """Train on all sets but those left out, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--without", choices=SOURCES, help="leave out all sets of a source")
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    names = [name for name in SETS if source_of(name) != given.without]
    told = {"sets": names, "seed": SEED, "steps": _RECIPE.steps}
    pretrained.write(given.out, pretrain(names, given.jobs), told)


def _targets(data: datasets.Dataset) -> list[Array]:
    parts = data.table.partition_by(data.series, maintain_order=True)
    return [np.array(part[data.target], dtype=float) for part in parts]


if __name__ == "__main__":
    main()
