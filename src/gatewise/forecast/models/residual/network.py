"""The network: two residual LSTM layers over the origins, and a head for the horizon.

    a_0 = tanh(W x)                          x: what an origin says
    a_l = a_{l-1} + dropout(LSTM_l(a_{l-1}))
    y_k = base_k + v √k / 2 · r_k            v: the volatility; √k: how errors grow (random walk)

The plain head reads r [h] off the last layer and the inputs. The structured head weighs the
channels of each row, r_k = Σ_j w_j(k) φ_jk + b_k, with weights that vary over the horizon through
four shapes: constant, k/h, (k/h)² and exp(-k/2). Both start near 0, so that an untrained network
forecasts the baseline. A universal network has a structured head for any horizon: its shapes are
constant, log(1 + k)/3, k/24 and exp(-k/2), and it has no b.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from gatewise.forecast.models.products import Linear, aligned
from gatewise.nn import LSTM

if TYPE_CHECKING:
    from jaxtyping import Float

_SHAPES: Final = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a network; JSON-able.

    Attributes:
        inputs: F, features of an origin.
        channels: J, features of each row of the horizon.
        prediction_length: h; of a universal network, the longest.
        structured: whether the head weighs the channels.
        universal: whether the horizon may be any; needs `structured`.
        parameters: outputs of each row beside its location; see `distribution`.
        hidden_size: H.
        num_layers: L.
        dropout: on what each layer adds.
    """

    inputs: int
    channels: int
    prediction_length: int
    structured: bool
    universal: bool = False
    parameters: int = 0
    hidden_size: int = 48
    num_layers: int = 2
    dropout: float = 0.2


class Network(nn.Module):
    """What the baseline leaves, for every origin of a sequence (forking sequences, Wen 2017).

    Args:
        shape: sizes; see `Shape`.

    Attributes:
        lstm: the first `gatewise.nn.LSTM`, which reads `encode(inputs)`.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        H, h = shape.hidden_size, shape.prediction_length
        self.input = Linear(shape.inputs, H)
        self.layers = nn.ModuleList(LSTM(H, H) for _ in range(shape.num_layers))
        self.dropout = nn.Dropout(shape.dropout)
        out = shape.channels * _SHAPES if shape.structured else h
        self.head = Linear(H + shape.inputs, out)
        self.offset = nn.Parameter(torch.zeros(0 if shape.universal else h))
        self.beside = Linear(H + shape.inputs, h * shape.parameters) if shape.parameters else None
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            self.head.bias.zero_()

    @property
    def lstm(self) -> LSTM:
        """The first recurrent layer."""
        layer = self.layers[0]
        assert isinstance(layer, LSTM)
        return layer

    def encode(self, inputs: Float[Tensor, "T B F"]) -> Float[Tensor, "T B H"]:
        """What the first LSTM reads."""
        return torch.tanh(self.input(inputs))

    def forward(
        self,
        inputs: Float[Tensor, "T B F"],
        channels: Float[Tensor, "T B h J"],
        volatility: Float[Tensor, "T B"],
    ) -> tuple[Float[Tensor, "T B h"], Float[Tensor, "T B h E"]]:
        """What to add to the baseline, on the working scale, and the outputs beside it."""
        a = self.encode(inputs)
        for layer in self.layers:
            a = a + self.dropout(layer(a)[0])
        state = torch.cat([a, inputs], -1)
        out = self.head(state)
        k = torch.arange(1, channels.shape[-2] + 1, dtype=out.dtype)
        if self.shape.structured:
            weights = out.unflatten(-1, (_SHAPES, self.shape.channels))
            over = aligned(_over(k, self.shape.universal))
            by_row = nn.functional.linear(aligned(weights.transpose(-1, -2)), over)
            out = (by_row.transpose(-1, -2) * channels).sum(-1)
        if not self.shape.universal:
            out = out + self.offset
        out = out * spread(volatility, len(k))
        if self.beside is None:
            return out, out.new_empty((*out.shape, 0))
        beside = self.beside(state).unflatten(-1, (-1, self.shape.parameters))
        return out, beside[..., : len(k), :]


def spread(volatility: Float[Tensor, " ..."], h: int) -> Float[Tensor, "... h"]:
    """Return v √k / 2: what one unit of the network's output is at each step."""
    k = torch.arange(1, h + 1, dtype=volatility.dtype)
    return volatility.unsqueeze(-1) * torch.sqrt(k) / 2


def _over(k: Float[Tensor, " h"], universal: bool) -> Float[Tensor, "h S"]:
    """The shapes over the horizon."""
    middle = [torch.log1p(k) / 3, k / 24] if universal else [k / len(k), (k / len(k)) ** 2]
    return torch.stack([torch.ones_like(k), *middle, torch.exp(-k / 2)], 1)
