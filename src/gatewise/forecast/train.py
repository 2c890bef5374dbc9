"""Training: pinball loss in window units, one-cycle AdamW, early stopping, averaged weights.

The untrained network counts as epoch 0: where no epoch does better on the held-out rows, the
forecast stays neutral.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gatewise.forecast.config import Config, Progress
from gatewise.forecast.features import Encoded
from gatewise.forecast.model import Network, Shape, one_thread, tensors
from gatewise.forecast.windows import Windows, assemble, split

_EPOCH = 6144
"""Windows per epoch at most; a longer table is sampled anew in each."""

_CHECKED = 2048
"""Validation windows at most, evenly spaced."""

_PATIENCE = 8

_CONFIDENCE = (0.0, 0.25, 0.5, 0.75, 1.0)

_WORTH = 0.002
"""Share of the loss that a bolder median must save on held-out rows."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """Losses after an epoch: mean pinball loss over steps and quantiles, in window units."""

    epoch: int
    train: float
    validation: float


@dataclass(frozen=True, slots=True)
class Training:
    """What training leaves.

    Attributes:
        history: losses per epoch; epoch 0 is the untrained network.
        best: the epoch whose weights were kept.
        windows: how many there were to learn from, and to stop by.
    """

    history: tuple[Epoch, ...]
    best: int
    windows: tuple[int, int]


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
) -> tuple[Network, Training]:
    """Fit a fresh network to an encoded panel.

    The result depends on the arguments alone: one thread, batches and weights drawn from `seed`.

    Args:
        shape: sizes of the network.
        rows_of: the rows to learn from.
        context_length: T.
        config: seed and options of the optimiser.
        progress: called after each epoch.
    """
    parts = split(rows_of, config.prediction_length)
    h = config.prediction_length

    def windows(part: tuple[np.ndarray, ...], chosen: np.ndarray) -> Windows:
        series, ends, limits = (a[chosen] for a in part)
        return assemble(rows_of, series, ends, context_length, h, limits=limits)

    count, held = len(parts.train[0]), len(parts.validation[0])
    spaced = np.unique(np.linspace(0, held - 1, min(held, _CHECKED)).round().astype(int))
    checked = windows(parts.validation, spaced)
    rng = np.random.default_rng(config.seed)
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(config.seed)
        network = Network(shape)
        levels = torch.tensor(shape.probabilities)
        average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.9))
        per_epoch = min(count, _EPOCH)
        batches = max(1, round(per_epoch / (config.batch_size or 128)), min(12, per_epoch // 16))
        rate = config.learning_rate or 4e-3
        optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, rate, total_steps=max(config.max_epochs, 1) * batches + 1
        )
        score, confidence = _judge(network, checked, levels)
        history = [Epoch(0, score, score)]
        best, kept = 0, _copy(network, confidence)
        for epoch in range(1, config.max_epochs + 1):
            network.train()
            total = 0.0
            for chosen in np.array_split(rng.permutation(count)[:per_epoch], batches):
                batch = windows(parts.train, chosen)
                optimiser.zero_grad()
                loss = pinball(
                    network(*tensors(batch)),
                    torch.from_numpy(batch.labels),
                    torch.from_numpy(batch.weights),
                    levels,
                )
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
                schedule.step()
                average.update_parameters(network)
                total += float(loss.detach())
            score, confidence = _judge(average.module, checked, levels)
            history.append(Epoch(epoch, total / batches, score))
            if score < history[best].validation:
                best, kept = epoch, _copy(average.module, confidence)
            if progress is not None:
                progress("train", epoch, config.max_epochs)
            if epoch - best >= _PATIENCE:
                break
        network.load_state_dict(kept)
    network.eval()
    return network, Training(tuple(history), best, (count, held))


def _judge(network: torch.nn.Module, windows: Windows, levels: Tensor) -> tuple[float, Tensor]:
    """Loss on held-out rows, and the confidence [h] at each step with which it is reached.

    At each step the median is shrunk towards neutral as far as that costs next to nothing there: a
    driver may tell much of the next row and nothing of those after it.
    """
    network.eval()
    with torch.no_grad():
        forecast = network(*tensors(windows))
        middle = forecast.shape[2] // 2
        median = forecast[:, :, middle : middle + 1]
        labels, weights = torch.from_numpy(windows.labels), torch.from_numpy(windows.weights)
        losses = torch.stack(
            [
                pinball(forecast - (1 - c) * median, labels, weights, levels, per_step=True)
                for c in _CONFIDENCE
            ]
        )
        enough = losses <= (1 + _WORTH) * losses.min(0).values
        chosen = enough.float().argmax(0)  # the first that is good enough
        observed = weights.sum(0)
        score = (losses.gather(0, chosen[None])[0] * observed).sum() / observed.sum().clamp_min(1.0)
        return float(score), torch.tensor(_CONFIDENCE)[chosen]


def _copy(network: torch.nn.Module, confidence: Tensor) -> dict[str, Tensor]:
    """The weights, with a confidence of their own (in training it is 1)."""
    state = {name: value.detach().clone() for name, value in network.state_dict().items()}
    return state | {"confidence": confidence}
