"""Members of an ensemble: what each is, and running them over the origins before an end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from gatewise.forecast.data.panel import Array
from gatewise.forecast.models.products import one_thread, tiles
from gatewise.forecast.models.residual.baseline import from_working
from gatewise.forecast.models.residual.distribution import Distribution
from gatewise.forecast.models.residual.histories import Histories, Scale
from gatewise.forecast.models.residual.network import Network
from gatewise.forecast.models.residual.origin_features import (
    Reading,
    describe_origins,
    universal_reading,
)
from gatewise.forecast.models.residual.recipe import CROP, Recipe
from gatewise.forecast.models.residual.training import run

DECAYS: Final = (0.7, 0.9)
"""How fast older seasons fade, by member."""

CHUNK: Final = 1024
"""Series forecast at once, so that memory stays bounded."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to fit; JSON-able.

    Attributes:
        season_length: rows per season.
        prediction_length: h.
        scale: "log" or "linear".
        distribution: what the networks say of each row.
        members: number of networks.
        hidden_size, num_layers, dropout: of each.
        recipe: how each is trained; its seed is the first member's.
        origins: described at most, per decay; a larger panel is sampled.
        static: numbers that each series has, constant within it.
        long_season_length: rows of a longer season, a multiple of `season_length`; 1 without one.
    """

    season_length: int
    prediction_length: int
    scale: Scale
    distribution: Distribution = "empirical"
    members: int = 8
    hidden_size: int = 48
    num_layers: int = 2
    dropout: float = 0.2
    recipe: Recipe = field(default_factory=Recipe)
    origins: int = 200_000
    static: int = 0
    long_season_length: int = 1

    @property
    def longest_season(self) -> int:
        """Rows of the longer season, or of the only one."""
        return max(self.season_length, self.long_season_length)

    def reading(self, decay: float) -> Reading:
        """How members of a decay read origins."""
        return Reading(
            self.season_length,
            self.prediction_length,
            self.scale,
            decay,
            static=self.static,
            long_season_length=self.long_season_length,
        )

    @property
    def universal_reading(self) -> Reading:
        """How universal networks read origins."""
        return universal_reading(
            self.season_length, self.prediction_length, self.scale, self.long_season_length
        )


@dataclass(frozen=True, eq=False)
class Member:
    """A trained network.

    Attributes:
        reading: how it reads origins.
        network: in evaluation mode.
        losses: of each step.
    """

    reading: Reading
    network: Network
    losses: tuple[float, ...]


def forecasts(
    members: Sequence[Member],
    histories: Histories,
    series: NDArray[np.intp],
    ends: NDArray[np.intp],
    shrinkages: Sequence[float],
) -> Array:
    """[S, M, n, h] each member's forecast in the target's unit, by shrinkage."""
    h = members[0].reading.prediction_length
    made = np.empty((len(shrinkages), len(members), len(series), h))
    for start in range(0, len(series), CHUNK):
        part = slice(start, start + CHUNK)
        for reading in dict.fromkeys(member.reading for member in members):
            alike = [i for i, member in enumerate(members) if member.reading == reading]
            ran = run_chunk(
                [members[i] for i in alike], histories, series[part], ends[part], shrinkages
            )
            for i, (points, _, _) in zip(alike, ran, strict=True):
                made[:, i, part] = points
    return made


def run_chunk(
    members: Sequence[Member],
    histories: Histories,
    series: NDArray[np.intp],
    ends: NDArray[np.intp],
    shrinkages: Sequence[float],
) -> list[tuple[Array, Array, Array]]:
    """Run members that read alike over the origins before each end.

    Returns:
        Of each member [S, n, h] its forecasts by shrinkage and [n, h] what one volatility is, in
        the target's unit, and [n, h, E] its outputs beside.
    """
    reading = members[0].reading
    back = np.minimum(np.maximum(ends - reading.least, 0), CROP - 1)  # origins before the end
    of_crop = ends - back + np.minimum(np.arange(CROP)[:, None], back)  # [T, n]
    code = series * (int(ends.max()) + 1) + of_crop
    unique, at = np.unique(code, return_inverse=True)
    which, when = np.divmod(unique, int(ends.max()) + 1)
    features = describe_origins(histories, reading, which, when)
    at = at.reshape(of_crop.shape)
    last, E = at[-1], members[0].network.shape.parameters
    base, centre, level = features.base[last], features.centre[last], features.level[last]
    made = []
    with one_thread(), torch.no_grad():
        for member in members:
            z, volatility = np.empty(base.shape), np.empty(base.shape)
            beside = np.empty((*base.shape, E))
            for part, numbers in tiles(len(ends)):
                ran = run(member.network, features, at[:, numbers])
                here = back[part], np.arange(part.stop - part.start)
                z[part], beside[part], volatility[part] = (v[here].numpy() for v in ran)
            shrunk = (base + shrinkage * (z - base) for shrinkage in shrinkages)
            points = np.stack([from_working(v, centre, level, reading.scale) for v in shrunk])
            made.append((points, level[:, None] * volatility, beside))
    return made
