"""Train the networks that come with the package: `make pretrained`, five minutes on one core.

They learn from the training parts of M1, M3 and Tourism and from series made of them, never from a
test part. `--without` leaves sets out, to judge the rest on them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from gatewise.forecast import datasets, workers
from gatewise.forecast.panel import Array
from gatewise.forecast.residual import pretrained
from gatewise.forecast.residual.histories import Histories, flatten, joined
from gatewise.forecast.residual.network import Network, Shape
from gatewise.forecast.residual.positions import Reading
from gatewise.forecast.residual.synthetic import aggregate, synthesise
from gatewise.forecast.residual.training import Lesson, Recipe, make_lesson, train

SETS: Final = (
    "m1-monthly", "m1-quarterly", "m1-yearly", "m3-monthly", "m3-quarterly", "m3-yearly",
    "tourism-monthly", "tourism-quarterly",
)  # fmt: skip
SEED: Final = 2026
HORIZON: Final = 24
DECAY: Final = 0.8
_RECIPE: Final = Recipe(steps=600, seed=SEED)
_SYNTHETIC: Final = 0.5
_NETWORKS: Final = 4
_LEAST_SUMS: Final = 12


def lessons(names: Sequence[str]) -> list[Lesson]:
    """Return what the training parts of data sets teach, and series made of them."""
    by_season: dict[int, list[Histories]] = {}
    for name in names:
        data = datasets.load(name)
        season = data.season or 1
        given = flatten(_targets(data), season)
        by_season.setdefault(season, []).append(given)
        for coarser in (s for s in (4, 1) if s < season):
            sums = aggregate(given, season // coarser, _LEAST_SUMS, coarser)
            by_season.setdefault(coarser, []).extend([sums] if sums else [])
    found = []
    for season, panels in by_season.items():
        reading = Reading(season, HORIZON, "log", DECAY, universal=True)
        given = joined(panels)
        made = synthesise(given, round(_SYNTHETIC * len(given.rows)), season, SEED)
        found += [make_lesson(panel, reading, 200_000, SEED) for panel in (given, made)]
    return [lesson for lesson in found if lesson is not None]


def pretrain(names: Sequence[str], jobs: int = 1) -> tuple[Network, ...]:
    """Train networks on data sets."""
    taught = lessons(names)
    reading = Reading(12, HORIZON, "log", DECAY, universal=True)
    shape = Shape(reading.inputs, reading.channels, HORIZON, structured=True, universal=True)
    calls = ((taught, "log", shape, replace(_RECIPE, seed=SEED + i)) for i in range(_NETWORKS))
    return tuple(network for network, _ in workers.run(train, calls, jobs))


def main() -> None:
    """Train on all sets but those left out, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--without", nargs="*", default=[], choices=SETS)
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    names = [name for name in SETS if name not in given.without]
    told = {"sets": names, "seed": SEED, "steps": _RECIPE.steps, "decay": DECAY}
    pretrained.write(given.out, pretrain(names, given.jobs), told)


def _targets(data: datasets.Dataset) -> list[Array]:
    parts = data.table.partition_by(data.series, maintain_order=True)
    return [np.array(part[data.target], dtype=float) for part in parts]


if __name__ == "__main__":
    main()
