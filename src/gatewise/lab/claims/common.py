"""What the claims share: lines of tables, rules of thumb for power, pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gatewise.lab import statistics
from gatewise.lab.design import LEAST_SEEDS, Verdict, Word, of_arm
from gatewise.lab.store import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, VIOLET, GREY = "#3b82c4", "#d97706", "#5b8c3a", "#8d4fb8", "#8b8f97"
COLOURS: Final = (BLUE, ORANGE, GREEN, VIOLET, "#0f9aa7", "#a8455d", GREY)

RATES: Final = (0.003, 0.01, 0.03, 0.1)
"""Learning rates that are tried for each arm, on tuning seeds."""

Arms = Mapping[str, Sequence[Row]]


def arms_of(rows: Sequence[Row], *names: str) -> dict[str, list[Row]]:
    """Return the rows of every arm by its label: the values of some settings, as they come."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        label = ", ".join(str(row.config[n]) for n in names if n in row.config)
        found.setdefault(label, []).append(row)
    return {k: sorted(v, key=lambda row: row.config["seed"]) for k, v in found.items()}


def success(own: Sequence[Row]) -> dict[str, Any]:
    """How many seeds solve the task, with its Wilson interval, and how soon half of them do."""
    solved = [bool(row.result["solved"]) for row in own]
    share = statistics.proportion(sum(solved), len(own))
    return {
        "seeds": len(own), "solved": share.value, "low": share.low, "high": share.high,
        "median sequences": statistics.median_time(
            [row.result["sequences"] for row in own], solved
        ),
    }  # fmt: skip


def soonest(result: dict[str, Any]) -> float:
    """Sequences seen until the task is solved; of settings that do not solve it, by the loss."""
    loss = result["loss"]
    return float(result["sequences"]) + (1e9 if loss is None else min(float(loss), 1e3) / 1e3)


def median(own: Sequence[Row], *path: str) -> float | None:
    """Median of a result over the seeds that have it."""
    values = [v for v in values_of(own, *path) if v is not None]
    return float(np.median(values)) if values else None


def of_seeds(
    a: Sequence[Row], b: Sequence[Row], value: Callable[[Row], float]
) -> tuple[list[float], list[float]]:
    """Return the mean of a value over the rows of each seed, in two sets of arms.

    Rows of a seed share their sequences and first weights: the seed is what is drawn.
    """
    sums: tuple[dict[int, list[float]], dict[int, list[float]]] = ({}, {})
    for rows, into in zip((a, b), sums, strict=True):
        for row in rows:
            into.setdefault(row.config["seed"], []).append(float(value(row)))
    seeds = sorted(sums[0].keys() & sums[1].keys())
    one, two = ([float(np.mean(s[k])) for k in seeds] for s in sums)
    return one, two


def values_of(own: Sequence[Row], *path: str) -> list[Any]:
    """A result of each row; None where it has none."""
    found = []
    for row in own:
        value: Any = row.result
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        found.append(value)
    return found


def judged(
    rows: Sequence[Row],
    arms: Sequence[Mapping[str, Any]],
    verdict: Callable[[], Verdict],
    table: Sequence[Mapping[str, Any]],
) -> Verdict:
    """Return the verdict where every arm has seeds enough; else the same sentence, underpowered.

    Args:
        rows: of the experiment.
        arms: that must be there.
        verdict: by the rule.
        table: what is shown where an arm has no seed at all.
    """
    least = min((len(of_arm(rows, **arm)) for arm in arms), default=0)
    if not least:
        return Verdict("underpowered", "An arm has no seed yet.", table)
    found = verdict()
    if least >= LEAST_SEEDS:
        return found
    told = f"{least} paired seeds an arm, {LEAST_SEEDS} are needed to judge. So far: "
    return replace(found, word="underpowered", sentence=told + found.sentence, on="", plain="")


def reproduced(good: bool) -> Word:
    """The verdict on a published result."""
    return "reproduced" if good else "not reproduced"


def share(value: float) -> str:
    """A share in percent.

    >>> share(0.9), share(0.004), share(0.0)
    ('90 %', '0.4 %', '0 %')
    """
    if np.isnan(value):
        return "–"
    percent = 100 * value
    return f"{percent:.1f} %" if 0 < abs(percent) < 1 else f"{percent:.0f} %"


def p_value(p: float) -> str:
    """A p-value as papers print it.

    >>> p_value(0.0312), p_value(1e-140)
    ('p = 0.031', 'p < 0.0001')
    """
    return f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"


def interval(e: statistics.Estimate, form: str = "+.2f") -> str:
    """An effect with its 95 % interval."""
    return f"{e.value:{form}} [{e.low:{form}}, {e.high:{form}}]"


def dots(
    arms: Mapping[str, Sequence[float | None]],
    label: str,
    *,
    line: float | None = None,
    log: bool = False,
    colours: Mapping[str, str] | None = None,
) -> Figure:
    """Draw a row of dots for each arm, a dot for each seed, a bar at the median.

    Args:
        arms: values by label; None and infinities are not drawn.
        label: of the axis.
        line: where a dashed line stands.
        log: on a logarithmic axis.
        colours: by label.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 0.9 + 0.34 * max(len(arms), 2)), layout="constrained")
    axis = figure.subplots()
    for place, (name, values) in enumerate(arms.items()):
        seen = np.array([v for v in values if v is not None and np.isfinite(v)])
        if log:
            seen = seen[seen > 0]
        colour = (colours or {}).get(name, BLUE)
        jitter = np.random.default_rng(0).uniform(-0.22, 0.22, len(seen))
        axis.plot(seen, place + jitter, "o", ms=3.5, alpha=0.55, color=colour, mew=0)
        if len(seen):
            axis.plot([np.median(seen)] * 2, [place - 0.34, place + 0.34], color=colour, lw=2.2)
    if line is not None:
        axis.axvline(line, color=GREY, linestyle="--", linewidth=1)
    if log:
        axis.set_xscale("log")
    axis.set_yticks(range(len(arms)), list(arms))
    axis.set_ylim(max(len(arms), 1) - 0.5, -0.5)
    axis.set_xlabel(label)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def bars(arms: Mapping[str, statistics.Estimate], label: str, *, line: float | None = None,
         colours: Mapping[str, str] | None = None) -> Figure:  # fmt: skip
    """Draw an estimate with its interval for each arm."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 0.9 + 0.3 * max(len(arms), 2)), layout="constrained")
    axis = figure.subplots()
    for place, (name, e) in enumerate(arms.items()):
        colour = (colours or {}).get(name, BLUE)
        axis.plot([e.low, e.high], [place, place], color=colour, linewidth=1.6)
        axis.plot(e.value, place, "o", ms=5, color=colour)
    if line is not None:
        axis.axvline(line, color=GREY, linestyle="--", linewidth=1)
    axis.set_yticks(range(len(arms)), list(arms))
    axis.set_ylim(max(len(arms), 1) - 0.5, -0.5)
    axis.set_xlabel(label)
    axis.spines[["top", "right"]].set_visible(False)
    return figure
