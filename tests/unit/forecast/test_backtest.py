import json

import numpy as np
import polars as pl
import pytest

from gatewise.errors import ConfigError, TableError
from gatewise.forecast import Forecaster, backtest
from gatewise.forecast.data.table import choose_columns, read_panel
from gatewise.forecast.evaluation.folds import rolling_origins
from gatewise.forecast.evaluation.leaks import LeakCheck
from gatewise.forecast.evaluation.metrics import DEFINITIONS
from gatewise.forecast.evaluation.result import verdict
from gatewise.forecast.evaluation.significance import DieboldMariano

from .conftest import SHOPS
from .simulated import autoregression, random_walk


@pytest.fixture(scope="module")
def made(shops):
    return backtest(Forecaster(3, max_epochs=4), shops, folds=4, **SHOPS)


def test_metrics_have_a_row_per_model(made):
    assert isinstance(made.metrics, pl.DataFrame)
    assert made.metrics["model"].to_list() == [
        "gatewise",
        "last value",
        "mean",
        "drift",
        "seasonal naive",
        "AutoETS",
        "linear",
    ]
    assert made.metrics.columns == [
        "model", "mae", "mse", "rmse", "mase", "smape", "mape", "mae-level", "wql",
        "coverage-80", "winkler-80", "coverage-95", "winkler-95", "wis", "mse_ratio", "dm_p",
        "dm_p_holm",
    ]  # fmt: skip
    assert np.isfinite(made.metrics.drop("model").to_numpy()).all()
    assert made.scores[made.naive]["mse_ratio"] == 1.0
    assert {name.split("-")[0] for name in made.metrics.columns[1:]} <= set(DEFINITIONS)


def test_forecasts_stand_beside_what_came(made, shops):
    assert made.forecasts.columns[:6] == ["shop", "month", "origin", "fold", "step", "actual"]
    joined = made.forecasts.join(shops, on=["shop", "month"])
    assert len(joined) == len(made.forecasts)
    assert joined["actual"].equals(joined["sales"])
    assert made.forecasts["fold"].n_unique() == 4
    worst = (made.forecasts["forecast"] - made.forecasts["actual"]).abs().mean()
    assert worst == pytest.approx(made.scores["gatewise"]["mae-level"])


def test_the_baselines_columns_are_their_forecasts(made, shops):
    first = made.forecasts.filter(pl.col("step") == 1, pl.col("shop") == "s0")
    before = shops.filter(pl.col("shop") == "s0").with_columns(
        month=pl.col("month").shift(-1), last=pl.col("sales")
    )
    joined = first.join(before, on="month")
    np.testing.assert_allclose(joined["last value"], joined["last"])


def test_models_are_compared_with_a_correction_for_their_number(made):
    raw = sorted(test.p_value for test in made.tests.values())
    adjusted = sorted(test.p_adjusted for test in made.tests.values())
    assert adjusted[0] == pytest.approx(min(1, raw[0] * len(raw)))
    assert all(a >= p for a, p in zip(adjusted, raw, strict=True))
    assert made.scores["linear"]["dm_p_holm"] == made.tests["linear"].p_adjusted
    assert made.naive in ("last value", "mean")


def test_a_backtest_can_be_written_as_json(made):
    text = json.dumps(made.to_dict(), allow_nan=False)
    again = json.loads(text)
    assert again["verdict"] == made.verdict
    assert again["metrics"][0]["model"] == "gatewise"
    assert len(again["folds"]) == 4
    assert made.verdict in repr(made)
    assert sum(made.pit["observed"]) == pytest.approx(1)


def test_series_share_one_timeline(shops):
    panel = read_panel(shops, choose_columns(shops, **SHOPS))
    folds = rolling_origins(panel, Forecaster(3).config, 4, 3)
    for fold in folds:
        for s, cut in zip(panel.series, fold.cuts, strict=True):
            assert (s.time[:cut] < fold.start).all()
            assert (s.time[cut:] >= fold.start).all()
    assert panel.timeline()[-3] == folds[-1].start


def test_processes_and_repetition_do_not_change_the_numbers(walk_table):
    f = Forecaster(3, max_epochs=2, threads=2)
    runs = [
        backtest(f, walk_table.to_pandas(), folds=2, checks=False, n_jobs=jobs)
        for jobs in (1, 1, None)
    ]
    assert runs[0].forecasts.equals(runs[1].forecasts)
    assert runs[0].forecasts.equals(runs[2].forecasts)
    assert runs[0].checks == []
    assert "No verdict" in runs[0].verdict


def test_origins_may_be_one_row_apart(walk_table):
    seen = []
    f = Forecaster(3, max_epochs=1)
    made = backtest(
        f, walk_table, folds=5, refit_every=5, step=1, progress=lambda *a: seen.append(a)
    )
    assert made.forecasts.group_by("fold").len()["len"].to_list() == [3] * 5
    assert made.tests["last value"].origins == 5
    assert seen == [("backtest", 5, 5), ("checks", 1, 2), ("checks", 2, 2)]


