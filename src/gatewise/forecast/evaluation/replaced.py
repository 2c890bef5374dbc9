"""Baselines that were not what they are called: renamed, left out, or noted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from gatewise.forecast.evaluation.folds import MODEL, FoldForecast


def renamed(
    made: Sequence[FoldForecast], kept: Sequence[str]
) -> tuple[list[FoldForecast], list[str]]:
    """Give baselines the names of what they are, and say what stood in for them.

    One that was replaced for every series at every origin takes the name of what replaced it, and
    is left out if that stands in the table already. One that was replaced here and there keeps its
    name, and a note tells how often.

    Args:
        made: what was forecast from each origin.
        kept: names that are needed, whatever stands behind them.

    Returns:
        The forecasts under their new names, and the notes.
    """
    names, notes = {}, []
    forecasts = sum(len(run.series) for run in made)
    for name in made[0].quantiles:
        by: Counter[str] = Counter()
        for run in made:
            by.update(run.replaced.get(name, {}))
        names[name] = name
        if not by:
            continue
        what = " and ".join(by)
        if by.total() < forecasts or name in kept or len(by) > 1:
            notes.append(
                f"{name}: the table allowed it for {forecasts - by.total()} of {forecasts} "
                f"forecasts; {what} stood in for the others."
            )
            continue
        there = what in made[0].quantiles or what in names.values()
        names[name] = "" if there else what
        notes.append(f"This table does not allow {name}: {what} stands in its place.")
    used = {old: new for old, new in names.items() if new}
    assert MODEL in used
    under_true_names = [
        replace(run, quantiles={new: run.quantiles[old] for old, new in used.items()})
        for run in made
    ]
    return under_true_names, notes
