"""How much of a forecast comes from the LSTM that a report draws."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gatewise.forecast.data.panel import Array, Panel

if TYPE_CHECKING:
    from gatewise.forecast.forecaster import Forecaster
    from gatewise.forecast.models.base import Model


@dataclass(frozen=True)
class LstmShare:
    """How far a forecast moves when the outputs of LSTMs are set to 0.

    Attributes:
        networks: how many forecast together; the drawn LSTM is of the first.
        layers: how many LSTMs, one upon the other, that network has; the drawn one is the first.
        rows: that are forecast.
        one: mean distance by which the forecast moves without the drawn LSTM, in the target's unit.
        all: that without all LSTMs of all networks.
        way: mean distance of the forecast from the last value.
    """

    networks: int
    layers: int
    rows: int
    one: float
    all: float
    way: float

    @property
    def sentence(self) -> str:
        """It in words."""
        which = "the LSTM" if self.layers == 1 else f"the first of {self.layers} LSTMs"
        if self.networks == 1:
            shown = f"The pictures show {which} of the network."
        else:
            shown = (
                f"The pictures show network 1 of {self.networks}: {which} of it. The forecast is "
                f"the median of all {self.networks} networks."
            )
        moves = f"With its outputs h set to 0, the forecast of the {self.rows} rows moves by "
        moves += self._part(self.one)
        if self.networks * self.layers > 1:
            moves += f"; with the outputs of all LSTMs set to 0, by {self._part(self.all)}"
        return f"{shown} {moves}, on average."

    def _part(self, moved: float) -> str:
        if not self.way:
            return f"{moved:.3g}"
        return f"{moved:.3g} ({moved / self.way:.1%} of its distance from the last value)"


def lstm_share(forecaster: Forecaster, history: Any = None) -> LstmShare | None:
    """Return how much of the latest forecast comes from the LSTM of `Forecaster.lstm_input`.

    Of the first series. With drivers that are known ahead, the forecast is that of the last rows of
    the table, where they are known.

    Args:
        forecaster: fitted.
        history: as in `Forecaster.lstm_input`.

    Returns:
        None where the series is too short, or the forecaster no longer has its rows.

    >>> import polars as pl
    >>> from gatewise.forecast import Forecaster
    >>> table = pl.DataFrame({"ds": range(80), "y": [20.0 + t % 12 for t in range(80)]})
    >>> lstm_share(Forecaster.pretrained(3).fit(table)).all  # the baseline knows all of it
    0.0
    """
    fitted = forecaster.fitted
    panel, ahead = fitted.known(history), bool(fitted.tail.columns.future)
    if history is None and ahead and fitted.panel is None:
        return None
    end = len(panel.series[0]) - (fitted.config.prediction_length if ahead else 0)
    model = fitted.model
    said = _points(model, panel, end)
    known = panel.series[0].target[:end]
    known = known[np.isfinite(known)]
    if not len(known) or not np.isfinite(said).all():
        return None
    return LstmShare(
        networks=len(model.networks),
        layers=len(_lstms(model.networks[0])),
        rows=len(said),
        one=_distance(said, _points(_muted(model, only_first=True), panel, end)),
        all=_distance(said, _points(_muted(model), panel, end)),
        way=_distance(said, known[-1]),
    )


def _points(model: Model, panel: Panel, end: int) -> Array:
    """[h] the middle quantile."""
    made = model.forecast(panel, [0], [end])[0]
    return made[:, made.shape[1] // 2]


def _lstms(network: Any) -> list[Any]:
    return list(getattr(network, "layers", [network.lstm]))


def _muted(model: Model, only_first: bool = False) -> Model:
    """A copy whose LSTMs, or the first one only, put out zeros."""

    def nothing(module: Any, given: Any, output: Any) -> Any:
        y, state = output
        return torch.zeros_like(y), state

    copy = deepcopy(model)
    lstms = [lstm for network in copy.networks for lstm in _lstms(network)]
    for lstm in lstms[:1] if only_first else lstms:
        lstm.register_forward_hook(nothing)
    return copy


def _distance(a: Array, b: Any) -> float:
    return float(np.abs(a - b).mean())
