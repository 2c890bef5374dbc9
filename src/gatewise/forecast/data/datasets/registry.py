"""Data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from gatewise.errors import ConfigError, nearest, shown
from gatewise.forecast.data.datasets import competitions, public
from gatewise.forecast.data.datasets.dataset import Dataset
from gatewise.forecast.data.datasets.electricity import epf, nordpool
from gatewise.forecast.data.datasets.markets import sp500

_LOADERS: Final[dict[str, Callable[[], Dataset]]] = {
    "sp500": sp500,
    **{name: partial(competitions.competition, name) for name in competitions.NAMES},
    "nordpool": nordpool,
    "epf-fr": partial(epf, "fr"),
    "epf-be": partial(epf, "be"),
    **{name: partial(public.public, name) for name in public.NAMES},
}


def load(name: str) -> Dataset:
    """Load a data set by name.

    Args:
        name: one of

            - "sp500": daily closes of the S&P 500, 1999-01-04 to 2018-12-31 (5,031 trading days),
              with the NASDAQ, WTI oil and VIX closes as drivers known only in the past. WTI and
              VIX stay missing where they were not quoted (VIX before 2014).
            - "m1-monthly", "m1-quarterly", "m1-yearly", "m3-monthly", "m3-quarterly", "m3-yearly",
              "m3-other", "tourism-monthly", "tourism-quarterly": competitions, with their official
              test parts. The yearly part of Tourism is left out: the package's test part is not
              the published one.
            - "nordpool", "epf-fr", "epf-be": hourly electricity prices with drivers known ahead.
            - "us-employment", "aus-retail" (monthly), "aus-arrivals" (quarterly), "us-gasoline"
              (weekly), "pedestrian" (hourly), "vic-electricity" (half-hourly), "bank-calls" (every
              five minutes of working days).

    Raises:
        ConfigError: there is no such data set.
        MissingExtraError: the package that holds it is not installed.

    >>> load("sp500").table.shape
    (5031, 5)
    >>> load("tourism-monthly").test.shape
    (8784, 3)
    >>> load("nordpool").future
    ('load_forecast', 'wind_forecast')
    >>> load("us-gasoline").season_length
    52
    """
    if name not in _LOADERS:
        raise ConfigError(f"There is no data set {shown(name)}. {nearest(name, list(_LOADERS))}")
    return _LOADERS[name]()


def names() -> list[str]:
    """Names that `load` knows."""
    return list(_LOADERS)
