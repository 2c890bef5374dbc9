"""What a forecaster is told before it sees a table: one frozen value, checked once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypedDict

from gatewise.errors import ConfigError, nearest

Progress = Callable[[str, int, int], None]
"""Called as progress(stage, done, total); the package itself never prints."""

TRANSFORMS: Final = ("auto", "none", "log-return", "difference")


class Options(TypedDict, total=False):
    """Options of `Config` that a `Forecaster` takes by name."""

    context_length: int | None
    transform: str
    hidden_size: int
    num_layers: int
    dropout: float
    max_epochs: int
    learning_rate: float
    batch_size: int
    threads: int


INNER: Final = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
"""Quantiles that are always forecast, so that CRPS and PIT do not hang on the levels asked for."""


@dataclass(frozen=True, slots=True)
class Config:
    """Options of a `Forecaster`, all validated.

    Args:
        prediction_length: rows to forecast. Default 18.
        levels: central prediction intervals in percent. Default (80, 95).
        seed: of the weights and the batches. Default 0.
        context_length: rows the network reads; None (default) takes two seasons or twice the
            horizon, at least 32 and at most 96.
        transform: of the target: "auto" (default), "none", "log-return" or "difference".
        hidden_size: units of the LSTM. Default 24.
        num_layers: of the LSTM. Default 1.
        dropout: on what the head reads. Default 0.1.
        max_epochs: upper bound; training stops early. Default 30.
        learning_rate: peak of the one-cycle schedule. Default 0.004.
        batch_size: windows per step. Default 128.
        threads: worker processes of a backtest; one fit always runs on one thread, so that its
            numbers do not depend on the machine. Default 1.

    Raises:
        ConfigError: a value is out of range.

    >>> Config(levels=(90,)).probabilities
    (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
    """

    prediction_length: int = 18
    levels: tuple[int | float, ...] = (80, 95)
    seed: int = 0
    context_length: int | None = None
    transform: str = "auto"
    hidden_size: int = 24
    num_layers: int = 1
    dropout: float = 0.1
    max_epochs: int = 30
    learning_rate: float = 4e-3
    batch_size: int = 128
    threads: int = 1

    def __post_init__(self) -> None:
        _at_least("prediction_length", self.prediction_length, 1)
        _at_least("seed", self.seed, 0)
        if self.context_length is not None:
            _at_least("context_length", self.context_length, 4)
        for name in ("hidden_size", "num_layers", "batch_size", "threads"):
            _at_least(name, getattr(self, name), 1)
        _at_least("max_epochs", self.max_epochs, 0)
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout!r}: expected a number in [0, 1).")
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate is {self.learning_rate!r}: expected more than 0.")
        if self.transform not in TRANSFORMS:
            raise ConfigError(
                f"transform is {self.transform!r}: expected one of {', '.join(TRANSFORMS)}. "
                f"{nearest(str(self.transform), list(TRANSFORMS))}"
            )
        if not self.levels or not all(0 < level < 100 for level in self.levels):
            raise ConfigError(f"levels is {self.levels!r}: expected percentages between 0 and 100.")

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Every quantile the network forecasts, ascending; 0.5 is among them."""
        edges = {round(0.5 + side * level / 200, 6) for level in self.levels for side in (-1, 1)}
        return tuple(sorted(edges | set(INNER)))

    def interval(self, level: float) -> tuple[int, int]:
        """Positions in `probabilities` of the lower and upper edge of a level in percent."""
        at = self.probabilities.index
        return at(round(0.5 - level / 200, 6)), at(round(0.5 + level / 200, 6))


def _at_least(name: str, value: object, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ConfigError(f"{name} is {value!r}: expected a whole number of at least {low}.")
