"""The linear baseline: ridge regression for every step of the horizon, in window units.

The network forecasts what it leaves. It is fitted in closed form on training windows; held-out
windows choose its penalty and, for each step, how far to trust it: not at all where it is no
better than the base of the window, as on a random walk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from gatewise.forecast.data.panel import Array
from gatewise.forecast.models.products import tensor
from gatewise.forecast.models.window.windows import Windows
from gatewise.forecast.uncertainty.shrinkage import WEIGHTS, least

if TYPE_CHECKING:
    from jaxtyping import Float

RECENT: Final = 3
"""Last rows of the context that the baseline reads."""

PENALTIES: Final = (10.0, 100.0, 1000.0, 10000.0)
"""In rows: a feature that is seen in so many has half of its weight."""

_PLAIN: Final = 0.9
"""Where it leaves at most this share of the base's loss it is trusted whole: the penalty has shrunk
it as far as it needs."""

_MILD: Final = 0.03
"""The mildest penalty is taken whose loss is within this share of the best: few held-out rows tell
them apart badly."""

_LEAST: Final = 1e-3
"""Smallest error, in window units: a perfect fit must not be divided by 0."""


@dataclass(frozen=True, eq=False)
class Ridge:
    """A fitted linear baseline.

    Attributes:
        weights: [h, P], the constant first, shrinkage included.
        error: [h] root mean square of what it leaves, in window units; positive.
        values: how many of the context's features are values of columns.
    """

    weights: Array
    error: Array
    values: int

    def __call__(self, windows: Windows) -> Float[Array, "B h"]:
        """Forecast, as a distance from the base in window units."""
        # einsum adds up each forecast on its own: the same bits in any batch, on any threads.
        return np.einsum("bhp,hp->bh", design(windows, self.values), self.weights)

    def left(self, windows: Windows) -> torch.Tensor:
        """[B, h] float32: the labels less the forecast, in units of the error."""
        rest = (windows.labels - self(windows)) / self.error
        return tensor(rest.astype(np.float32))


def design(windows: Windows, values: int) -> Float[Array, "B h P"]:
    """What the baseline reads: a constant, the last rows of the context, `ahead` and `lagged`."""
    B, h = windows.labels.shape
    recent = windows.context[-RECENT:, :, :values].transpose(1, 0, 2).reshape(B, 1, -1)
    parts = [np.ones((B, h, 1)), np.broadcast_to(recent, (B, h, recent.shape[2]))]
    return np.concatenate([*parts, windows.ahead, windows.lagged], axis=2, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums over windows, for each step: products of the design, with the labels, their squares.

    Attributes:
        products: [h, P, P].
        labels: [h, P].
        squares: [h].
    """

    products: Array
    labels: Array
    squares: Array

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(
            self.products + other.products,
            self.labels + other.labels,
            self.squares + other.squares,
        )

    def solve(self, penalty: float) -> Array:
        """[h, P] weights: least squares with a penalty on each weight but the constant's.

        The penalty is in units of the feature's variance, so that scales do not matter (Hoerl &
        Kennard 1970).
        """
        n = np.maximum(self.products[:, :1, 0], 1.0)
        mean, label = self.products[:, 0, 1:] / n, self.labels[:, :1] / n
        centred = self.products[:, 1:, 1:] - n[:, :, None] * mean[:, :, None] * mean[:, None]
        variance = np.diagonal(centred, axis1=1, axis2=2) / n
        constant = variance <= 1e-9 * (1 + mean**2)
        extra = np.where(constant, n, penalty * variance)
        right = np.where(constant, 0.0, self.labels[:, 1:] - mean * self.labels[:, :1])
        left = centred + extra[:, :, None] * np.eye(mean.shape[1])
        weights = torch.linalg.solve(tensor(left), tensor(right)).numpy()
        return np.concatenate([label - (mean * weights).sum(1, keepdims=True), weights], axis=1)

    def error(self, weights: Array) -> Array:
        """[h] root mean square of what weights leave; 1 where there is nothing to tell it from."""
        n = np.maximum(self.products[:, 0, 0], 1.0)
        fitted = np.einsum("hp,hpq,hq->h", weights, self.products, weights)
        rest = self.squares - 2 * (weights * self.labels).sum(1) + fitted
        size = np.sqrt(np.maximum(rest, 0.0) / n)
        return np.where(self.squares > 0, np.maximum(size, _LEAST), 1.0)


def fit_ridge(
    learnt: Callable[[], Iterator[Windows]], held: Windows, values: int
) -> tuple[Ridge, Ridge]:
    """Fit the baseline.

    Args:
        learnt: gives the training windows, in parts.
        held: windows to choose by.
        values: how many of the context's features are values of columns.

    Returns:
        The baseline fitted to the training windows, for everything that is judged on the held-out
        ones; and fitted to both, to forecast with.
    """
    sums = None
    for windows in learnt():
        part = _sums(windows, values)
        sums = part if sums is None else sums + part
    assert sums is not None  # a panel that is long enough has training windows
    candidates = [sums.solve(penalty) for penalty in PENALTIES]
    made = design(held, values)
    losses = np.stack([_losses(np.einsum("bhp,hp->bh", made, w), held) for w in candidates])
    counts = held.weights.sum(0)
    totals = (losses.min(1) * counts).sum(1)
    best = int(np.argmax(totals <= (1 + _MILD) * totals.min()))
    none, whole = losses[best, 0], losses[best, -1]
    shrinkage = np.where(whole <= _PLAIN * none, 1.0, np.array(WEIGHTS)[least(losses[best])]) * (
        counts > 0
    )
    both = sums + _sums(held, values)
    # In one layout, also when read back from a file: sums over another have other last bits.
    weights = [
        np.ascontiguousarray(shrinkage[:, None] * w)
        for w in (candidates[best], both.solve(PENALTIES[best]))
    ]
    error = sums.error(weights[0])
    return Ridge(weights[0], error, values), Ridge(weights[1], error, values)


def _losses(guess: Array, held: Windows) -> Array:
    """[C, h] mean absolute error of a forecast with less and less shrinkage."""
    counts = np.maximum(held.weights.sum(0), 1.0)
    return np.stack(
        [(np.abs(held.labels - c * guess) * held.weights).sum(0) / counts for c in WEIGHTS]
    )


def _sums(windows: Windows, values: int) -> _Sums:
    made = tensor(design(windows, values)).transpose(0, 1)
    weights = tensor(windows.weights).double().T[:, :, None]
    labels = tensor(windows.labels).double().T[:, :, None] * weights
    counted = made * weights
    return _Sums(
        (counted.transpose(1, 2) @ made).numpy(),
        (counted.transpose(1, 2) @ labels)[:, :, 0].numpy(),
        (labels**2).sum((1, 2)).numpy(),
    )
