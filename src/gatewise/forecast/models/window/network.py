"""The network: an LSTM over the context, then one head for every step of the horizon.

    h_T = LSTM(context)                                   the only recurrence; `gatewise.nn.LSTM`
    m_k = A_k recent + B ahead_k + m(h_T, static, k, ...) the median of what the baseline leaves
    q_k = c m_k + cumulative softplus up and down         quantiles that cannot cross

`recent` are the last rows of the context, which reach the head directly, so that yesterday's
driver does not have to survive the gates first. Every output weight starts at 0 and the biases at
the normal quantiles: the untrained network leaves the linear baseline (`ridge`) as it is, with a
Gaussian spread, and stays there if there is nothing to learn. The confidence c in [0, 1] is not
learnt by gradient: after training it is set to what the held-out rows bear out, 0 where the median
is no better than the baseline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from gatewise.forecast.models.products import Linear, aligned, one_thread, tensor, tiles
from gatewise.forecast.models.window.windows import Windows
from gatewise.nn import LSTM

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a network; JSON-able.

    Attributes:
        inputs: F, features per context row.
        values: how many of the first features are values of columns (the skip reads those).
        ahead: G, features per future row.
        static: D.
        recent: last context rows that the head reads directly.
        prediction_length: h.
        probabilities: the quantiles, ascending, 0.5 among them.
    """

    inputs: int
    values: int
    ahead: int
    static: int
    recent: int
    prediction_length: int
    probabilities: tuple[float, ...]
    hidden_size: int
    num_layers: int
    dropout: float


class Network(nn.Module):
    """Quantiles for every step of the horizon from a window.

    Args:
        shape: sizes; see `Shape`.

    Attributes:
        lstm: the `gatewise.nn.LSTM`, which reads `Windows.context` ([T, B, F]) as it is.
        confidence: [h] factor of the median at each step, set after training.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        h, H, embedding = shape.prediction_length, shape.hidden_size, 6
        self.lstm = LSTM(
            shape.inputs,
            H,
            shape.num_layers,
            dropout=shape.dropout if shape.num_layers > 1 else 0.0,
        )
        skip = shape.recent * shape.values
        self.recent = nn.Parameter(torch.zeros(h, skip))
        self.ahead = Linear(shape.ahead, 1, bias=False) if shape.ahead else None
        self.steps = nn.Parameter(torch.randn(h, embedding) * 0.3)
        self.state = Linear(H + shape.static + skip, 32)
        self.step = Linear(embedding + shape.ahead, 32, bias=False)
        self.dropout = nn.Dropout(shape.dropout)
        self.quantiles = Linear(32, len(shape.probabilities))
        self.confidence: Tensor
        self.register_buffer("confidence", torch.ones(h))
        self._start_neutral()

    def _start_neutral(self) -> None:
        normal = torch.distributions.Normal(0.0, 1.0)
        q = normal.icdf(torch.tensor(self.shape.probabilities, dtype=torch.float64))
        gaps = torch.diff(q)
        middle = self.shape.probabilities.index(0.5)
        inverse = gaps + torch.log(-torch.expm1(-gaps))  # softplus^-1
        with torch.no_grad():
            self.quantiles.weight.zero_()
            self.quantiles.bias[:middle] = inverse[:middle].float()
            self.quantiles.bias[middle] = 0.0
            self.quantiles.bias[middle + 1 :] = inverse[middle:].float()
            if self.ahead is not None:
                self.ahead.weight.zero_()

    def forward(
        self,
        context: Float[Tensor, "T B F"],
        ahead: Float[Tensor, "B h G"],
        static: Float[Tensor, "B D"],
    ) -> Float[Tensor, "B h Q"]:
        """Quantiles of what the baseline leaves, in units of its error."""
        shape = self.shape
        y, _ = self.lstm(context)
        recent = context[-shape.recent :, :, : shape.values].transpose(0, 1).flatten(1)
        state = self.state(torch.cat([self.dropout(y[-1]), static, recent], dim=1))
        steps = self.steps.expand(len(ahead), -1, -1)
        step = self.step(torch.cat([steps, ahead], dim=2))
        out = self.quantiles(self.dropout(torch.tanh(state[:, None] + step)))

        middle = shape.probabilities.index(0.5)
        median = out[:, :, middle] + nn.functional.linear(aligned(recent), aligned(self.recent))
        if self.ahead is not None:
            median = median + self.ahead(ahead).squeeze(2)
        median = (self.confidence * median).unsqueeze(2)
        below = nn.functional.softplus(out[:, :, :middle]).flip(2).cumsum(2).flip(2)
        above = nn.functional.softplus(out[:, :, middle + 1 :]).cumsum(2)
        return torch.cat([median - below, median, median + above], dim=2)


def tensors(windows: Windows) -> tuple[Tensor, Tensor, Tensor]:
    """The three inputs of `Network.forward`; the first is what the LSTM reads."""
    return (
        tensor(windows.context),
        tensor(windows.ahead),
        tensor(windows.static),
    )


def outputs(network: Network, windows: Windows) -> NDArray[np.float64]:
    """Run the network: [B, h, Q] in units of the baseline's error, 0 being its forecast."""
    network.eval()
    shape, inputs = network.shape, (windows.context, windows.ahead, windows.static)
    made = np.empty((len(windows), shape.prediction_length, len(shape.probabilities)))
    with one_thread(), torch.no_grad():
        for part, rows in tiles(len(windows)):
            context, ahead, static = inputs
            tile = (tensor(context[:, rows]), tensor(ahead[rows]), tensor(static[rows]))
            made[part] = network(*tile).numpy()[: part.stop - part.start]
    return made
