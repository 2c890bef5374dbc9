"""No claims where there is nothing to find, claims where there is: the counts that matter."""

import numpy as np
import pytest

from gatewise.forecast import Forecaster, backtest, driver_effects
from gatewise.forecast.config import Config
from gatewise.forecast.data.table import choose_columns, read_panel
from gatewise.forecast.models.base import forecast_at
from gatewise.forecast.models.fit import fit_panel

from .simulated import (
    autoregression,
    hourly_prices,
    planted,
    random_walk,
    stationary,
    threshold,
)


def claims_on_walks(seeds, folds=100):
    return sum(
        backtest(
            Forecaster(1, seed=s, max_epochs=8), random_walk(s, 400), folds, refit_every=folds
        ).skill
        for s in seeds
    )


def claims_on_autoregressions(seeds, folds=2500):
    """The context is longer than the default: a window's mean is what such a series reverts to."""
    made = [
        backtest(
            Forecaster(1, seed=s, max_epochs=10, context_length=64),
            stationary(s), folds, refit_every=folds,
        )
        for s in seeds
    ]  # fmt: skip
    assert {m.best_baseline for m in made} == {"linear"}
    return sum(m.skill for m in made)


def signs_found(seeds):
    found = 0
    for s in seeds:
        f = Forecaster(5, seed=s).fit(planted(s), past=["up", "down", "noise"])
        signs = {e.name: e.sign for e in driver_effects(f)}
        found += signs["up"] == "+" and signs["down"] == "-"
    return found


def test_random_walks_are_not_claimed():
    assert claims_on_walks(range(6)) <= 1


def test_an_autoregression_is_claimed_though_linear_is_the_truth():
    assert claims_on_autoregressions([0]) == 1


def test_planted_signs_are_found():
    assert signs_found(range(4)) == 4


def test_what_only_a_network_can_see_is_claimed():
    made = backtest(Forecaster(1), threshold(0), folds=24, refit_every=24, past=["a", "b"])
    assert made.skill
    assert made.verdict.startswith("Skill")


def test_an_autoregression_is_forecast_nearly_as_well_as_by_its_truth():
    data = autoregression(0, rows=5000, phi=0.3)
    panel = read_panel(data, choose_columns(data))
    fitted = fit_panel(Config(1, max_epochs=5), panel.before([4000]))
    ends = range(4000, 5000)
    made = forecast_at(fitted, panel, [0] * len(ends), ends)[:, 0]
    y, change = panel.series[0].target, np.diff(panel.series[0].target, prepend=0.0)
    mine = np.abs(y[4000:] - made[:, fitted.config.probabilities.index(0.5)]).mean()
    assert mine <= 1.01 * np.abs(change[4000:] - 0.3 * change[3999:-1]).mean()


def test_drivers_known_ahead_of_hourly_prices_have_their_signs():
    data = hourly_prices(0)
    f = Forecaster(24, max_epochs=5).fit(data, future=["load", "wind"])
    assert f.fitted.transforms == {"y": "none", "load": "none", "wind": "none"}
    assert f.fitted.model.encoder.spikes is not None
    assert {e.name: e.sign for e in driver_effects(f)} == {"load": "+", "wind": "-"}
    made = backtest(f, data, folds=6, refit_every=6, future=["load", "wind"], checks=False)
    assert made.scores["gatewise"]["mae"] < 0.6 * made.scores["seasonal naive"]["mae"]


@pytest.mark.slow
def test_two_hundred_random_walks_are_claimed_as_often_as_the_level_allows():
    assert claims_on_walks(range(200)) <= 16  # 5 % and 3 points


@pytest.mark.slow
def test_autoregressions_are_claimed_in_nineteen_of_twenty():
    assert claims_on_autoregressions(range(20)) >= 19


@pytest.mark.slow
def test_planted_signs_are_found_in_nineteen_of_twenty():
    assert signs_found(range(20)) >= 19
