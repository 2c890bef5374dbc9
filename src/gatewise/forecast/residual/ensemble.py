"""Several networks, and the intervals that their own errors bear out.

The members differ in seed, in head, and in how fast older seasons fade. Each is blind to a quarter
of the series; where there are few of them, half of the members are blind to the last rows instead.
So past rows can be forecast by members that never learnt from them, and from what those forecasts
missed by come the intervals (cross-conformal prediction, Vovk 2015; Stankevičiūtė et al. 2021).
The forecast itself is the median of all members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from gatewise.forecast import workers
from gatewise.forecast.model import one_thread
from gatewise.forecast.panel import Array
from gatewise.forecast.residual import distribution
from gatewise.forecast.residual.baseline import from_working
from gatewise.forecast.residual.distribution import PARAMETERS, Distribution
from gatewise.forecast.residual.histories import Histories, Scale
from gatewise.forecast.residual.joint import Seasonal, joint_lessons, universal_reading
from gatewise.forecast.residual.network import Network, Shape
from gatewise.forecast.residual.positions import Reading, describe_origins
from gatewise.forecast.residual.training import CROP, Lesson, Recipe, make_lesson, run, train

DECAYS: Final = (0.7, 0.9)
"""How fast older seasons fade, by member."""

_CHUNK: Final = 1024
"""Series forecast at once, so that memory stays bounded."""

MANY: Final = 20
"""From so many series on, networks are blind to some of them; else to the last rows."""

_FOLDS: Final = 4

_UNSEEN: Final = 0.25
"""Share of the last rows of a series that networks are blind to, at most, if there are few."""

_ERRORS: Final = 1600
"""Past forecasts whose errors are looked at, at most."""

_RECENT: Final = 0.5
"""They start from the last origins: this share of them."""

_FEW: Final = 3
_NEW: Final = 0.1
_STILL: Final = 1e-3
"""Usual changes are at least this share of the level; of a series with fewer rows than `_FEW`,
whose changes are not known yet, `_NEW`."""

_WORTH_PROCESSES: Final = 800
"""Steps of training, in all, that last longer than worker processes take to start."""

_JOINT_STEPS: Final = 1.5
"""Universal networks take so many times the steps: they have more to learn."""

_OWN_SHARE: Final = 0.5
"""Of the steps of universal networks, so many are the panel's own."""

_TRUST: Final = (0.0, 0.25, 0.5, 0.75, 1.0)

_WORTH: Final = 0.002
"""Share of the error that more trust in the networks must save."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to fit; JSON-able.

    Attributes:
        season: rows per season.
        prediction_length: h.
        scale: "log" or "linear".
        distribution: what the networks say of each row.
        members: number of networks.
        hidden_size, num_layers, dropout: of each.
        recipe: how each is trained; its seed is the first member's.
        origins: described at most, per decay; a larger panel is sampled.
    """

    season: int
    prediction_length: int
    scale: Scale
    distribution: Distribution = "empirical"
    members: int = 8
    hidden_size: int = 48
    num_layers: int = 2
    dropout: float = 0.2
    recipe: Recipe = field(default_factory=Recipe)
    origins: int = 200_000

    def reading(self, decay: float) -> Reading:
        """How members of a decay read origins."""
        return Reading(self.season, self.prediction_length, self.scale, decay)


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


@dataclass(frozen=True, eq=False)
class Errors:
    """What forecasts by blind members missed by. R forecasts, h rows.

    Attributes:
        values: [R, h] actual minus forecast, over `unit_of`; NaN where no value came.
        trust: weight of the networks beside the baseline: 1 with many series; with few, what was
            best in these forecasts.
    """

    values: Array
    trust: float


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Trained networks with the errors of their forecasts."""

    plan: Plan
    members: tuple[Member, ...]
    errors: Errors

    def points(
        self, histories: Histories, series: NDArray[np.intp], ends: NDArray[np.intp]
    ) -> Array:
        """Forecast [n, h] in the target's unit, from origins anywhere in a panel."""
        return np.median(_forecasts(self.members, histories, series, ends, self.errors.trust), 0)

    def quantiles(
        self,
        histories: Histories,
        series: NDArray[np.intp],
        ends: NDArray[np.intp],
        probabilities: Sequence[float],
    ) -> Array:
        """Mean quantiles [n, h, Q] of the members' distributions (Vincent 1912); counts stay whole.

        Only for members whose distribution has parameters.
        """
        kind, total = self.plan.distribution, 0.0
        for member in self.members:
            parts = []
            for start in range(0, len(series), _CHUNK):
                part = slice(start, start + _CHUNK)
                (made,) = _run_chunk([member], histories, series[part], ends[part], 1.0)
                parts.append(distribution.quantiles(kind, *made, probabilities))
            total = total + np.concatenate(parts) / len(self.members)
        return np.round(total) if kind == "negative-binomial" else np.asarray(total)


