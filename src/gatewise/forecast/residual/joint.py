"""Lessons for universal networks: many panels, of any season, and series made of them.

Months added up are quarters and years; mixtures of series are new ones. Trained on all of it, a
network that reads the same features whatever the season learns shapes that one set does not hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from gatewise.forecast.residual.histories import Histories, joined
from gatewise.forecast.residual.positions import universal_reading
from gatewise.forecast.residual.synthetic import aggregate, synthesise
from gatewise.forecast.residual.training import Lesson, make_lesson

_COARSER: Final = {12: (4, 1), 4: (1,)}
"""Seasons of the sums that a season's rows give."""

_LEAST_SUMS: Final = 12
_SYNTHETIC: Final = 0.5
"""Made series, per given one."""

Seasonal = tuple[Histories, int]
"""A panel with its rows per season."""


def joint_lessons(
    panels: Sequence[Seasonal],
    prediction_length: int,
    origins: int,
    seed: int,
    long_season: int = 1,
) -> list[Lesson]:
    """Return what panels teach, the first one's lesson first.

    Args:
        panels: of targets that are never negative.
        prediction_length: the longest horizon that is learnt.
        origins: described per lesson, at most.
        seed: of what is made and drawn.
        long_season: of the first panel; 1 without one.
    """
    (own, own_season), *others = panels
    by_season: dict[int, list[Histories]] = {own_season: []}
    for given, season in others:
        by_season.setdefault(season, []).append(given)
    for given, season in panels:
        for coarser in _COARSER.get(season, ()):
            sums = aggregate(given, season // coarser, _LEAST_SUMS, coarser)
            by_season.setdefault(coarser, []).extend([sums] if sums else [])
    everything = [(own, own_season)]
    for season, found in by_season.items():
        everything += [(joined(found), season)] if found else []
        given = joined([own, *found] if season == own_season else found)
        made = synthesise(given, round(_SYNTHETIC * len(given.rows)), season, seed)
        everything.append((made, season))
    readings = [universal_reading(season, prediction_length) for _, season in everything]
    readings[0] = replace(readings[0], long_season=long_season)
    lessons = (
        make_lesson(panel, reading, origins, seed)
        for (panel, _), reading in zip(everything, readings, strict=True)
    )
    return [lesson for lesson in lessons if lesson is not None]
