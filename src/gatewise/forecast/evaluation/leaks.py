"""Checks, run with each backtest, that no forecast has seen its own future.

Each is an experiment on the same path that the backtest takes (panel -> window -> forecast), so a
scaling, a window or a driver that looks ahead shows in its outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gatewise.errors import shown
from gatewise.forecast.config import Config, Progress
from gatewise.forecast.data.panel import Array, Panel, Series
from gatewise.forecast.evaluation.significance import diebold_mariano
from gatewise.forecast.features.transform import from_working, to_working
from gatewise.forecast.models.base import forecast_at
from gatewise.forecast.models.fit import fit_panel
from gatewise.forecast.models.window.encoder import fit_encoder
from gatewise.forecast.models.window.windows import MIN_CONTEXT
from gatewise.page.numerals import signed

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
    quick = replace(config, max_epochs=min(config.max_epochs, 2), ensemble_size=1)
    rng = np.random.default_rng(config.seed)
    changed = replace(
        panel,
        series=tuple(_tampered(s, cut, rng) for s, cut in zip(panel.series, cuts, strict=True)),
    )
    known = [i for i, cut in enumerate(cuts) if cut >= 2]
    ends = [cuts[i] for i in known]
    made = [
        forecast_at(fit_panel(quick, table.before(cuts)), table, known, ends)
        for table in (panel, changed)
    ]
    moved = float(np.nanmax(np.abs(made[0] - made[1])))
    same = made[0].tobytes() == made[1].tobytes()
    if same:
        detail = "With other values after the origin, the forecast was the same to the bit."
    else:
        detail = f"The forecast moved by up to {moved:.3g} when only rows after the origin changed."
    return LeakCheck("future invariance", same, detail)


def shuffled_target(config: Config, panel: Panel, cuts: Sequence[int]) -> LeakCheck:
    """With the target's changes permuted in time nothing can be forecast; skill would be a leak."""
    quick = replace(config, max_epochs=min(config.max_epochs, 6), ensemble_size=1)
    kind = fit_encoder(panel.before(cuts), config.transform).target_transform
    rng = np.random.default_rng(config.seed)
    shuffled = replace(panel, series=tuple(_shuffled(s, kind, rng) for s in panel.series))
    quick = replace(quick, transform=kind)
    fitted = fit_panel(quick, shuffled.before(cuts))
    where = [
        (i, end)
        for i, (s, cut) in enumerate(zip(shuffled.series, cuts, strict=True))
        for end in range(cut, len(s))
        if cut >= 2
    ]
    series, ends = zip(*where, strict=True)
    middle = config.probabilities.index(0.5)
    point = to_working(forecast_at(fitted, shuffled, series, ends)[:, 0, middle], kind)
    actual, neutral = np.empty(len(where)), np.empty(len(where))
    for row, (i, end) in enumerate(where):
        working = to_working(shuffled.series[i].target, kind)
        past = working[:end][~np.isnan(working[:end])]
        actual[row] = working[end]
        neutral[row] = np.nan if not len(past) else np.median(past) if kind == "none" else past[-1]
    mine, theirs = np.abs(actual - point), np.abs(actual - neutral)
    seen = np.isfinite(mine) & np.isfinite(theirs)
    skill = 1 - mine[seen].sum() / max(theirs[seen].sum(), 1e-300)
    p = diebold_mariano(mine[seen], theirs[seen]).p_value
    caught = skill > 0.1 and p < 0.01
    detail = (
        f"With the target's changes shuffled in time, the error was {1 - skill:.2f} x that of the "
        f"neutral forecast{': it should not be able to do better' if caught else ''}."
    )
    return LeakCheck("shuffled target", not caught, detail)


def yesterdays_value(forecast: Array, actual: Array, previous: Array) -> LeakCheck:
    """One-step forecasts that repeat the previous row's change, and are no better than no change.

    Args:
        forecast: [n] forecast change of the next row.
        actual: [n] what it was.
        previous: [n] the change of the row before.

    >>> change = np.random.default_rng(0).normal(size=50)
    >>> yesterdays_value(change[:-1], change[1:], change[:-1]).passed
    False
    """
    name = "yesterday's value"
    keep = np.isfinite(forecast) & np.isfinite(actual) & np.isfinite(previous)
    f, a, b = forecast[keep], actual[keep], previous[keep]
    if len(f) < 8 or min(f.std(), a.std(), b.std()) <= 1e-12 * np.abs(a).max():
        return LeakCheck(name, True, "The forecasts do not repeat the previous change.")
    now, before = np.corrcoef(f, a)[0, 1], np.corrcoef(f, b)[0, 1]
    useless = np.mean((a - f) ** 2) >= np.mean(a**2)
    caught = bool(before > 0.9 and before > now and useless)
    detail = f"Forecast changes correlate {signed(before)} with the previous change, " + (
        f"{signed(now)} with the one they forecast, and are no better than no change: they lag."
        if caught
        else f"{signed(now)} with the one they forecast."
    )
    return LeakCheck(name, not caught, detail)


