"""What results draw and show in a notebook: forecaster, backtest, search, trace."""

import re

import numpy as np
import polars as pl
import pytest
import torch
from matplotlib.figure import Figure

from gatewise.errors import ConfigError, NotFittedError, TableError
from gatewise.forecast import Forecaster, backtest, tune
from gatewise.trace import record


@pytest.fixture(scope="module")
def shops():
    t = np.arange(90)
    y = np.r_[20 + t % 12, 200 + t % 12] + np.random.default_rng(0).normal(size=180)
    return pl.DataFrame({"unique_id": ["a"] * 90 + ["b"] * 90, "ds": np.r_[t, t], "y": y})


@pytest.fixture(scope="module")
def fitted(shops):
    return Forecaster.pretrained(6).fit(shops)


def test_a_forecaster_draws_the_forecast_of_a_series(fitted, shops):
    made = fitted.predict().filter(pl.col("unique_id") == "b")
    (axis,) = fitted.plot(series="b").axes
    (line,) = (x for x in axis.lines if str(x.get_label()).startswith("forecast"))
    np.testing.assert_allclose(line.get_ydata()[1:], made["forecast"])
    assert axis.get_ylabel() == "y"
    first = fitted.plot(history=shops.filter(pl.col("unique_id") == "a")).axes[0]
    assert first.get_ylim()[1] < 100
    with pytest.raises(TableError, match="no series 'c'"):
        fitted.plot(series="c")
    with pytest.raises(NotFittedError):
        Forecaster(3).plot()


def test_a_backtest_draws_the_pictures_of_its_report(shops):
    made = backtest(Forecaster.pretrained(6), shops, folds=3, refit_every=3, checks=False)
    assert {type(made.plot(view)) for view in ("forecasts", "baselines", "origins")} == {Figure}
    assert made.plot("calibration").axes[0].get_ylabel() == "density"
    with pytest.raises(ConfigError, match="view is 'all': expected one of forecasts, baselines"):
        made.plot("all")
    shown = made._repr_html_()
    assert made.verdict.split("'")[0] in shown
    assert "<svg" in shown
    assert f"rival: {made.naive}" in shown


def test_a_search_draws_its_trials(shops):
    one = shops.filter(pl.col("unique_id") == "a").drop("unique_id")
    found = tune(Forecaster(2, max_epochs=1, ensemble_size=1), one, trials=2, folds=1)
    (axis,) = found.plot().axes
    (best,) = (x for x in axis.lines if x.get_label() == "best so far")
    assert best.get_ydata()[-1] == found.score
    assert "trials: 2" in found._repr_html_()
    assert "<svg" in found._repr_html_()


def test_a_forecaster_shows_what_it_is(fitted):
    assert "not fitted" in Forecaster(3)._repr_html_()
    assert "<svg" not in Forecaster(3)._repr_html_()
    assert "networks: 3" in fitted._repr_html_()


def test_a_forecaster_that_needs_drivers_shows_its_facts_alone():
    t = np.arange(120)
    table = pl.DataFrame({"ds": t, "y": t % 7 + 0.0, "sale": (t % 5 == 0) + 0.0})
    made = Forecaster(2, max_epochs=1).fit(table, future=["sale"])
    assert "rows: 120" in made._repr_html_()
    assert "<svg" not in made._repr_html_()


def test_two_pictures_in_one_notebook_share_no_id(fitted):
    torch.manual_seed(0)
    trace = record(torch.nn.LSTM(2, 3), torch.randn(30, 1, 2))
    shown = [fitted._repr_html_(), fitted._repr_html_(), trace._repr_html_()]
    ids = [i for html in shown for i in re.findall(r'<(?:g|path|clipPath)[^>]* id="([^"]+)"', html)]
    assert ids
    assert len(ids) == len(set(ids))
    assert all("currentColor" in html for html in shown)  # light and dark


def test_a_trace_draws_its_gates():
    trace = record(torch.nn.LSTM(2, 3, num_layers=2), torch.randn(9, 2, 2))
    assert len(trace.plot(layer=1, batch=1).axes) == 12  # six panels, each with its scale
    with pytest.raises(ConfigError, match="layer"):
        trace.plot(layer=2)
