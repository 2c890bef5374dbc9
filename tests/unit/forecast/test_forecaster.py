import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from gatewise.errors import ConfigError, NotFittedError, TableError
from gatewise.forecast import Forecaster
from gatewise.nn import LSTM

from .conftest import SHOPS


def test_the_package_alone_does_not_import_torch():
    code = (
        "import sys, gatewise.forecast as f; assert 'torch' not in sys.modules; "
        "assert 'backtest' in dir(f); f.config, f.__name__"
    ).replace("f.config, ", "")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_names_of_the_package_are_refused():
    import gatewise.forecast

    assert gatewise.forecast.backtest.__name__ == "backtest"
    assert gatewise.forecast.datasets.names()[0] == "sp500"
    with pytest.raises(AttributeError, match="no attribute 'forecats'"):
        _ = gatewise.forecast.forecats


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prediction_length": 0}, "prediction_length is 0: expected a whole number of at least 1"),
        ({"prediction_length": 2.5}, "whole number"),
        ({"levels": ()}, "levels"),
        ({"levels": (100,)}, "between 0 and 100"),
        ({"seed": -1}, "seed"),
        ({"context_length": 2}, "at least 4"),
        ({"dropout": 1.0}, "dropout"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"transform": "log-returns"}, "Did you mean 'log-return'"),
        ({"hiden_size": 3}, "Unknown option 'hiden_size'"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Forecaster(**options)


def test_nothing_is_forecast_before_fit(tmp_path):
    with pytest.raises(NotFittedError, match="Call fit"):
        Forecaster().predict()
    with pytest.raises(NotFittedError):
        Forecaster().save(tmp_path / "m")
    assert "not fitted" in repr(Forecaster())


@pytest.mark.parametrize(
    ("kind", "of"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame), ("pyarrow", pa.Table)]
)
def test_the_callers_kind_of_table_comes_back(kind, of, walk_table, walk_forecaster):
    table = {"pandas": walk_table.to_pandas, "polars": lambda: walk_table,
             "pyarrow": walk_table.to_arrow}[kind]()  # fmt: skip
    made = walk_forecaster.predict(history=table)
    assert isinstance(made, of)
    assert pl.DataFrame(made).equals(walk_forecaster.predict())


def test_several_series_with_every_kind_of_column(shop_forecaster, shops_known):
    made = shop_forecaster.predict(future=shops_known[1])
    assert made.columns == ["shop", "month", "forecast", "lo-80", "hi-80", "lo-95", "hi-95"]
    assert made["shop"].to_list() == ["s0"] * 6 + ["s1"] * 6 + ["s2"] * 6
    assert made["month"].to_list() == shops_known[1]["month"].to_list()
    edges = made.select("lo-95", "lo-80", "forecast", "hi-80", "hi-95").to_numpy()
    assert (np.diff(edges, axis=1) > 0).all()
    assert "fitted" in repr(shop_forecaster)


def test_known_future_drivers_are_needed_and_only_then(
    shop_forecaster, shops_known, walk_forecaster, walk_table
):
    with pytest.raises(ConfigError, match="6 rows per series"):
        shop_forecaster.predict()
    with pytest.raises(ConfigError, match="fitted without"):
        walk_forecaster.predict(future=walk_table)
    with pytest.raises(TableError, match=r"5 rows after .* 's0': no row at 2015-10-01: expected 6"):
        shop_forecaster.predict(future=shops_known[1].group_by("shop").head(5))
    with pytest.raises(TableError, match="no rows of series 's2'"):
        shop_forecaster.predict(future=shops_known[1].filter(pl.col("shop") != "s2"))


def test_known_future_drivers_move_the_forecast(shop_forecaster, shops_known):
    future = shops_known[1]
    warmer = future.with_columns(pl.col("temperature") + 3)
    assert not shop_forecaster.predict(future=future).equals(shop_forecaster.predict(future=warmer))


def test_history_takes_the_place_of_the_fitted_rows(walk_table, walk_forecaster):
    made = walk_forecaster.predict(history=walk_table.head(100))
    assert made["ds"].to_list() == [100, 101, 102, 103]
    assert walk_forecaster.predict(history=walk_table).equals(walk_forecaster.predict())


