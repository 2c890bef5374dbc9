"""What a forecaster is told before it sees a table: one frozen value, checked once."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypedDict

from gatewise.errors import ConfigError, nearest, shown

Progress = Callable[[str, int, int], None]
"""Called as progress(stage, done, total); the package itself never prints."""

TRANSFORMS: Final = ("auto", "none", "log-return", "difference")
MODELS: Final = ("auto", "residual", "window", "pretrained")
DISTRIBUTIONS: Final = ("empirical", "student-t", "negative-binomial")
_COUNTS: Final = ("hidden_size", "num_layers", "batch_size", "threads")


class Options(TypedDict, total=False):
    """Options of `Config` that a `Forecaster` takes by name."""

    season_length: int | None
    long_season_length: int | None
    model: str
    networks: str | None
    ensemble_size: int
    distribution: str
    context_length: int | None
    transform: str
    lower: float | str | None
    hidden_size: int | None
    num_layers: int | None
    dropout: float | None
    max_epochs: int | None
    learning_rate: float | None
    batch_size: int | None
    threads: int | None
    fill_gaps: bool


INNER: Final = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
"""Quantiles that are always forecast, so that their loss and PIT do not hang on the levels."""


@dataclass(frozen=True, slots=True)
class Config:
    """Options of a `Forecaster`, all validated.

    Args:
        prediction_length: rows to forecast. Default 18.
        levels: central prediction intervals in percent. Default (80, 95).
        seed: for the initial weights and the order of batches. Default 0.
        season_length: rows per season; None (default) finds it from the calendar and the data.
        long_season_length: of a residual model: rows of a second, longer season, such as a week of
            hours; a multiple of `season_length`, 1 for none. None (default) finds it from the
            calendar and the data.
        model: "residual": an ensemble that forecasts the residuals of a baseline (no drivers);
            "window": one network over windows; "pretrained": the package's own networks, without
            training (no drivers); "auto" (default): the first for tables without drivers, of many
            series, with a season, or of fewer than 20 horizons, else the second.
        networks: file of networks for model="pretrained", made by
            `python -m gatewise.forecast.models.residual.pretraining`. Default: the package's own.
        ensemble_size: networks of a residual model. Default 8.
        distribution: of a residual model: "empirical" (default): quantiles come from what past
            forecasts missed by; "student-t" or "negative-binomial" (counts): the networks learn
            its parameters.
        context_length: rows the network of a window model reads; None (default) takes two seasons
            or twice the horizon, at least 32 and at most 96; and a week of hours.
        transform: of the target, in a window model: "auto" (default), "none", "log-return" or
            "difference".
        lower: what forecasts of the target are not below, in its unit. "auto" (default): 0 if the
            target was never negative, which a note tells, else nothing; None or -inf: nothing.
        hidden_size: units of the LSTM. Default 48 (window model: 24).
        num_layers: of the LSTM. Default 2 (1).
        dropout: on what each layer adds (on what the head reads). Default 0.2 (0.1).
        max_epochs: of ten steps (upper bound; training stops early). Default 30, but 10 for tables
            of up to 1,000 rows, and between them a hundredth of the rows (30).
        learning_rate: peak of the schedule. Default 0.002 (0.004).
        batch_size: crops of 48 origins (windows) per step. Default 64, fewer for short tables
            (128).
        threads: worker processes of a fit or a backtest; None (default) takes one per core. The
            numbers do not depend on it.
        fill_gaps: whether rows that are missing from a regular calendar are inserted with an empty
            target, and said. Default True; False counts the rows as they are.

    Raises:
        ConfigError: a value is out of range.

    >>> Config(levels=(90,)).probabilities
    (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
    """

    prediction_length: int = 18
    levels: tuple[int | float, ...] = (80, 95)
    seed: int = 0
    season_length: int | None = None
    long_season_length: int | None = None
    model: str = "auto"
    networks: str | None = None
    ensemble_size: int = 8
    distribution: str = "empirical"
    context_length: int | None = None
    transform: str = "auto"
    lower: float | str | None = "auto"
    hidden_size: int | None = None
    num_layers: int | None = None
    dropout: float | None = None
    max_epochs: int | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    threads: int | None = None
    fill_gaps: bool = True

    def __post_init__(self) -> None:
        _at_least("prediction_length", self.prediction_length, 1)
        _at_least("seed", self.seed, 0)
        if self.context_length is not None:
            _at_least("context_length", self.context_length, 4)
        for name in ("season_length", "long_season_length", "ensemble_size", *_COUNTS):
            if getattr(self, name) is not None:
                _at_least(name, getattr(self, name), 1)
        m, longer = self.season_length, self.long_season_length or 1
        if m is not None and longer > 1 and (m == 1 or m >= longer or longer % m):
            raise ConfigError(
                f"long_season_length is {longer} with a season of {m}: expected a larger multiple "
                "of two rows or more. 1 is no long season."
            )
        if self.max_epochs is not None:
            _at_least("max_epochs", self.max_epochs, 0)
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {shown(self.dropout)}: expected a number in [0, 1).")
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise ConfigError(
                f"learning_rate is {shown(self.learning_rate)}: expected more than 0."
            )
        object.__setattr__(self, "lower", _floor(self.lower))
        if not isinstance(self.fill_gaps, bool):
            raise ConfigError(f"fill_gaps is {shown(self.fill_gaps)}: expected True or False.")
        _one_of("transform", self.transform, TRANSFORMS)
        _one_of("model", self.model, MODELS)
        _one_of("distribution", self.distribution, DISTRIBUTIONS)
        if not self.levels or not all(0 < level < 100 for level in self.levels):
            raise ConfigError(
                f"levels is {shown(self.levels)}: expected percentages between 0 and 100."
            )

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Every quantile the network forecasts, ascending; 0.5 is among them."""
        edges = {round(0.5 + side * level / 200, 6) for level in self.levels for side in (-1, 1)}
        return tuple(sorted(edges | set(INNER)))

    @property
    def jobs(self) -> int:
        """Worker processes."""
        return self.threads or os.cpu_count() or 1

    def interval(self, level: float) -> tuple[int, int]:
        """Positions in `probabilities` of the lower and upper edge of a level in percent."""
        at = self.probabilities.index
        return at(round(0.5 - level / 200, 6)), at(round(0.5 + level / 200, 6))


def _at_least(name: str, value: object, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ConfigError(f"{name} is {shown(value)}: expected a whole number of at least {low}.")


def _floor(value: object) -> float | str | None:
    """The floor as it is kept: "auto", a finite number, or None for none."""
    if value is None or value in ("auto", -math.inf):
        return "auto" if value == "auto" else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigError(f'lower is {shown(value)}: expected a number, "auto" or None.')
    return float(value)


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(
            f"{name} is {shown(value)}: expected one of {', '.join(known)}. "
            f"{nearest(str(value), list(known))}"
        )


def check_names(options: Iterable[str]) -> None:
    """See that options have names of `Config`.

    Raises:
        ConfigError: there is no such option.
    """
    for name in options:
        if name not in Config.__dataclass_fields__:
            raise ConfigError(
                f"Unknown option {shown(name)}: expected one of "
                f"{', '.join(Config.__dataclass_fields__)}."
            )
