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


def pinball(forecast: Tensor, labels: Tensor, weights: Tensor, levels: Tensor) -> Tensor:
    """Mean quantile loss max(p e, (p - 1) e) of e = label - forecast (Koenker & Bassett 1978).

    Args:
        forecast: [B, h, Q].
        labels: [B, h].
        weights: [B, h].
        levels: [Q] probabilities.
    """
    error = labels.unsqueeze(2) - forecast
    loss = torch.maximum(levels * error, (levels - 1) * error).mean(2)
    return (loss * weights).sum() / weights.sum().clamp_min(1.0)


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
        batches = max(1, round(per_epoch / config.batch_size), min(12, per_epoch // 16))
        optimiser = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, config.learning_rate, total_steps=max(config.max_epochs, 1) * batches + 1
        )
        score = _loss(network, checked, levels)
        history = [Epoch(0, score, score)]
        best, kept = 0, _copy(network)
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
            score = _loss(average.module, checked, levels)
            history.append(Epoch(epoch, total / batches, score))
            if score < history[best].validation:
                best, kept = epoch, _copy(average.module)
            if progress is not None:
                progress("train", epoch, config.max_epochs)
            if epoch - best >= _PATIENCE:
                break
        network.load_state_dict(kept)
        if held:
            _set_confidence(network, checked, levels)
    network.eval()
    return network, Training(tuple(history), best, (count, held))


def _loss(network: torch.nn.Module, windows: Windows, levels: Tensor) -> float:
    network.eval()
    with torch.no_grad():
        forecast = network(*tensors(windows))
        labels, weights = torch.from_numpy(windows.labels), torch.from_numpy(windows.weights)
        return float(pinball(forecast, labels, weights, levels))


def _set_confidence(network: Network, windows: Windows, levels: Tensor) -> None:
    """Shrink the median towards neutral as far as that costs next to nothing on held-out rows."""
    losses = []
    for confidence in _CONFIDENCE:
        network.confidence.fill_(confidence)
        losses.append(_loss(network, windows, levels))
    enough = (1 + _WORTH) * min(losses)
    chosen = next(c for c, loss in zip(_CONFIDENCE, losses, strict=True) if loss <= enough)
    network.confidence.fill_(chosen)


def _copy(network: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
