"""Ensembles: members are blind where they say so, and the same wherever they are trained."""

from dataclasses import replace

import numpy as np
import pytest

from gatewise.forecast.models.residual import ensemble as en
from gatewise.forecast.models.residual.calibration import unit_of
from gatewise.forecast.models.residual.histories import flatten
from gatewise.forecast.models.residual.members import forecasts

from .panels import panel, plan


def weights(member):
    return np.concatenate([v.numpy().ravel() for v in member.network.state_dict().values()])


def altered(given, series, start=0):
    """Other values in some series, from a row on."""
    values = given.values.copy()
    for s in series:
        values[given.first[s] + start : given.stop[s]] *= 3
    return replace(given, values=values)


def test_a_member_learns_nothing_from_the_series_it_is_blind_to():
    given, wanted = panel(100), plan(members=4)
    made = en.fit(given, wanted)
    fold = np.arange(0, 100, 4)  # member 0 is blind to these
    other = en.fit(altered(given, fold), wanted)
    np.testing.assert_array_equal(weights(made.members[0]), weights(other.members[0]))
    assert (weights(made.members[1]) != weights(other.members[1])).any()


@pytest.mark.parametrize("count", [2, 24])
def test_of_few_series_half_the_members_are_blind_to_the_last_rows(count):
    given, wanted = panel(count), plan(members=4)
    every = range(count)
    made, other = en.fit(given, wanted), en.fit(altered(given, every, start=40), wanted)
    same = [
        (weights(a) == weights(b)).all() for a, b in zip(made.members, other.members, strict=True)
    ]
    assert same == [False, True, True, False]


@pytest.mark.parametrize("count", [1, 2, 100])
def test_a_single_network_has_errors_too(count):
    given = panel(count)
    errors = en.fit(given, plan(members=1)).errors
    assert len(errors.values)
    assert np.isfinite(errors.values).any()


def test_of_many_series_some_members_are_blind_to_the_last_rows_of_all():
    """Shocks that series share are then not known from another one."""
    given, wanted = panel(100), plan(members=4)
    others = np.setdiff1d(np.arange(100), np.arange(1, 100, 4))  # member 1 is blind to these wholly
    made = en.fit(given, wanted)
    late = en.fit(altered(given, others, start=36), wanted)
    np.testing.assert_array_equal(weights(made.members[1]), weights(late.members[1]))
    assert (weights(made.members[0]) != weights(late.members[0])).any()
    errors = made.errors
    judged = np.isfinite(errors.values).all(1)
    assert set(errors.series[judged] % 4) == {1}
    assert errors.age.max() <= 12


def test_errors_reach_back_before_the_rows_that_members_are_blind_to():
    """They are the baseline's, in proportion: how errors grow is known from more rows so."""
    given, wanted = panel(3), plan(members=4)
    made = en.fit(given, wanted)
    assert set(made.errors.series) == {0, 1, 2}
    assert made.errors.age.max() == 24  # half of the rows; a quarter of them is held out
    at, ends = made.errors.series, given.rows[made.errors.series] - made.errors.age
    alike = list({member.reading: member for member in made.members}.values())
    baseline = np.median(forecasts(alike, given, at, ends, [0.0])[0], 0)
    actual = given.values[(given.first[at] + ends)[:, None] + np.arange(3)]
    missed = (actual - baseline) / unit_of(given, wanted, at, ends)[:, None]
    ratio = made.errors.values / missed
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-9)
    assert 0.5 < ratio[0, 0] <= 1.002  # the networks are left out where they are no better


def test_processes_do_not_change_the_numbers(monkeypatch):
    given, wanted = panel(), plan(members=2)
    alone = en.fit(given, wanted)
    monkeypatch.setattr(en, "_WORTH_PROCESSES", 0)
    together = en.fit(given, wanted, jobs=2)
    at = np.arange(24)
    np.testing.assert_array_equal(
        alone.points(given, at, given.rows), together.points(given, at, given.rows)
    )
    np.testing.assert_array_equal(alone.errors.values, together.errors.values)


def test_untrained_members_forecast_about_the_baseline():
    given = panel()
    made = en.fit(given, plan(members=1, steps=0))
    at = np.arange(24)
    zero = forecasts(made.members, given, at, given.rows, [0.0])[0, 0]
    np.testing.assert_allclose(made.points(given, at, given.rows), zero, rtol=0.1)


def test_training_lowers_the_loss():
    rng, t = np.random.default_rng(0), np.arange(80)  # the baseline goes on with half of a trend
    growing = [np.exp(0.03 * t + 0.01 * rng.normal(size=80)) for _ in range(40)]
    made = en.fit(flatten(growing, 4), plan(members=1, steps=60))
    losses = made.members[0].losses
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:5])


def test_related_panels_make_every_other_member_universal():
    related = [(panel(10, 60, 12, seed=1), 12, 1), (panel(9, 40, 1), 1, 1)]
    made = en.fit(panel(), plan(members=4), related)
    assert [m.reading.universal for m in made.members] == [False, True, True, False]
    at = np.arange(24)
    assert np.isfinite(made.points(panel(), at, panel().rows)).all()
    # Their errors are not asked for: the made series may hold what came.
    assert np.isfinite(made.errors.values).any()


def test_without_a_season_universal_networks_learn_farther_than_they_forecast():
    given, other = panel(24, season_length=1), panel(24, season_length=1, seed=1)
    asked = plan(members=4, season_length=1, distribution="student-t")
    made = en.fit(given, asked, [(other, 1, 1)])
    far = [m.network.shape.prediction_length for m in made.members if m.reading.universal]
    assert far == [24, 24]
    found = made.quantiles(given, np.arange(24), given.rows, (0.1, 0.5, 0.9))
    assert found.shape == (24, 3, 3)
    assert (np.diff(found, axis=2) > 0).all()


def test_usual_changes_are_over_the_longest_season_that_there_are_two_of():
    rng = np.random.default_rng(0)
    y = [rng.lognormal(size=rows) for rows in (13, 60)]
    given, asked = flatten(y, 4), plan(season_length=4, long_season_length=12)
    found = unit_of(given, asked, np.arange(2), given.rows) * given.size
    usual = [np.abs(v[lag:] - v[:-lag]).mean() for v, lag in zip(y, (4, 12), strict=True)]
    np.testing.assert_allclose(found, usual)


@pytest.mark.parametrize("count", [1, 30, 100])
def test_errors_come_from_rows_with_labels(count):
    made = en.fit(panel(count), plan(members=4))
    judged = np.isfinite(made.errors.values)
    assert judged.any()
    assert (judged.all(1) | ~judged.any(1)).all()
    assert 0 <= made.errors.shrinkage <= 1
    assert count < 100 or made.errors.shrinkage == 1
