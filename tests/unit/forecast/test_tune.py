import json

import numpy as np
import polars as pl
import pytest

from gatewise.errors import ConfigError, MissingExtraError, TableError
from gatewise.forecast import Forecaster, tune
from gatewise.forecast.data.table import choose_columns, read_panel
from gatewise.forecast.evaluation import tuning

from .conftest import SHOPS
from .simulated import random_walk, table

F = Forecaster(3, (90,), seed=4, max_epochs=2)


@pytest.fixture
def small(monkeypatch):
    """A space of quick trials."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    def space(_):
        return {
            "hidden_size": CategoricalDistribution((4, 8)),
            "dropout": FloatDistribution(0.0, 0.4),
            "max_epochs": CategoricalDistribution((0, 1)),
        }

    monkeypatch.setattr(tuning, "search_space", space)


@pytest.fixture
def losses(monkeypatch, small):
    """Set the loss of each trial instead of fitting: `losses(lambda config: ...)`."""

    def use(function):
        monkeypatch.setattr(tuning._Judge, "loss", lambda _, config, fold: function(config, fold))

    return use


def test_the_search_is_repeatable_and_silent(walk_table, small, capfd):
    seen = []
    runs = [
        tune(F, walk_table, trials=6, folds=2, seed=3, progress=lambda *a: seen.append(a))
        for _ in range(2)
    ]
    assert seen[:6] == [("tune", k, 6) for k in range(1, 7)]
    first, second = ([r | {"seconds": 0} for r in run.rows] for run in runs)
    assert json.dumps(first) == json.dumps(second)
    assert capfd.readouterr() == ("", "")
    made = runs[0]
    assert isinstance(made.trials, pl.DataFrame)
    assert made.trials.columns == [
        "trial", "state", "score", "folds", "seconds", "hidden_size", "dropout", "max_epochs",
    ]  # fmt: skip
    assert json.loads(json.dumps(made.to_dict(), allow_nan=False))["options"] == made.options
    assert "6 trials" in repr(made)


def test_the_first_trial_is_the_default_and_wins_ties(walk_table, losses):
    losses(lambda config, fold: 1.0)
    made = tune(F, walk_table, trials=5)
    assert made.rows[0]["hidden_size"] == F.config.hidden_size
    assert made.rows[0]["max_epochs"] == 2
    assert made.best.config == F.config
    assert made.score == made.default_score == 1.0


def test_the_best_options_are_found_and_the_rest_kept(walk_table, losses):
    def loss(config, fold):
        return 1 + abs((config.dropout or 0.1) - 0.3) + (config.hidden_size or 24) / 100

    losses(loss)
    made = tune(F, walk_table, trials=25)
    assert made.options["hidden_size"] == 4
    assert made.options["dropout"] == pytest.approx(0.3, abs=0.06)
    assert made.score < made.default_score
    config = made.best.config
    assert (config.prediction_length, config.levels, config.seed) == (3, (90,), 4)
    assert config.hidden_size == 4
    assert not made.best.is_fitted


def test_what_is_worse_than_the_median_is_given_up(walk_table, losses):
    losses(lambda config, fold: 1.0 if config.hidden_size != 8 else 9.0)
    made = tune(F, walk_table, trials=20, folds=3)
    states = {row["hidden_size"]: row["state"] for row in made.rows[8:]}
    assert states == {4: "complete", 8: "pruned"}
    assert all(row["folds"] < 3 for row in made.rows if row["state"] == "pruned")


def test_options_that_the_table_does_not_allow_are_failed_trials(walk_table, losses):
    def loss(config, fold):
        if config.hidden_size == 8:
            raise TableError("no log")
        return 1.0

    losses(loss)
    made = tune(F, walk_table, trials=12)
    assert {r["state"] for r in made.rows if r["hidden_size"] == 8} == {"failed"}
    assert made.to_dict()["trials"][-1]["score"] in (None, 1.0)


def test_validation_never_sees_the_holdout_nor_a_fit_its_window(walk_table, small):
    changed = walk_table.with_columns(y=pl.when(pl.col("ds") >= 100).then(99.0).otherwise("y"))
    runs = [tune(F, t, trials=2, folds=2, holdout=20) for t in (walk_table, changed)]
    assert [r["score"] for r in runs[0].rows] == [r["score"] for r in runs[1].rows]
    panel = read_panel(walk_table, choose_columns(walk_table))
    judge = tuning._Judge(F.config, panel, 2)
    assert [fold.cuts for fold in judge.origins] == [(114,), (117,)]
    later = walk_table.with_columns(y=pl.when(pl.col("ds") >= 114).then(1e3).otherwise("y"))
    other = tuning._Judge(F.config, read_panel(later, choose_columns(later)), 2)
    assert judge.baseline == other.baseline


def test_time_runs_out_between_trials(walk_table, losses):
    losses(lambda config, fold: 1.0)
    made = tune(F, walk_table, trials=50, timeout_s=1e-9)
    assert len(made.rows) == 1
    assert made.best.config == F.config


def test_several_series_with_every_kind_of_column(shops, small):
    made = tune(F, shops.to_pandas(), trials=2, folds=2, **SHOPS)
    assert list(made.trials["trial"]) == [0, 1]
    assert np.isfinite(made.score)


def test_the_real_space_is_of_options_that_exist():
    window, residual = tuning.search_space("window"), tuning.search_space("residual")
    assert {"hidden_size", "learning_rate", "context_length"} <= set(window)
    assert set(window) - set(residual) == {"context_length", "transform"}  # an ensemble reads none
    for name in window:
        assert hasattr(F.config, name)
    made = tune(Forecaster(2, max_epochs=1), random_walk(0, 80), trials=2, folds=1)
    assert len(made.rows) == 2


@pytest.mark.parametrize(
    "wrong", [{"trials": 0}, {"folds": 0}, {"holdout": -1}, {"timeout_s": 0}, {"trials": 2.5}]
)
def test_options_out_of_range_are_refused(walk_table, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        tune(F, walk_table, **wrong)


def test_short_tables_are_refused():
    data = table(np.random.default_rng(0).normal(size=30))
    with pytest.raises(TableError, match="held out"):
        tune(F, data, holdout=30)
    with pytest.raises(TableError, match="10 rows: expected at least 13 for 1 fold of 3 rows"):
        tune(F, data, holdout=20)


def test_a_missing_optuna_is_named(walk_table, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'gatewise\[tune\]'"):
        tune(F, walk_table)
