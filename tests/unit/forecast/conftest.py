"""Fitted forecasters shared by the tests of this folder."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from gatewise.forecast import Forecaster


def several(rows=(70, 60, 50)):
    """Three monthly series of different lengths and ends, with every kind of column."""
    rng = np.random.default_rng(7)
    parts = []
    for i, n in enumerate(rows):
        months = pl.date_range(
            dt.date(2010, 1 + i, 1), dt.date(2030, 1, 1), "1mo", eager=True
        ).head(n)
        temperature = rng.normal(size=n)
        y = 20.0 + 5 * i + 3 * np.sin(2 * np.pi * np.arange(n) / 12) + temperature
        parts.append(
            pl.DataFrame(
                {
                    "shop": [f"s{i}"] * n,
                    "month": months,
                    "sales": y,
                    "visits": rng.normal(size=n),
                    "temperature": temperature,
                    "area": [100.0 * (i + 1)] * n,
                    "town": ["Ulm" if i else "Bonn"] * n,
                }
            )
        )
    return pl.concat(parts)


SHOPS = {
    "time": "month",
    "target": "sales",
    "series": "shop",
    "past": ["visits"],
    "future": ["temperature"],
    "static": ["area", "town"],
}


@pytest.fixture(scope="session")
def shops():
    return several()


@pytest.fixture(scope="session")
def shops_known(shops):
    """All rows but each series' last six, and those six as a future table."""
    last = pl.int_range(pl.len()).over("shop") >= pl.len().over("shop") - 6
    return shops.filter(~last), shops.filter(last).select("shop", "month", "temperature")


@pytest.fixture(scope="session")
def shop_forecaster(shops_known):
    return Forecaster(prediction_length=6, max_epochs=4).fit(shops_known[0], **SHOPS)


@pytest.fixture(scope="session")
def walk_table():
    rng = np.random.default_rng(3)
    return pl.DataFrame({"ds": range(120), "y": 50 + np.cumsum(rng.normal(size=120))})


@pytest.fixture(scope="session")
def walk_forecaster(walk_table):
    return Forecaster(prediction_length=4, levels=(80, 95), max_epochs=3).fit(walk_table)