def test_an_unknown_series_in_history_goes_on_by_its_own_calendar(shop_forecaster, shops_known):
    known = (
        shops_known[0]
        .filter(pl.col("shop") == "s0")
        .with_columns(shop=pl.lit("new"), town=pl.lit("Köln"))
    )
    future = shops_known[1].filter(pl.col("shop") == "s0").with_columns(shop=pl.lit("new"))
    made = shop_forecaster.predict(future=future, history=known)
    assert made["shop"].unique().to_list() == ["new"]
    assert np.isfinite(made["forecast"].to_numpy()).all()


def test_the_same_seed_gives_the_same_bits_and_leaves_torch_alone(walk_table, walk_forecaster):
    torch.manual_seed(5)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    again = Forecaster(prediction_length=4, max_epochs=3, threads=2).fit(walk_table)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), before)
    assert again.predict().equals(walk_forecaster.predict())
    other = Forecaster(prediction_length=4, max_epochs=3, seed=1).fit(walk_table)
    assert other.fitted.training.history[1] != again.fitted.training.history[1]


def test_too_few_rows_for_the_horizon_says_how_many_are_needed(walk_table):
    with pytest.raises(TableError, match="has 120 rows: expected at least 124"):
        Forecaster(prediction_length=60, model="window").fit(walk_table)
    lone = pl.DataFrame({"unique_id": "b", "ds": [0], "y": [1.0]})
    both = walk_table.select(unique_id=pl.lit("a"), ds=pl.col("ds"), y=pl.col("y"))
    with pytest.raises(TableError, match="Series 'b' has 1 row"):
        Forecaster(prediction_length=4).fit(pl.concat([both, lone]))


def test_gaps_in_target_and_drivers_are_forecast_through():
    rng = np.random.default_rng(0)
    y = np.cumsum(rng.normal(size=120)) + 50
    x = rng.normal(size=120)
    y[[0, 40, 41, 118, 119]] = np.nan
    x[:60] = np.nan
    f = Forecaster(prediction_length=4, max_epochs=2)
    f.fit(pl.DataFrame({"ds": range(120), "y": y, "x": x}), past=["x"])
    assert np.isfinite(f.predict()["forecast"].to_numpy()).all()
    assert any("missing in 5 rows" in note for note in f.fitted.notes)


def test_the_untrained_network_is_neutral(walk_table):
    f = Forecaster(prediction_length=4, max_epochs=0).fit(walk_table)
    made = f.predict()
    last = walk_table["y"][-1]
    np.testing.assert_allclose(made["forecast"].to_numpy(), last, rtol=1e-6)
    window = np.log(walk_table["y"].to_numpy())[-33:]
    spread = np.sqrt(np.mean(np.diff(window) ** 2) * np.arange(1, 5))
    learnt, edge = f.fitted.model.learnt, f.config.interval(80)[1]
    np.testing.assert_allclose(learnt.ridge.error, 1, atol=0.2)
    away = np.maximum.accumulate(spread * learnt.ridge.error)
    expected = last * np.exp(1.2816 * away * learnt.stretch[edge])
    np.testing.assert_allclose(made["hi-80"].to_numpy(), expected, rtol=1e-3)
    assert f.fitted.training.best == 0
    assert f.fitted.epochs == 0
    assert f.fitted.seed == 0


def test_progress_is_told_epoch_by_epoch(walk_table):
    seen = []
    Forecaster(4, max_epochs=2).fit(walk_table, progress=lambda *a: seen.append(a))
    assert seen == [("train", 1, 2), ("train", 2, 2)]


def test_what_the_lstm_reads_can_be_traced(shop_forecaster, walk_forecaster):
    lstm = shop_forecaster.fitted.network.lstm
    assert isinstance(lstm, LSTM)
    read = shop_forecaster.lstm_input(series="s1")
    assert read.series == "s1"
    assert read.x.shape == (len(read.time) + read.padding, 1, len(read.names))
    assert lstm(torch.from_numpy(read.x))[0].shape == (len(read.x), 1, 24)
    short = shop_forecaster.lstm_input(series="s2", rows=10)
    assert short.padding == len(short.x) - 10
    assert (short.x[: short.padding] == 0).all()
    with pytest.raises(TableError, match="no series 'x'"):
        shop_forecaster.lstm_input(series="x")
    assert walk_forecaster.lstm_input().names == ["y", "y observed"]


def test_a_seasonal_series_is_forecast_with_its_season(shops_known):
    known = shops_known[0]
    f = Forecaster(prediction_length=6, transform="none").fit(known, **SHOPS)
    assert f.fitted.model.season_length == 12
    assert f.fitted.transforms["sales"] == "none"
    losses = [e.validation for e in f.fitted.training.history]
    assert min(losses) < 0.8 * losses[0]
