"""No claims where there is nothing to find, claims where there is: the counts that matter."""

import pytest

from gatewise.forecast import Forecaster, backtest, driver_effects

from .simulated import planted, random_walk, threshold


def claims_on_walks(seeds, rows=None, **options):
    return sum(
        backtest(Forecaster(5, seed=s), random_walk(s, rows), folds=8, **options).skill
        for s in seeds
    )


def signs_found(seeds):
    found = 0
    for s in seeds:
        f = Forecaster(5, seed=s).fit(planted(s), past=["up", "down", "noise"])
        signs = {e.name: e.sign for e in driver_effects(f)}
        found += signs["up"] == "+" and signs["down"] == "-"
    return found


def test_random_walks_are_not_claimed():
    assert claims_on_walks(range(10), rows=300, refit_every=8) <= 2


def test_planted_signs_are_found():
    assert signs_found(range(4)) == 4


def test_what_only_a_network_can_see_is_claimed():
    made = backtest(Forecaster(1), threshold(0), folds=24, refit_every=24, past=["a", "b"])
    assert made.skill
    assert made.verdict.startswith("Skill")


@pytest.mark.slow
def test_a_hundred_random_walks_are_claimed_at_most_ten_times():
    assert claims_on_walks(range(100)) <= 10


@pytest.mark.slow
def test_planted_signs_are_found_in_nineteen_of_twenty():
    assert signs_found(range(20)) >= 19