def fit(
    histories: Histories,
    plan: Plan,
    related: Sequence[Seasonal] = (),
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Ensemble:
    """Train an ensemble.

    Args:
        histories: the panel.
        related: other panels, of any season; with some, every other member is a universal network
            that learns from all of them.
        plan: what to fit.
        jobs: worker processes; the numbers do not depend on it.
        progress: called as progress(done, members).
    """
    lessons = _lessons(histories, plan, related)
    readings = _readings(plan, joint=any(reading.universal for reading in lessons))
    limits = [
        histories.rows if reading.universal else _limits(histories, plan, number)
        for number, reading in enumerate(readings)
    ]
    calls = (
        (_seen(lessons[reading], limits[number]), plan, reading, number)
        for number, reading in enumerate(readings)
    )
    members: list[Member] = []
    worth_it = plan.members * plan.recipe.steps >= _WORTH_PROCESSES
    for member in workers.run(_train_member, calls, min(jobs, plan.members) if worth_it else 1):
        members.append(member)
        progress(len(members), plan.members)
    return Ensemble(plan, tuple(members), _unseen_errors(members, limits, histories, plan))


def ready(networks: Sequence[Network], histories: Histories, plan: Plan) -> Ensemble:
    """Make an ensemble of universal networks that never saw the panel."""
    reading = universal_reading(plan.season, plan.prediction_length, plan.scale)
    members = tuple(Member(reading, network, ()) for network in networks)
    blind = np.zeros_like(histories.rows)
    return Ensemble(plan, members, _unseen_errors(members, [blind] * len(members), histories, plan))


def _lessons(
    histories: Histories, plan: Plan, related: Sequence[Seasonal]
) -> dict[Reading, list[Lesson]]:
    """What is taught to those who read in each way, the panel's own lesson first."""
    decays = DECAYS if plan.season > 1 else DECAYS[:1]
    seed, found = plan.recipe.seed, {}
    for reading in map(plan.reading, decays):
        own = make_lesson(histories, reading, plan.origins, seed)
        found[reading] = [own] if own else []
    if related and plan.scale == "log":
        panels = [(histories, plan.season), *related]
        joint = universal_reading(plan.season, plan.prediction_length, plan.scale)
        found[joint] = joint_lessons(panels, plan.prediction_length, plan.origins, seed)
    return found


def _readings(plan: Plan, joint: bool) -> list[Reading]:
    """How each member reads: by decay in turn, every other one as a universal network."""
    decays = DECAYS if plan.season > 1 else DECAYS[:1]
    found = [plan.reading(decays[number // 2 % len(decays)]) for number in range(plan.members)]
    if joint:
        universal = universal_reading(plan.season, plan.prediction_length, plan.scale)
        found = [
            universal if (number + number // 2 + number // 4) % 2 else reading
            for number, reading in enumerate(found)
        ]
    return found


def _train_member(lessons: Sequence[Lesson], plan: Plan, reading: Reading, number: int) -> Member:
    shape = Shape(
        reading.inputs,
        reading.channels,
        plan.prediction_length,
        structured=reading.universal or number % 2 == 1,
        universal=reading.universal,
        parameters=PARAMETERS[plan.distribution],
        hidden_size=plan.hidden_size,
        num_layers=plan.num_layers,
        dropout=plan.dropout,
    )
    recipe = replace(plan.recipe, seed=plan.recipe.seed + number)
    if reading.universal:
        recipe = replace(recipe, steps=round(_JOINT_STEPS * recipe.steps), own_share=_OWN_SHARE)
    network, losses = train(lessons, plan.scale, shape, recipe, plan.distribution)
    return Member(reading, network, tuple(losses))


def _seen(lessons: Sequence[Lesson], limits: NDArray[np.intp]) -> Sequence[Lesson]:
    """Lessons with the panel's own, the first, as far as a member may see it."""
    return (lessons[0].blind(limits), *lessons[1:]) if lessons else ()


def _limits(histories: Histories, plan: Plan, number: int) -> NDArray[np.intp]:
    """[S] row of each series from which on a member is blind."""
    rows, series = histories.rows, np.arange(len(histories.rows))
    if len(rows) >= MANY:
        fold = (number + number // _FOLDS) % _FOLDS  # meets each head and each decay in turn
        return np.where(series % _FOLDS == fold, 0, rows)
    if number % 4 in (0, 3):
        return rows
    held = np.maximum(plan.prediction_length, (_UNSEEN * rows).astype(np.intp))
    least = plan.reading(DECAYS[0]).least
    return np.where(rows - held > least, rows - held, rows)


def _unseen_errors(
    members: Sequence[Member],
    limits: Sequence[NDArray[np.intp]],
    histories: Histories,
    plan: Plan,
) -> Errors:
    """Forecast past rows by the members blind to them."""
    h = plan.prediction_length
    series, ends = _past_origins(histories, plan, np.min(limits, axis=0))
    unit = unit_of(histories, plan.season, series, ends)[:, None]
    actual = _actual(histories, series, ends, h)
    trusts = (1.0,) if len(histories.rows) >= MANY else _TRUST
    values = {trust: np.full((len(series), h), np.nan) for trust in trusts}
    blind = np.array([limit[series] <= ends for limit in limits])  # [M, R]
    for pattern in np.unique(blind, axis=1).T:
        at = np.flatnonzero((blind == pattern[:, None]).all(0))
        honest = [member for member, is_blind in zip(members, pattern, strict=True) if is_blind]
        if not honest:
            continue
        for trust in trusts:
            made = np.median(_forecasts(honest, histories, series[at], ends[at], trust), 0)
            values[trust][at] = (actual[at] - made) / unit[at]
    sizes = {t: float(np.nanmean(np.abs(v))) for t, v in values.items() if np.isfinite(v).any()}
    best = min(sizes.values(), default=0.0)
    trust = next((t for t, size in sizes.items() if size <= (1 + _WORTH) * best), 1.0)
    return Errors(values[trust], trust)


def _past_origins(
    histories: Histories, plan: Plan, limits: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Series and ends of origins that some members are blind to, with a whole horizon after them.

    With many series each gives as many, drawn from its later half.
    """
    rows, least = histories.rows, plan.reading(DECAYS[0]).least
    last = rows - plan.prediction_length
    first = np.maximum(limits, np.maximum(least, (last * (1 - _RECENT)).astype(np.intp)))
    if len(rows) < MANY and limits.any():
        first = np.where(limits < rows, np.maximum(limits, least), rows)
    count = np.maximum(last - first + 1, 0)
    series = np.repeat(np.arange(len(rows)), count)
    ends = np.arange(len(series)) - np.repeat(np.cumsum(count) - count - first, count)
    rng = np.random.default_rng(plan.recipe.seed)
    weight = 1.0 / count[series]
    some = min(len(series), _ERRORS)
    if some < len(series):
        kept = np.sort(rng.choice(len(series), some, replace=False, p=weight / weight.sum()))
        series, ends = series[kept], ends[kept]
    return series, ends


def unit_of(
    histories: Histories, season: int, series: NDArray[np.intp], ends: NDArray[np.intp]
) -> Array:
    """[n] size of usual changes over a season, of the last four seasons before an origin."""
    made = np.empty(len(ends))
    lengths = np.minimum(ends, 5 * max(season, 4))
    for length in np.unique(lengths):
        for at in _chunks(np.flatnonzero(lengths == length)):
            rows = (histories.first[series[at]] + ends[at])[:, None] + np.arange(-length, 0)
            values = histories.values[rows]
            lag = season if length > season + 1 else 1
            change = np.abs(values[:, lag:] - values[:, :-lag])
            usual = change.mean(1) if change.shape[1] else np.zeros(len(at))
            share = _STILL if length >= _FEW else _NEW
            made[at] = np.maximum(usual, share * np.abs(values).mean(1))
    return np.maximum(made, 1e-12)


def _chunks(numbers: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    return (numbers[i : i + _CHUNK] for i in range(0, len(numbers), _CHUNK))


def _actual(
    histories: Histories, series: NDArray[np.intp], ends: NDArray[np.intp], h: int
) -> Array:
    rows = (histories.first[series] + ends)[:, None] + np.arange(h)
    return np.where(histories.observed[rows], histories.values[rows], np.nan)


def _forecasts(
    members: Sequence[Member],
    histories: Histories,
    series: NDArray[np.intp],
    ends: NDArray[np.intp],
    trust: float,
) -> Array:
    """[M, n, h] each member's forecast in the target's unit."""
    made = np.empty((len(members), len(series), members[0].reading.prediction_length))
    for start in range(0, len(series), _CHUNK):
        part = slice(start, start + _CHUNK)
        for reading in dict.fromkeys(member.reading for member in members):
            alike = [i for i, member in enumerate(members) if member.reading == reading]
            ran = _run_chunk(
                [members[i] for i in alike], histories, series[part], ends[part], trust
            )
            made[alike, part] = [point for point, _, _ in ran]
    return made


def _run_chunk(
    members: Sequence[Member],
    histories: Histories,
    series: NDArray[np.intp],
    ends: NDArray[np.intp],
    trust: float,
) -> list[tuple[Array, Array, Array]]:
    """Run members that read alike over the origins before each end.

    Returns:
        Of each member [n, h] its forecast and what one volatility is, in the target's unit, and
        [n, h, E] its outputs beside.
    """
    reading = members[0].reading
    back = np.minimum(np.maximum(ends - reading.least, 0), CROP - 1)  # origins before the end
    of_crop = ends - back + np.minimum(np.arange(CROP)[:, None], back)  # [T, n]
    code = series * (int(ends.max()) + 1) + of_crop
    unique, at = np.unique(code, return_inverse=True)
    which, when = np.divmod(unique, int(ends.max()) + 1)
    positions = describe_origins(histories, reading, which, when)
    at = at.reshape(of_crop.shape)
    last, here = at[-1], (back, np.arange(len(ends)))
    base, centre, level = positions.base[last], positions.centre[last], positions.level[last]
    made = []
    with one_thread(), torch.no_grad():
        for member in members:
            z, beside, volatility = (
                v[here].numpy().astype(np.float64) for v in run(member.network, positions, at)
            )
            z = base + trust * (z - base)
            point = from_working(z, centre, level, reading.scale)
            made.append((point, level[:, None] * volatility, beside))
    return made
