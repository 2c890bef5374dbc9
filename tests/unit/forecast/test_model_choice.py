"""Which model "auto" is: by drivers, series, season and the number of horizons."""

import numpy as np
import polars as pl
import pytest

from gatewise.forecast import Forecaster
from gatewise.forecast.config import Config
from gatewise.forecast.data.table import choose_columns, read_panel
from gatewise.forecast.models.fit import model_of


def walks(rows, series=1):
    rng = np.random.default_rng(0)
    parts = [
        pl.DataFrame(
            {"s": str(k), "ds": np.arange(rows), "y": 100 + rng.normal(size=rows).cumsum()}
        )
        for k in range(series)
    ]
    return pl.concat(parts)


@pytest.mark.parametrize(
    ("rows", "series", "horizon", "columns", "model"),
    [
        (240, 1, 12, {}, "window"),
        (239, 1, 12, {}, "residual"),
        (239, 5, 12, {}, "residual"),
        (400, 20, 12, {}, "residual"),
        (400, 19, 12, {}, "window"),
        (400, 1, 1, {}, "window"),
        (100, 1, 12, {"past": ["x"]}, "window"),
    ],
)
def test_a_table_gets_the_model_that_suits_it(rows, series, horizon, columns, model):
    table = walks(rows, series).with_columns(x=0.5)
    panel = read_panel(table, choose_columns(table, target="y", series="s", **columns))
    config = Config(prediction_length=horizon, season_length=1)
    assert model_of(config, panel) == model


def test_a_short_walk_is_forecast_near_its_last_value():
    """Window networks once drew a trend that few held-out rows had shown by chance."""
    for seed in range(3):
        y = 100 * np.exp(np.random.default_rng(seed).normal(0, 0.02, 120).cumsum())
        table = pl.DataFrame({"ds": np.arange(120), "y": y})
        ahead = Forecaster(12, max_epochs=3).fit(table).predict()
        moved = np.abs(np.log(ahead["forecast"].to_numpy() / y[-1]))
        assert moved.max() < 2 * 0.02 * np.sqrt(12)
