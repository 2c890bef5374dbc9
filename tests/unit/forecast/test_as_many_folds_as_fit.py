"""Folds that nobody asked for: as many as fit; folds that are asked for: all, or an error."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from gatewise.errors import TableError
from gatewise.forecast import Forecaster, backtest, tune
from gatewise.forecast.data.table import choose_columns, read_panel
from gatewise.forecast.evaluation.folds import NoFoldFitsError, rolling_origins


def months(rows):
    rng = np.random.default_rng(0)
    season = 10 * np.sin(2 * np.pi * np.arange(rows) / 12)
    time = pl.date_range(dt.date(2005, 1, 1), dt.date(2040, 1, 1), "1mo", eager=True).head(rows)
    return pl.DataFrame({"ds": time, "y": 100 + season + rng.normal(size=rows)})


def origins(table, config, folds=None, step=None):
    panel = read_panel(table, choose_columns(table))
    return rolling_origins(panel, config, folds, step or config.prediction_length)


@pytest.mark.parametrize(
    ("rows", "folds"), [(58, 1), (75, 1), (76, 2), (180, 7), (183, 7), (184, 8), (400, 8)]
)
def test_as_many_as_fit(rows, folds):
    made = origins(months(rows), Forecaster(18).config)
    assert len(made) == folds
    assert made[0].cuts[0] >= 40
    assert made[-1].ends == (rows,)
    same = origins(months(rows), Forecaster(18).config, folds)
    assert [fold.start for fold in made] == [fold.start for fold in same]


def test_a_season_that_is_named_stands_twice_before_the_first_fold():
    config = Forecaster(2, season_length=12).config
    assert origins(months(34), config)[0].cuts[0] >= 26
    with pytest.raises(NoFoldFitsError, match="27 rows: expected at least 28 for 1 fold of 2"):
        origins(months(27), config)


@pytest.mark.parametrize(
    ("rows", "folds", "told"),
    [
        (180, 8, "180 rows: expected at least 184 for 8 folds of 18 rows. Use at most 7 folds,"),
        (60, 2, "60 rows: expected at least 76 for 2 folds of 18 rows. Use at most 1 fold,"),
        (40, 1, "40 rows: expected at least 58 for 1 fold of 18 rows. Use a shorter horizon"),
    ],
)
def test_more_than_fit_are_refused_with_the_number_that_fits(rows, folds, told):
    with pytest.raises(TableError, match=told):
        origins(months(rows), Forecaster(18).config, folds)


def test_a_backtest_takes_what_fits_and_says_so(tmp_path):
    f = Forecaster(6, max_epochs=1, ensemble_size=1, season_length=12)
    made = backtest(f, months(44), checks=False)
    assert len(made.folds) == 3
    note = "3 folds fit into the table, not 8: the backtest has so many."
    short = "This table does not allow linear: mean stands in its place."
    assert made.notes == [note, short]
    made.to_html(tmp_path / "page.html")
    assert f"Note: {note}" in (tmp_path / "page.html").read_text()
    asked = backtest(f, months(44), 3, checks=False)
    assert asked.notes == [short]
    assert asked.forecasts.equals(made.forecasts)


def test_tune_takes_what_fits():
    pytest.importorskip("optuna")
    made = tune(
        Forecaster(6, max_epochs=1, ensemble_size=1, season_length=12), months(40), trials=1
    )
    assert made.folds == 2
    with pytest.raises(TableError, match="Use at most 2 folds"):
        tune(Forecaster(6, max_epochs=1, season_length=12), months(33), trials=1, folds=3)
