"""Training: the linear baseline; then a network for what it leaves, by pinball loss.

One-cycle AdamW, early stopping, averaged weights. The untrained network counts as epoch 0: where no
epoch does better on the held-out rows, the forecast is the baseline's, and where that is not
trusted either, it is neutral.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gatewise.forecast.config import Config, Progress
from gatewise.forecast.data.panel import Array
from gatewise.forecast.models.base import Epoch, Training
from gatewise.forecast.models.products import one_thread, tensor
from gatewise.forecast.models.window.encoder import Encoded
from gatewise.forecast.models.window.network import Network, Shape, outputs, tensors
from gatewise.forecast.models.window.ridge import Ridge, fit_ridge
from gatewise.forecast.models.window.windows import Part, Split, Windows, assemble, reach, split
from gatewise.forecast.uncertainty.conformal import stretched, stretches, widening
from gatewise.forecast.uncertainty.pooling import (
    error_scale,
    independent_errors,
    independent_series,
)
from gatewise.forecast.uncertainty.shrinkage import WEIGHTS, least

_EPOCH = 6144
"""Windows per epoch at most; a longer table is sampled anew in each."""

_CHECKED = 2048
"""Validation windows at most, evenly spaced."""

_FITTED = 20480
"""Training windows at most that the linear baseline is fitted to, evenly spaced."""

_EPOCHS = 30

_PATIENCE = 8


@dataclass(frozen=True, eq=False)
class Learnt:
    """What is learnt from an encoded panel.

    Attributes:
        network: forecasts quantiles of what the baseline leaves, in units of its error.
        ridge: the linear baseline.
        stretch: [Q] what the distance of each quantile from the median is multiplied by.
        training: how it went.
        adds_up: whether errors add up from step to step, as those of changes do: intervals then do
            not get narrower.
    """

    network: Network
    ridge: Ridge
    stretch: NDArray[np.float64]
    training: Training
    adds_up: bool

    def outputs(self, windows: Windows) -> NDArray[np.float64]:
        """Quantiles [B, h, Q] in window units."""
        made = stretched(_quantiles(self.network, windows, self.ridge, self.adds_up), self.stretch)
        return self.ridge(windows)[:, :, None] + self.ridge.error[:, None] * made


def pinball(
    forecast: Tensor, labels: Tensor, weights: Tensor, levels: Tensor, *, per_step: bool = False
) -> Tensor:
    """Mean quantile loss max(p e, (p - 1) e) of e = label - forecast (Koenker & Bassett 1978).

    Args:
        forecast: [B, h, Q].
        labels: [B, h].
        weights: [B, h].
        levels: [Q] probabilities.
        per_step: return [h] losses, one for each step, instead of one for all.
    """
    error = labels.unsqueeze(2) - forecast
    loss = torch.maximum(levels * error, (levels - 1) * error).mean(2) * weights
    axes = (0,) if per_step else (0, 1)
    return loss.sum(axes) / weights.sum(axes).clamp_min(1.0)


def train(
    shape: Shape,
    rows_of: Encoded,
    context_length: int,
    config: Config,
    progress: Progress | None = None,
) -> Learnt:
    """Fit the linear baseline to an encoded panel, and a fresh network to what it leaves.

    The result depends on the arguments alone: one thread, batches and weights drawn from `seed`.

    Args:
        shape: sizes of the network.
        rows_of: the rows to learn from.
        context_length: T.
        config: seed and options of the optimiser.
        progress: called after each epoch.
    """
    h = config.prediction_length
    parts = _whole(split(rows_of, h, context_length), reach(rows_of.seasons, context_length))

    def windows(part: tuple[np.ndarray, ...], chosen: np.ndarray) -> Windows:
        series, ends, limits = (a[chosen] for a in part)
        return assemble(rows_of, series, ends, context_length, h, limits=limits)

    def learnt() -> Iterator[Windows]:
        chosen = _spaced(count, _FITTED)
        for start in range(0, len(chosen), _CHECKED):
            yield windows(parts.train, chosen[start : start + _CHECKED])

    count, held = len(parts.train[0]), len(parts.validation[0])
    checked = windows(parts.validation, _spaced(held, _CHECKED))
    rng = np.random.default_rng(config.seed)
    with torch.random.fork_rng(devices=[]), one_thread():
        ridge, final = fit_ridge(learnt, checked, shape.values)
        held_labels = ridge.left(checked)
        torch.manual_seed(config.seed)
        network = Network(shape)
        levels = torch.tensor(shape.probabilities)
        average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.9))
        per_epoch = min(count, _EPOCH)
        batches = max(1, round(per_epoch / (config.batch_size or 128)), min(12, per_epoch // 16))
        rate = config.learning_rate or 4e-3
        epochs = _EPOCHS if config.max_epochs is None else config.max_epochs
        optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, rate, total_steps=max(epochs, 1) * batches + 1
        )
        score, confidence = _judge(network, checked, held_labels, levels)
        history = [Epoch(0, score, score)]
        best, kept = 0, _copy(network, confidence)
        for epoch in range(1, epochs + 1):
            network.train()
            total = 0.0
            for chosen in np.array_split(rng.permutation(count)[:per_epoch], batches):
                batch = windows(parts.train, chosen)
                optimiser.zero_grad()
                loss = pinball(
                    network(*tensors(batch)),
                    ridge.left(batch),
                    tensor(batch.weights),
                    levels,
                )
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
                schedule.step()
                average.update_parameters(network)
                total += float(loss.detach())
            score, confidence = _judge(average.module, checked, held_labels, levels)
            history.append(Epoch(epoch, total / batches, score))
            if score < history[best].validation:
                best, kept = epoch, _copy(average.module, confidence)
            if progress is not None:
                progress("train", epoch, epochs)
            if epoch - best >= _PATIENCE:
                break
        network.load_state_dict(kept)
    adds_up = not bool(rows_of.centred[0])
    made = _quantiles(network, checked, ridge, adds_up)
    stretch = _stretch(made, ridge, checked, parts, shape.probabilities)
    return Learnt(network, final, stretch, Training(tuple(history), best, (count, held)), adds_up)


def _stretch(
    quantiles: Array, ridge: Ridge, checked: Windows, parts: Split, probabilities: Sequence[float]
) -> Array:
    """[Q] how far quantiles [B, h, Q] of held-out windows must be stretched."""
    errors = np.where(checked.weights > 0, ridge.left(checked).numpy(), np.nan)
    size = ridge.error * checked.spread.mean(0) if len(checked) else ridge.error
    independent = _independent(errors, size, parts.validation)
    return stretches(quantiles, errors, probabilities, independent)


def _quantiles(network: Network, windows: Windows, ridge: Ridge, adds_up: bool) -> Array:
    """[B, h, Q] the network's quantiles, in units of the baseline's error."""
    made = outputs(network, windows)
    h = made.shape[1]
    return widening(made, ridge.error * np.sqrt(np.arange(1, h + 1))) if adds_up else made


def _independent(errors: Array, size: Array, held: Part) -> float:
    """Count the independent errors among those of held-out windows.

    Args:
        errors: [B, h] what the forecast missed by, over its usual error; NaN where not known.
        size: [h] usual error.
        held: the held-out windows, of which these are evenly spaced ones.
    """
    series, ends, limits = held
    age, chosen = limits - ends, _spaced(len(series), _CHECKED)
    _, row = np.unique(series[chosen], return_inverse=True)
    _, column = np.unique(age[chosen], return_inverse=True)
    scores = np.full((row.max(initial=0) + 1, column.max(initial=0) + 1, len(size)), np.nan)
    scores[row, column] = errors
    together = independent_series(scores.reshape(len(scores), -1))
    return independent_errors(len(np.unique(age)) + len(size) - 1, error_scale(size**2), together)


def _whole(parts: Split, rows: int) -> Split:
    """Training windows that lie within their series with all they read, if most of them do."""
    whole = parts.train[1] >= rows
    if whole.sum() < len(whole) / 2:
        return parts
    series, ends, limits = (a[whole] for a in parts.train)
    return Split((series, ends, limits), parts.validation)


def _spaced(count: int, most: int) -> np.ndarray:
    """Numbers below `count`, at most so many, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _judge(
    network: torch.nn.Module, windows: Windows, labels: Tensor, levels: Tensor
) -> tuple[float, Tensor]:
    """Loss on held-out rows, and the confidence [h] at each step with which it is reached.

    At each step the median is shrunk towards neutral as far as that costs next to nothing there: a
    driver may tell much of the next row and nothing of those after it.
    """
    network.eval()
    with torch.no_grad():
        forecast = network(*tensors(windows))
        middle = forecast.shape[2] // 2
        median = forecast[:, :, middle : middle + 1]
        weights = tensor(windows.weights)
        losses = torch.stack(
            [
                pinball(forecast - (1 - c) * median, labels, weights, levels, per_step=True)
                for c in WEIGHTS
            ]
        )
        chosen = torch.from_numpy(least(losses.numpy()))
        observed = weights.sum(0)
        score = (losses.gather(0, chosen[None])[0] * observed).sum() / observed.sum().clamp_min(1.0)
        return float(score), torch.tensor(WEIGHTS)[chosen]


def _copy(network: torch.nn.Module, confidence: Tensor) -> dict[str, Tensor]:
    """The weights, with a confidence of their own (in training it is 1)."""
    state = {name: value.detach().clone() for name, value in network.state_dict().items()}
    return state | {"confidence": confidence}
