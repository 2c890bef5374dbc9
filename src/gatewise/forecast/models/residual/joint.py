"""Training sets for universal networks: many panels, of any season, and series made of them.

Months added up are quarters and years; mixtures of series are new ones. Trained on all of it, a
network that reads the same features whatever the season learns shapes that one set does not hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gatewise.forecast.models.residual.histories import Histories, joined
from gatewise.forecast.models.residual.origin_features import universal_reading
from gatewise.forecast.models.residual.synthetic import aggregate, synthesise
from gatewise.forecast.models.residual.training import TrainingSet, make_training_set

_COARSER: Final = {12: (4, 1), 4: (1,)}
"""Seasons of the sums that a season's rows give."""

_LEAST_SUMS: Final = 12
_SYNTHETIC: Final = 0.5
"""Made series, per given one."""

Seasonal = tuple[Histories, int, int]
"""A panel with its rows per season and per long season; 1 without one."""


def joint_training_sets(
    panels: Sequence[Seasonal], prediction_length: int, origins: int, seed: int
) -> list[TrainingSet]:
    """Return what panels teach, the first one's training set first.

    Args:
        panels: of targets that are never negative.
        prediction_length: the longest horizon that is learnt.
        origins: described per training set, at most.
        seed: of what is made and drawn.
    """
    (own, own_season, own_longer), *others = panels
    alike: dict[tuple[int, int], list[Histories]] = {(own_season, own_longer): []}
    for given, season_length, longer in others:
        alike.setdefault((season_length, longer), []).append(given)
    for given, season_length, _ in panels:
        for coarser in _COARSER.get(season_length, ()):
            sums = aggregate(given, season_length // coarser, _LEAST_SUMS, coarser)
            alike.setdefault((coarser, 1), []).extend([sums] if sums else [])
    everything = [panels[0]]
    for (season_length, longer), found in alike.items():
        everything += [(joined(found), season_length, longer)] if found else []
        given = joined(
            [own, *found] if (season_length, longer) == (own_season, own_longer) else found
        )
        made = synthesise(given, round(_SYNTHETIC * len(given.rows)), season_length, seed)
        everything.append((made, season_length, longer))
    training_sets = []
    for panel, season_length, longer in everything:
        reading = universal_reading(season_length, prediction_length, long_season_length=longer)
        training_sets.append(make_training_set(panel, reading, origins, seed))
    return [one for one in training_sets if one is not None]
