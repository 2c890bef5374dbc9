"""What a forecast makes of the state that its LSTM ends in, as two layers on h alone.

    z = tanh(V h + a)                  V: the part of the head that reads h; a: all else it reads,
    r = W z + b                        held at what it is at the latest origin

At the last step of the window r is what the network would add to the baseline's median for the
first and the last row of the horizon, in units of the baseline's error there. The forecast adds
that times `shrinkage`, the confidence that held-back rows bear out. At an earlier step r is what it
would be if the LSTM had ended in that step's h.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gatewise.forecast.data.panel import Array
from gatewise.forecast.models.window.model import WindowModel

if TYPE_CHECKING:
    from gatewise.forecast.forecaster import Forecaster


@dataclass(frozen=True, eq=False)
class Readout:
    """Two layers on h of the last layer.

    Attributes:
        hidden_weight, hidden_bias: V [K, H] and a [K].
        weight, bias: W [O, K] and b [O].
        shrinkage: [O] what the forecast multiplies r with, from 0 to 1.
        names: [O] what each output is.
    """

    hidden_weight: Array
    hidden_bias: Array
    weight: Array
    bias: Array
    shrinkage: Array
    names: list[str]

    def __call__(self, h: Array) -> Array:
        """Return r [O] of h [H]."""
        return self.weight @ np.tanh(self.hidden_weight @ h + self.hidden_bias) + self.bias


def lstm_readout(forecaster: Forecaster, history: Any = None) -> Readout | None:
    """Return what the forecast of the first series makes of its LSTM's state.

    Args:
        forecaster: fitted.
        history: as in `Forecaster.lstm_input`.

    Returns:
        None where the LSTM that `lstm_input` feeds is not the last before the head.

    >>> import polars as pl
    >>> from gatewise.forecast import Forecaster
    >>> table = pl.DataFrame({"ds": range(80), "y": [20.0 + t % 12 for t in range(80)]})
    >>> lstm_readout(Forecaster.pretrained(3).fit(table)) is None  # it has two, one upon the other
    True
    """
    fitted = forecaster.fitted
    model = fitted.model
    if not isinstance(model, WindowModel):
        return None
    panel = fitted.known(history)
    window = model.windows(panel, [0], [len(panel.series[0])])
    network = model.network.eval()
    shape = network.shape
    H, h = shape.hidden_size, shape.prediction_length
    middle = shape.probabilities.index(0.5)
    parts: list[tuple[Any, ...]] = []
    with torch.no_grad():
        context = torch.from_numpy(window.context)
        recent = context[-shape.recent :, :, : shape.values].transpose(0, 1).flatten(1)[0]
        ahead = torch.from_numpy(window.ahead)[0]
        beside = torch.cat([torch.from_numpy(window.static)[0], recent])
        state = network.state.weight
        for k in dict.fromkeys((0, h - 1)):
            step = network.step.weight @ torch.cat([network.steps[k], ahead[k]])
            bias = network.quantiles.bias[middle] + network.recent[k] @ recent
            if network.ahead is not None:
                bias = bias + network.ahead.weight[0] @ ahead[k]
            parts.append((
                state[:, :H], network.state.bias + state[:, H:] @ beside + step,
                network.quantiles.weight[middle], bias, network.confidence[k],
            ))  # fmt: skip
    V, a, rows, b, shrinkage = (
        [p.detach().double().numpy() for p in column] for column in zip(*parts, strict=True)
    )
    K = len(rows[0])
    W = np.zeros((len(rows), K * len(rows)))
    for k, row in enumerate(rows):
        W[k, k * K : (k + 1) * K] = row
    names = ["the next row", f"{h} rows ahead"][: len(rows)]
    return Readout(
        np.concatenate(V),
        np.concatenate(a),
        W,
        np.array(b, float),
        np.array(shrinkage, float),
        names,
    )