_SETTLES: Final = 0.8
_EXPLAINS: Final = 0.1
_OF_PRICES: Final = 0.5
"""Bounds on a driver's correlation with the next change, and on the share of squared error left.

Elsewhere a driver may well lead, and only what is nearly the answer itself is called a leak. For
prices a quarter of the next change's variance from one past driver, or half of it from all, is far
beyond anything published (Gu, Kelly & Xiu 2020: .4 % a month)."""

_REMARKABLE: Final = 0.3


def too_good(panel: Panel, ratio: float, own: float, unit: str = "none") -> LeakCheck:
    """A past driver that settles the next row's change, or an error too small to be true.

    A driver that is declared known ahead is known: it may settle the change, as a promotion does.
    Where there are such drivers, past ones are judged by what they explain beside them.

    Args:
        panel: the whole table.
        ratio: mean squared error over that of the naive forecast.
        own: the same ratio of the best forecast from the target's own past.
        unit: transform of the target; prices ("log-return") are held to stricter bounds.
    """
    name, question = "too good", "Is it stamped with the time at which it was known?"
    strengths = {
        driver: max(_next_change_correlation(panel, i, changes) for changes in (False, True))
        for i, driver in enumerate(panel.columns.past)
    }
    strongest = max(strengths, key=lambda driver: strengths[driver], default="")
    seen = (
        f"Past driver {shown(strongest)} in row t correlates {strengths.get(strongest, 0):.2f} "
        "with the target's change in row t + 1"
    )
    strict = strengths and unit == "log-return"
    if strengths and strengths[strongest] > (_OF_PRICES if strict else _SETTLES):
        return LeakCheck(name, False, f"{seen}. {question}")
    bound = _OF_PRICES if strict else _EXPLAINS
    if strengths and panel.columns.future:
        left = _left_by_past(panel)
        if left < bound:
            return LeakCheck(
                name,
                False,
                f"Past drivers in row t leave {left:.3f} of the variance of the target's change in "
                f"row t + 1 that its last change and the drivers known ahead do not explain. Look "
                f"at each past driver: {question[0].lower()}{question[1:]}",
            )
    elif strengths and ratio < bound and own > max(0.5, 1.6 * ratio):
        return LeakCheck(
            name,
            False,
            f"The squared error is {ratio:.3f} x that of the naive forecast, which the target's "
            f"own past does not explain ({own:.2f}). Look at each driver: {question[0].lower()}"
            f"{question[1:]}",
        )
    if strengths and strengths[strongest] > _REMARKABLE:
        return LeakCheck(name, True, f"{seen}: much, but not implausible. {question}")
    return LeakCheck(
        name,
        True,
        "No past driver settles the next change"
        + (
            "; drivers declared known ahead are taken as known."
            if panel.columns.future
            else ", and the errors are plausible."
        ),
    )


def _next_change_correlation(panel: Panel, driver: int, changes: bool) -> float:
    """|correlation| of a past driver in row t with the target's change in row t + 1.

    Only what goes beyond the target's own last change counts, so that a smooth series with a
    smooth driver is not accused.
    """
    ahead, mine, last = [], [], []
    for s in panel.series:
        step = np.diff(s.target)
        x = s.past[:, driver]
        x = np.diff(x) if changes else x[1:]
        scale = np.nanstd(step) or 1.0
        ahead.append(step[1:] / scale)
        last.append(step[:-1] / scale)
        mine.append(x[:-1])
    a, x, own = (np.concatenate(v) for v in (ahead, mine, last))
    keep = np.isfinite(a) & np.isfinite(x) & np.isfinite(own)
    if keep.sum() < 20 or min(a[keep].std(), x[keep].std(), own[keep].std()) == 0:
        return 0.0
    table = np.abs(np.corrcoef(np.stack([a[keep], x[keep], own[keep]])))
    return float(table[0, 1]) if table[0, 1] > table[0, 2] + 0.1 else 0.0


def _left_by_past(panel: Panel) -> float:
    """Share of the next change's variance that past drivers leave, beside what is known anyway.

    Known anyway are the target's last change and the drivers known ahead, their values and changes.
    1 with fewer than 20 rows for each column.
    """
    ahead, known, past = [], [], []
    for s in panel.series:
        step = np.diff(s.target)
        scale = np.nanstd(step) or 1.0
        ahead.append(step[1:] / scale)
        future = np.column_stack([s.future[2:], np.diff(s.future, axis=0)[1:]])
        known.append(np.column_stack([np.ones(len(step) - 1), step[:-1] / scale, future]))
        past.append(np.column_stack([s.past[1:-1], np.diff(s.past, axis=0)[:-1]]))
    change, before, more = (np.concatenate(v) for v in (ahead, known, past))
    both = np.column_stack([before, more])
    keep = np.isfinite(change) & np.isfinite(both).all(1)
    if keep.sum() < 20 * both.shape[1]:
        return 1.0
    left = [
        float(np.square(change[keep] - x[keep] @ np.linalg.lstsq(x[keep], change[keep])[0]).sum())
        for x in (before, both)
    ]
    return left[1] / left[0] if left[0] > 1e-12 * np.square(change[keep]).sum() else 1.0


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