def test_losses_of_prices_are_on_the_log_scale():
    data = random_walk(0, 150)
    made = backtest(Forecaster(3, max_epochs=1), data, folds=3, checks=False)
    assert made.unit == "log"
    middle = made.forecasts
    error = (middle["actual"].log() - middle["forecast"].log()).abs().mean()
    assert made.scores["gatewise"]["mae"] == pytest.approx(error, rel=1e-5)


def test_a_price_that_falls_below_zero_later_is_scored_on_its_level():
    y = random_walk(0, 150)["y"].to_numpy().copy()
    y[-4:] -= 100
    data = pl.DataFrame({"ds": range(150), "y": y})
    assert backtest(Forecaster(3, max_epochs=1), data, folds=3, checks=False).unit == "level"


def test_missing_targets_are_not_scored(walk_table):
    data = walk_table.with_columns(y=pl.when(pl.col("ds") == 118).then(None).otherwise(pl.col("y")))
    made = backtest(Forecaster(3, max_epochs=1), data, folds=3, checks=False)
    assert len(made.forecasts) == 8
    gone = walk_table.with_columns(y=pl.when(pl.col("ds") > 110).then(None).otherwise(pl.col("y")))
    with pytest.raises(TableError, match="nothing to score"):
        backtest(Forecaster(3, max_epochs=1), gone, folds=3, checks=False)


def test_options_out_of_range_and_short_tables_are_refused(walk_table):
    f = Forecaster(20)
    for wrong in ({"folds": 0}, {"refit_every": 0}, {"step": 0}):
        with pytest.raises(ConfigError, match="at least 1"):
            backtest(f, walk_table, **wrong)
    with pytest.raises(TableError, match=r"120 rows: at most 3 folds fit|120 rows: expected at"):
        backtest(f, walk_table, folds=8)


def test_dependent_changes_are_found():
    made = backtest(Forecaster(1), autoregression(0, 500, 0.8), folds=40, refit_every=20)
    assert made.tests["last value"].p_value < 0.05
    assert all(c.passed for c in made.checks)
    assert made.direction.hit_rate > made.direction.majority_rate


def dm(p, n=20, worse=0.5, lag=0):
    return DieboldMariano(-1.0, p, n, lag, worse, p, worse)


GOOD, BAD = [LeakCheck("a", True, "")], [LeakCheck("a", False, "It moved.")]
NAIVES = ("last value", "mean")
ERRORS = {"gatewise": 0.7, "last value": 1.2, "mean": 1.0, "linear": 0.7}


def said(checks, linear, mean=0.02, **errors):
    tests = {"last value": dm(0.01), "mean": dm(mean), "linear": linear}
    return verdict(checks, tests, NAIVES, "linear", ERRORS | errors)


def test_skill_is_over_both_naive_forecasts():
    sentence, skill = said(GOOD, dm(0.4))
    assert skill
    assert sentence == (
        "Skill: better than the last value and the mean (DM p = 0.020, adjusted 0.020, 20 "
        "origins); the absolute error is 30.0 % lower than the mean's. Not shown to be better than "
        "the best baseline, linear (adjusted p = 0.40)."
    )
    sentence, skill = said(GOOD, dm(0.4), mean=0.3)
    assert not skill
    assert sentence.startswith("No evidence of skill over the mean (DM p = 0.30, adjusted 0.30")


def test_the_verdict_tells_how_it_stands_to_the_best_baseline():
    assert said(GOOD, dm(0.0001))[0].endswith(
        "Better than the best baseline, linear (adjusted p < 0.001)."
    )
    sentence, skill = said(GOOD, dm(0.99, worse=0.01))
    assert skill
    assert sentence.endswith("Worse than the best baseline, linear (adjusted p = 0.010).")
    assert "Worse than the best baseline" in said(GOOD, dm(0.99, worse=0.01), mean=0.3)[0]
    alone = verdict(GOOD, {n: dm(0.01) for n in NAIVES}, NAIVES, "mean", ERRORS)
    assert alone[0].endswith("than the mean's. No baseline is better.")


def test_the_verdict_claims_nothing_without_the_checks_and_enough_origins():
    assert said([], dm(0.01))[1] is False
    assert said([], dm(0.01))[0].endswith("The leak checks were not run.")
    assert said(BAD, dm(0.01)) == ("Not to be trusted: the check 'a' failed. It moved.", False)
    assert "1 more failed" in said(BAD * 2, dm(0.01))[0]
    sentence, skill = verdict(
        GOOD, {"last value": dm(0.61), "drift": dm(0.4)}, ("last value", "drift"), "last value",
        {"gatewise": 1.1, "last value": 1.0, "drift": 1.2},
    )  # fmt: skip
    assert sentence == (
        "No evidence of skill over the last value (DM p = 0.61, adjusted 0.61, 20 origins): the "
        "absolute error is 10.0 % higher than the last value's."
    )
    assert not skill
    perfect = verdict(
        GOOD, {"last value": dm(1.0)}, ["last value"], "last value",
        {"gatewise": 0.0, "last value": 0.0},
    )  # fmt: skip
    assert "the absolute error is no lower than the last value's" in perfect[0]
    few = {n: dm(0.001, 10, lag=2) for n in NAIVES}
    assert "too few for a test. Use at least 16" in verdict(GOOD, few, NAIVES, "mean", ERRORS)[0]
