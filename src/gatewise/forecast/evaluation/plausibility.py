"""Looks at a finished backtest: forecasts that lag, and errors that are too small to be true."""

from __future__ import annotations

from typing import Final

import numpy as np

from gatewise.errors import shown
from gatewise.forecast.data.panel import Array, Panel
from gatewise.forecast.evaluation.leaks import LeakCheck
from gatewise.page.numerals import signed


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
