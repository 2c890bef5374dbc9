"""One network: forking sequences, AdamW on a cosine, averaged weights.

Every origin of a crop forecasts its whole horizon and carries loss. A network may be blind to the
last rows of some series: they are no labels then, so that its errors there are honest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gatewise.forecast.data.panel import Array
from gatewise.forecast.models.products import one_thread, tensor
from gatewise.forecast.models.residual import distribution
from gatewise.forecast.models.residual.distribution import Distribution
from gatewise.forecast.models.residual.histories import Histories, Scale
from gatewise.forecast.models.residual.network import Network, Shape, spread
from gatewise.forecast.models.residual.origin_features import (
    OriginFeatures,
    Reading,
    describe_origins,
)
from gatewise.forecast.models.residual.recipe import CROP, Recipe

_WARM_UP: Final = 30
"""Steps over which the learning rate rises."""

_LAST_RATE: Final = 0.02
"""The learning rate at the end, as a share of its peak."""

_AVERAGE: Final = 0.99

_SMALLEST_UNIT: Final = 0.3
"""An error's unit is at least this many volatilities: flat series would weigh without bounds."""


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The origins that a panel teaches by: segments of consecutive ones. n origins, M segments.

    Attributes:
        features: the described origins.
        series, ends: [n] the origins.
        labels: [n, h] float32, the target; 0 where `counts` is.
        counts: [n, h] float32: 1 where a label is there.
        unit: [n] float32: what errors are divided by.
        first, stop: [M] segments.
    """

    features: OriginFeatures
    series: NDArray[np.intp]
    ends: NDArray[np.intp]
    labels: NDArray[np.float32]
    counts: NDArray[np.float32]
    unit: NDArray[np.float32]
    first: NDArray[np.intp]
    stop: NDArray[np.intp]

    def before(self, limits: NDArray[np.intp]) -> TrainingSet:
        """Return the set without labels at or after a row per series, `limits` [S]."""
        ahead = self.ends[:, None] + np.arange(self.labels.shape[1])
        return replace(self, counts=self.counts * (ahead < limits[self.series][:, None]))


def make_training_set(
    histories: Histories, reading: Reading, origins: int, seed: int
) -> TrainingSet | None:
    """Describe the origins of a panel, or if there are more than `origins`, segments of it.

    Returns:
        None if no series is long enough.
    """
    rng = np.random.default_rng(seed)
    series, first, stop = _segments(histories.rows, reading.least, origins, rng)
    if not len(series):
        return None
    rows = stop - first
    which = np.repeat(series, rows)
    begins = np.cumsum(rows) - rows
    ends = np.arange(rows.sum()) - np.repeat(begins - first, rows)
    features = describe_origins(histories, reading, which, ends)
    labels, counts = _labels(histories, which, ends, reading.prediction_length)
    smallest = _SMALLEST_UNIT * features.volatility * features.level
    unit = np.maximum(histories.unit[which], smallest)
    unit = unit.astype(np.float32)
    return TrainingSet(features, which, ends, labels, counts, unit, begins, begins + rows)


def train(
    training_sets: Sequence[TrainingSet],
    scale: Scale,
    shape: Shape,
    recipe: Recipe,
    kind: Distribution = "empirical",
) -> tuple[Network, list[float]]:
    """Train a fresh network; return it with the loss of each step.

    Each step takes one of the training sets, drawn by their numbers of segments; without a set
    there are no steps.

    The result depends on the arguments alone: one thread, everything drawn from `recipe.seed`.
    """
    rng = np.random.default_rng(recipe.seed)
    losses: list[float] = []
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(recipe.seed)
        network = Network(shape)
        average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(_AVERAGE))
        optimiser = torch.optim.AdamW(
            network.parameters(), recipe.learning_rate, weight_decay=0.0, fused=True
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, recipe))
        shares = _shares(training_sets, recipe.own_share)
        for _ in range(recipe.steps if training_sets else 0):
            training_set = training_sets[rng.choice(len(training_sets), p=shares)]
            at = _crops(training_set, recipe.batch_size, rng)
            loss = _loss(network, training_set, at, scale, kind)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            average.update_parameters(network)
            losses.append(float(loss.detach()))
    network.load_state_dict(average.module.state_dict())
    return network.eval(), losses


def run(
    network: Network, features: OriginFeatures, at: NDArray[np.intp]
) -> tuple[Tensor, Tensor, Tensor]:
    """Run a network over crops `at` [T, B] of described origins.

    Returns:
        [T, B, h] forecasts on the working scale; [T, B, h, E] outputs beside them; [T, B, h] what
        one volatility is, at each step, on the working scale.
    """
    base, inputs, channels, volatility = (
        tensor(values[at])
        for values in (
            features.base, features.inputs, features.channels, features.volatility
        )
    )  # fmt: skip
    rest, beside = network(inputs, channels, volatility)
    return base + rest, beside, spread(volatility, base.shape[-1])


def _loss(
    network: Network,
    training_set: TrainingSet,
    at: NDArray[np.intp],
    scale: Scale,
    kind: Distribution,
) -> Tensor:
    """Mean loss of the rows with a label, in the target's own unit."""
    p = training_set.features
    made, beside, volatility = run(network, p, at)
    level, centre, unit, labels, counts = (
        tensor(values[at].astype(np.float32, copy=False))
        for values in (
            p.level,
            p.centre,
            training_set.unit,
            training_set.labels,
            training_set.counts,
        )
    )
    level, centre, unit = level[..., None], centre[..., None], unit[..., None]
    made = level * torch.exp(made.clamp(-6, 6)) if scale == "log" else centre + level * made
    losses = distribution.loss(kind, made, level * volatility, beside, labels, unit)
    return (losses * counts).sum() / counts.sum().clamp_min(1.0)


