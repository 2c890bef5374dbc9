"""What regularisers draw: the masks of one call, in a documented order, from PyTorch's generator.

    recurrent dropout   Gal & Ghahramani 2016, arXiv 1512.05287: h_{t-1} ⊙ m, one m for all steps
    zoneout             Krueger et al. 2017, arXiv 1606.01305: parts of h and c stay as they were
    weight dropout      Merity et al. 2018, arXiv 1708.02182: W_hh ⊙ m, one m for all rows and steps

A call of `gatewise.nn.LSTM` in training draws, before all else, for each layer and in it for each
direction: weight dropout [4H, P], recurrent dropout [B, P], z_h [T, B, P], z_c [T, B, H], each
only if its rate is not 0. PyTorch's own dropout between layers draws after them. So
``torch.manual_seed`` repeats a call, and `draw` shows what a call with the same seed uses.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from gatewise.errors import ConfigError
from gatewise.nn.composite import Masks


class Regularised(Protocol):
    """What `draw` reads of a `gatewise.nn.LSTM`."""

    training: bool
    num_layers: int
    hidden_size: int
    recurrent_dropout: float
    weight_dropout: float

    weight_hh_l0: Tensor

    @property
    def zoneout(self) -> tuple[float, float]:
        """Rates of h and of c."""
        ...

    @property
    def directions(self) -> int:
        """Number of directions."""
        ...


def draw(
    lstm: Regularised, T: int, B: int, generator: torch.Generator | None = None
) -> list[Masks]:
    """Draw the masks of one call.

    Args:
        lstm: in training it draws; in evaluation nothing is drawn.
        T: steps, those of the longest row.
        B: rows. The masks follow the rows as the caller orders them.
        generator: default PyTorch's own.

    Returns:
        The masks of each layer and direction: layer 0 forward, layer 0 reverse, layer 1 forward.

    >>> from gatewise.nn import LSTM
    >>> lstm = LSTM(2, 3, zoneout=(0.0, 0.25)).eval()
    >>> draw(lstm, T=5, B=2)[0].zoneout
    (0.0, 0.25)
    """
    return [_draw_one(lstm, T, B, generator) for _ in range(lstm.num_layers * lstm.directions)]


def dropout_mask(
    shape: tuple[int, ...], p: float, like: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Return a mask of 0 with probability p and 1/(1-p) else, of the dtype and device of `like`."""
    # Not bernoulli_: under torch.func.vmap with its own draw for each slice, only this is allowed.
    return torch.bernoulli(like.new_empty(shape), 1 - p, generator=generator) / (1 - p)


def zoneout_mask(
    shape: tuple[int, ...], rate: float, like: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Return a mask of 1 (stays as it was) with probability `rate` and 0 else."""
    return torch.bernoulli(like.new_empty(shape), rate, generator=generator)


def checked_rate(value: Any, name: str) -> float:
    """Return a rate as a float.

    Raises:
        ConfigError: it is not a number from 0 to below 1.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or math.isnan(value) or not 0 <= value < 1:
        raise ConfigError(
            f"{name} is {value!r}: expected a probability from 0 to below 1. Pass 0 for none."
        )
    return float(value)


def checked_zoneout(value: Any) -> tuple[float, float]:
    """Return the rates (z_h, z_c), from one for both or a pair.

    Raises:
        ConfigError: it is neither.
    """
    if not isinstance(value, (tuple, list)):
        value = (value, value)
    if len(value) != 2:
        raise ConfigError(f"zoneout is {value!r}: expected a rate, or a pair (z_h, z_c).")
    return checked_rate(value[0], "zoneout of h"), checked_rate(value[1], "zoneout of c")


def _draw_one(lstm: Regularised, T: int, B: int, generator: torch.Generator | None) -> Masks:
    z_h, z_c = lstm.zoneout
    if not lstm.training:
        return Masks(zoneout=(z_h, z_c) if z_h or z_c else None)
    w_hh = lstm.weight_hh_l0
    (rows, P), H = w_hh.shape, lstm.hidden_size

    def dropout(p: float, *shape: int) -> Tensor | None:
        return dropout_mask(shape, p, w_hh, generator) if p else None

    def zones(rate: float, *shape: int) -> Tensor | float:
        return zoneout_mask(shape, rate, w_hh, generator) if rate else 0.0

    weight, recurrent = dropout(lstm.weight_dropout, rows, P), dropout(lstm.recurrent_dropout, B, P)
    zoneout = (zones(z_h, T, B, P), zones(z_c, T, B, H)) if z_h or z_c else None
    return Masks(weight, recurrent, zoneout)
