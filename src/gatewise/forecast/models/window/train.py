"""Training: the linear baseline; then a network for what it leaves, by pinball loss.

One-cycle AdamW, early stopping, averaged weights. The untrained network counts as epoch 0: where no
epoch does better on the held-out rows, the forecast is the baseline's, and where that is not
trusted either, it is neutral.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gatewise.forecast.config import Config, Progress
from gatewise.forecast.models.base import Epoch, Training
from gatewise.forecast.models.products import one_thread, tensor
from gatewise.forecast.models.window.encoder import Encoded
from gatewise.forecast.models.window.network import Network, Shape, outputs, tensors
from gatewise.forecast.models.window.ridge import Ridge, fit_ridge
from gatewise.forecast.models.window.windows import Split, Windows, assemble, reach, split
from gatewise.forecast.uncertainty.conformal import stretched, stretches
from gatewise.forecast.uncertainty.shrinkage import WEIGHTS, least

_EPOCH = 6144
"""Windows per epoch at most; a longer table is sampled anew in each."""

_CHECKED = 2048
"""Validation windows at most, evenly spaced."""

_FITTED = 20480
"""Training windows at most that the linear baseline is fitted to, evenly spaced."""

_PATIENCE = 8


@dataclass(frozen=True, eq=False)
class Learnt:
    """What is learnt from an encoded panel.

    Attributes:
        network: forecasts quantiles of what the baseline leaves, in units of its error.
        ridge: the linear baseline.
        stretch: [h, Q] what the distance of each quantile from the median is multiplied by.
        training: how it went.
    """

    network: Network
    ridge: Ridge
    stretch: NDArray[np.float64]
    training: Training

    def outputs(self, windows: Windows) -> NDArray[np.float64]:
        """Quantiles [B, h, Q] in window units."""
        made = stretched(outputs(self.network, windows), self.stretch)
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
    parts = _whole(split(rows_of, h), reach(rows_of.seasons, context_length))

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
        optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, rate, total_steps=max(config.max_epochs, 1) * batches + 1
        )
        score, confidence = _judge(network, checked, held_labels, levels)
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
                progress("train", epoch, config.max_epochs)
            if epoch - best >= _PATIENCE:
                break
        network.load_state_dict(kept)
    seen = np.where(checked.weights > 0, held_labels.numpy(), np.nan)
    stretch = stretches(outputs(network, checked), seen, shape.probabilities)
    trained = Training(tuple(history), best, (count, held))
    return Learnt(network, final, stretch, trained)


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