def _crops(training_set: TrainingSet, count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """[T, B] numbers of origins: a crop ends at a random origin of a random segment.

    A crop that would begin before its segment begins with it; the last origin then fills the end.
    """
    segments = rng.choice(
        len(training_set.first), min(count, len(training_set.first)), replace=False
    )
    if len(segments) < count:
        segments = rng.choice(len(training_set.first), count)
    first, stop = training_set.first[segments], training_set.stop[segments]
    earliest = np.minimum(first + CROP // 2, stop - 1)
    last = rng.integers(earliest, stop)
    begin = np.maximum(last - CROP + 1, first)
    return np.minimum(begin + np.arange(CROP)[:, None], last)


def _shares(training_sets: Sequence[TrainingSet], own_share: float) -> Array:
    """[sets] share of the steps: by numbers of segments, but the first has its own at least."""
    shares = np.array([len(training_set.first) for training_set in training_sets], dtype=float)
    shares /= max(shares.sum(), 1.0)
    if len(shares) > 1 and shares[0] < own_share:
        shares[1:] *= (1 - own_share) / shares[1:].sum()
        shares[0] = own_share
    return shares


def _rate(step: int, recipe: Recipe) -> float:
    falling = 0.5 * (1 + math.cos(math.pi * step / max(recipe.steps, 1)))
    return min(1.0, (step + 1) / _WARM_UP) * ((1 - _LAST_RATE) * falling + _LAST_RATE)


def _segments(
    rows: NDArray[np.intp], least: int, origins: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Series, first and last end (exclusive) of the segments: all origins, or a sample."""
    series = np.flatnonzero(rows > least)
    first, stop = np.full(len(series), least), rows[series]
    if (stop - first).sum() <= origins:
        return series, first, stop
    length = 2 * CROP
    pieces = np.maximum((stop - first) // length, 1)
    chosen = rng.choice(len(series), max(1, origins // length), p=pieces / pieces.sum())
    begin = rng.integers(first[chosen], np.maximum(stop[chosen] - length, first[chosen]) + 1)
    return series[chosen], begin, np.minimum(begin + length, stop[chosen])


def _labels(
    histories: Histories,
    series: NDArray[np.intp],
    ends: NDArray[np.intp],
    h: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    ahead = ends[:, None] + np.arange(h)
    inside = ahead < histories.rows[series][:, None]
    rows = histories.first[series][:, None] + np.where(inside, ahead, 0)
    counts = inside & histories.observed[rows]
    labels = np.where(inside, histories.values[rows], 0.0)
    return labels.astype(np.float32), counts.astype(np.float32)
