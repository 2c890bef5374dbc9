"""Checks, run with each backtest, that no forecast has seen its own future.

Each is an experiment on the same path that the backtest takes (panel -> window -> forecast), so a
scaling, a window or a driver that looks ahead shows in its outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gatewise.forecast.config import Config, Progress
from gatewise.forecast.data.panel import Array, Panel, Series, forward_fill
from gatewise.forecast.evaluation.folds import MODEL, Fold, forecast_folds
from gatewise.forecast.evaluation.significance import diebold_mariano
from gatewise.forecast.features.transform import from_working, to_working
from gatewise.forecast.models.window.encoder import fit_encoder
from gatewise.forecast.models.window.windows import MIN_CONTEXT

_ROWS: Final = 800
_SERIES: Final = 20


@dataclass(frozen=True, slots=True)
class LeakCheck:
    """Outcome of one check.

    Attributes:
        name: which one.
        passed: whether nothing was found.
        detail: what was seen, in one sentence.
    """

    name: str
    passed: bool
    detail: str


def run_experiments(
    config: Config, panel: Panel, cuts: Sequence[int], progress: Progress | None = None
) -> list[LeakCheck]:
    """The two checks that fit networks anew, briefly, on rows around one origin.

    Args:
        config: of the forecaster under test.
        panel: the whole table.
        cuts: rows known per series at the origin.
        progress: called as progress("checks", done, 2).
    """
    rows = max(_ROWS, MIN_CONTEXT + 3 * config.prediction_length)
    part, kept = _representative(panel, cuts, rows)
    checks = []
    for check in (future_invariance, shuffled_target):
        checks.append(check(config, part, kept))
        if progress is not None:
            progress("checks", len(checks), 2)
    return checks


def future_invariance(config: Config, panel: Panel, cuts: Sequence[int]) -> LeakCheck:
    """Other values after the origin must leave the forecast at the origin as it is, to the bit."""
    quick = replace(config, max_epochs=_at_most(2, config.max_epochs), ensemble_size=1)
    rng = np.random.default_rng(config.seed)
    changed = replace(
        panel,
        series=tuple(_tampered(s, cut, rng) for s, cut in zip(panel.series, cuts, strict=True)),
    )
    fold = _windows(panel, cuts, config.prediction_length)[0]
    made = [forecast_folds(quick, table, [fold])[0].quantiles[MODEL] for table in (panel, changed)]
    moved = float(np.nanmax(np.abs(made[0] - made[1])))
    same = made[0].tobytes() == made[1].tobytes()
    if same:
        detail = "With other values after the origin, the forecast was the same to the bit."
    else:
        detail = f"The forecast moved by up to {moved:.3g} when only rows after the origin changed."
    return LeakCheck("future invariance", same, detail)


def shuffled_target(config: Config, panel: Panel, cuts: Sequence[int]) -> LeakCheck:
    """With the target's changes permuted in time nothing can be forecast; skill would be a leak."""
    quick = replace(config, max_epochs=_at_most(6, config.max_epochs), ensemble_size=1)
    kind = fit_encoder(panel.before(cuts), config.transform).target_transform
    rng = np.random.default_rng(config.seed)
    shuffled = replace(panel, series=tuple(_shuffled(s, kind, rng) for s in panel.series))
    quick = replace(quick, transform=kind)
    windows = _windows(shuffled, cuts, config.prediction_length)
    point, actual, neutral = [], [], []
    for run in forecast_folds(quick, shuffled, windows, each_row=True):
        for own, i in zip(run.next_change, run.series, strict=True):
            level = forward_fill(shuffled.series[i].target)
            working = to_working(level, kind)
            for k, end in enumerate(range(run.fold.cuts[i], run.fold.ends[i])):
                point.append(float(to_working(level[end - 1 : end] + own[k], kind)[0]))
                actual.append(float(to_working(shuffled.series[i].target[end : end + 1], kind)[0]))
                neutral.append(np.nanmedian(working[:end]) if kind == "none" else working[end - 1])
    mine, theirs = (np.abs(np.array(actual) - made) for made in (point, neutral))
    seen = np.isfinite(mine) & np.isfinite(theirs)
    skill = 1 - mine[seen].sum() / max(theirs[seen].sum(), 1e-300)
    p = diebold_mariano(mine[seen], theirs[seen]).p_value
    caught = skill > 0.1 and p < 0.01
    detail = (
        f"With the target's changes shuffled in time, the error was {1 - skill:.2f} x that of the "
        f"neutral forecast{': it should not be able to do better' if caught else ''}."
    )
    return LeakCheck("shuffled target", not caught, detail)


def _at_most(epochs: int, asked: int | None) -> int:
    return epochs if asked is None else min(epochs, asked)


def _windows(panel: Panel, cuts: Sequence[int], h: int) -> list[Fold]:
    """Windows one after the other, from an origin to the end of the rows; at least one."""
    found, lengths = [], [len(s) for s in panel.series]
    for k in range(max(1, max(n - cut for n, cut in zip(lengths, cuts, strict=True)) // h)):
        starts, ends = (
            tuple(min(cut + j * h, n) for cut, n in zip(cuts, lengths, strict=True))
            for j in (k, k + 1)
        )
        found.append(Fold(k, f"window {k}", starts, ends))
    return found


def _representative(panel: Panel, cuts: Sequence[int], rows: int) -> tuple[Panel, list[int]]:
    """The longest series around the cut, cut to a size that is fitted in a second."""
    usable = [i for i, cut in enumerate(cuts) if cut >= 2]
    usable = sorted(usable, key=lambda i: -cuts[i])[:_SERIES]
    series, kept = [], []
    for i in sorted(usable):
        start = max(0, cuts[i] - rows)
        series.append(panel.series[i].rows(start, cuts[i] + rows // 4))
        kept.append(cuts[i] - start)
    return replace(panel, series=tuple(series)), kept


def _tampered(s: Series, cut: int, rng: np.random.Generator) -> Series:
    """The same rows before the cut; other targets and past drivers from it on."""

    def other(values: Array) -> Array:
        noise = rng.normal(size=values.shape)
        known = values[:cut]
        size = np.nanstd(known) if np.isfinite(known).any() else 1.0
        positive = bool((known[~np.isnan(known)] > 0).all())
        far = values * np.exp(1 + 0.3 * noise) if positive else 3 * values + size * (5 + noise)
        return np.where(np.arange(len(values)) < cut, values, far)

    past = [other(column) for column in s.past.T]
    return replace(s, target=other(s.target), past=np.column_stack(past) if past else s.past)


def _shuffled(s: Series, kind: str, rng: np.random.Generator) -> Series:
    working = to_working(s.target, kind)
    seen = np.flatnonzero(~np.isnan(working))
    values = working[seen]
    if kind == "none":
        values = rng.permutation(values)
    else:
        values = values[0] + np.concatenate([[0.0], np.cumsum(rng.permutation(np.diff(values)))])
    target = np.full(len(s), np.nan)
    target[seen] = from_working(values, kind)
    return replace(s, target=target)
