"""Several networks, and the intervals that their own errors bear out.

The members differ in seed, in head, and in how fast older seasons fade. Each is blind to a quarter
of the series; where there are few of them, half of the members are blind to the last rows instead.
So past rows can be forecast by members that never learnt from them, and from what those forecasts
missed by come the intervals (cross-conformal prediction, Vovk 2015; Stankevičiūtė et al. 2021).
The forecast itself is the median of all members.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gatewise.forecast import workers
from gatewise.forecast.data.panel import Array
from gatewise.forecast.models.residual import distribution
from gatewise.forecast.models.residual.calibration import Errors, calibration_errors, limits_of
from gatewise.forecast.models.residual.distribution import PARAMETERS
from gatewise.forecast.models.residual.histories import Histories
from gatewise.forecast.models.residual.joint import Seasonal, joint_training_sets
from gatewise.forecast.models.residual.members import (
    CHUNK,
    DECAYS,
    Member,
    Plan,
    forecasts,
    run_chunk,
)
from gatewise.forecast.models.residual.network import Network, Shape
from gatewise.forecast.models.residual.origin_features import Reading
from gatewise.forecast.models.residual.training import TrainingSet, make_training_set, train

_WORTH_PROCESSES: Final = 800
"""Steps of training, in all, that last longer than worker processes take to start."""

_JOINT_STEPS: Final = 1.5
"""Universal networks take so many times the steps: they have more to learn."""

_OWN_SHARE: Final = 0.5
"""Of the steps of every other universal network, so many are the panel's own; the rest learn all
panels alike. Held-back training rows of M1, M3 and Tourism do not agree on which is better."""

_FAR: Final = 24
"""Without a season, universal networks learn so many rows ahead at least: far rows tell a trend
from noise. On held-back training rows the joint ensemble gains 1.6 % on M3's years and 1 % on M1's;
with a season, quarters would lose 1 to 2 %."""


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
        (made,) = forecasts(self.members, histories, series, ends, [self.errors.shrinkage])
        return np.median(made, 0)

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
            for start in range(0, len(series), CHUNK):
                part = slice(start, start + CHUNK)
                ((points, spread, beside),) = run_chunk(
                    [member], histories, series[part], ends[part], [1.0]
                )
                made = distribution.quantiles(kind, points[0], spread, beside, probabilities)
                parts.append(made)
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
    training_sets = _training_sets(histories, plan, related)
    readings = _readings(plan, joint=any(reading.universal for reading in training_sets))
    own = np.cumsum([not reading.universal for reading in readings]) - 1
    limits = [
        histories.rows if reading.universal else limits_of(histories, plan, int(number))
        for number, reading in zip(own, readings, strict=True)
    ]
    calls = (
        (_seen(training_sets[reading], limits[number]), plan, reading, number)
        for number, reading in enumerate(readings)
    )
    members: list[Member] = []
    worth_it = plan.members * plan.recipe.steps >= _WORTH_PROCESSES
    for member in workers.run(_train_member, calls, min(jobs, plan.members) if worth_it else 1):
        members.append(member)
        progress(len(members), plan.members)
    return Ensemble(plan, tuple(members), calibration_errors(members, limits, histories, plan))


def ready(networks: Sequence[Network], histories: Histories, plan: Plan) -> Ensemble:
    """Make an ensemble of universal networks that never saw the panel."""
    members = tuple(Member(plan.universal_reading, network, ()) for network in networks)
    blind = np.zeros_like(histories.rows)
    return Ensemble(
        plan, members, calibration_errors(members, [blind] * len(members), histories, plan)
    )


def _training_sets(
    histories: Histories, plan: Plan, related: Sequence[Seasonal]
) -> dict[Reading, list[TrainingSet]]:
    """What is taught to those who read in each way, the panel's own set first."""
    decays = DECAYS if plan.season_length > 1 else DECAYS[:1]
    seed, found = plan.recipe.seed, {}
    for reading in map(plan.reading, decays):
        own = make_training_set(histories, reading, plan.origins, seed)
        found[reading] = [own] if own else []
    if related and plan.scale == "log":
        panels = [(histories, plan.season_length, plan.long_season_length), *related]
        taught = joint_training_sets(panels, _longest_horizon(plan), plan.origins, seed)
        found[plan.universal_reading] = taught
    return found


def _readings(plan: Plan, joint: bool) -> list[Reading]:
    """How each member reads: by decay in turn, every other one as a universal network."""
    decays = DECAYS if plan.season_length > 1 else DECAYS[:1]
    found = [plan.reading(decays[number // 2 % len(decays)]) for number in range(plan.members)]
    if joint:
        found = [
            plan.universal_reading if (number + number // 2 + number // 4) % 2 else reading
            for number, reading in enumerate(found)
        ]
    return found


def _longest_horizon(plan: Plan) -> int:
    """Rows ahead that universal networks learn."""
    return max(plan.prediction_length, _FAR if plan.season_length == 1 else 1)


def _train_member(
    training_sets: Sequence[TrainingSet], plan: Plan, reading: Reading, number: int
) -> Member:
    shape = Shape(
        reading.inputs,
        reading.channels,
        _longest_horizon(plan) if reading.universal else plan.prediction_length,
        structured=reading.universal or number % 2 == 1,
        universal=reading.universal,
        parameters=PARAMETERS[plan.distribution],
        hidden_size=plan.hidden_size,
        num_layers=plan.num_layers,
        dropout=plan.dropout,
    )
    recipe = replace(plan.recipe, seed=plan.recipe.seed + number)
    if reading.universal:
        own_share = _OWN_SHARE if number % 2 else 0.0
        recipe = replace(recipe, steps=round(_JOINT_STEPS * recipe.steps), own_share=own_share)
    network, losses = train(training_sets, plan.scale, shape, recipe, plan.distribution)
    return Member(reading, network, tuple(losses))


def _seen(training_sets: Sequence[TrainingSet], limits: NDArray[np.intp]) -> Sequence[TrainingSet]:
    """Training sets with the panel's own, the first, as far as a member may see it."""
    return (training_sets[0].before(limits), *training_sets[1:]) if training_sets else ()
