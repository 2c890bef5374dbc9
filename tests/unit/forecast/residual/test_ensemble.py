"""Ensembles: members are blind where they say so, and the same wherever they are trained."""

from dataclasses import replace

import numpy as np
import pytest

from gatewise.forecast.residual import ensemble as en
from gatewise.forecast.residual.histories import flatten
from gatewise.forecast.residual.members import forecasts

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
    given, wanted = panel(), plan(members=4)
    made = en.fit(given, wanted)
    fold = np.arange(0, 24, 4)  # member 0 is blind to these
    other = en.fit(altered(given, fold), wanted)
    np.testing.assert_array_equal(weights(made.members[0]), weights(other.members[0]))
    assert (weights(made.members[1]) != weights(other.members[1])).any()


def test_of_few_series_half_the_members_are_blind_to_the_last_rows():
    given, wanted = panel(2), plan(members=4)
    made, other = en.fit(given, wanted), en.fit(altered(given, [0, 1], start=40), wanted)
    same = [
        (weights(a) == weights(b)).all() for a, b in zip(made.members, other.members, strict=True)
    ]
    assert same == [False, True, True, False]


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
    zero = forecasts(made.members, given, at, given.rows, trust=0.0)[0]
    np.testing.assert_allclose(made.points(given, at, given.rows), zero, rtol=0.1)


def test_training_lowers_the_loss():
    rng, t = np.random.default_rng(0), np.arange(80)  # the baseline goes on with half of a trend
    growing = [np.exp(0.03 * t + 0.01 * rng.normal(size=80)) for _ in range(40)]
    made = en.fit(flatten(growing, 4), plan(members=1, steps=60))
    losses = made.members[0].losses
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:5])


def test_related_panels_make_every_other_member_universal():
    made = en.fit(panel(), plan(members=4), [(panel(10, 60, 12, seed=1), 12), (panel(9, 40, 1), 1)])
    assert [m.reading.universal for m in made.members] == [False, True, True, False]
    at = np.arange(24)
    assert np.isfinite(made.points(panel(), at, panel().rows)).all()
    # Their errors are not asked for: the made series may hold what came.
    assert np.isfinite(made.errors.values).any()


@pytest.mark.parametrize("count", [1, 30])
def test_errors_come_from_rows_with_labels(count):
    made = en.fit(panel(count), plan(members=4))
    assert np.isfinite(made.errors.values).all()
    assert 0 <= made.errors.trust <= 1
    assert count == 1 or made.errors.trust == 1
