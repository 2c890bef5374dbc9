import numpy as np
import pytest

from gatewise.forecast import baselines

P = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)


def test_each_baseline_is_what_it_says():
    y = 10 + np.tile([0.0, 1, 2, 3], 15) + 0.01 * np.random.default_rng(0).normal(size=60)
    made = baselines.univariate(y, 4, 4, P)
    assert list(made) == ["last value", "drift", "seasonal naive", "AutoETS"]
    np.testing.assert_allclose(made["last value"][:, 3], y[-1])
    np.testing.assert_allclose(made["seasonal naive"][:, 3], y[-4:])
    for quantiles in made.values():
        assert quantiles.shape == (4, 7)
        assert (np.diff(quantiles, axis=1) >= 0).all()


def test_gaps_and_short_or_constant_histories_are_forecast():
    gaps = baselines.univariate(np.array([np.nan, 1, np.nan, 2, 3, np.nan]), 2, 1, P)
    assert gaps["last value"][0, 3] == 3.0
    short = baselines.univariate(np.array([1.0, 2.0]), 3, 12, P)
    assert all(np.isfinite(q).all() for q in short.values())
    assert "seasonal naive" in short
    constant = baselines.univariate(np.ones(30), 3, 1, P)
    np.testing.assert_allclose(constant["AutoETS"][:, 3], 1.0)


def linear(inputs, working, end, **options):
    given = {"prediction_length": 3, "centred": True, "future": 0, "season": 1, "probabilities": P}
    return baselines.linear(inputs, working, end, **(given | options))


def test_least_squares_finds_a_lagged_driver_and_a_known_one():
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(2, 303))
    y = np.concatenate([[0.0], 2 * x[:-1]]) + 3 * z + 0.1 * rng.normal(size=303)
    made = linear(np.column_stack([y, x, z]), y, 300, future=1)
    assert made[0, 3] == pytest.approx(2 * x[299] + 3 * z[300], abs=0.1)
    assert made[2, 3] == pytest.approx(3 * z[302], abs=1.0)


def test_least_squares_reads_no_row_after_the_origin():
    rng = np.random.default_rng(0)
    y, x = rng.normal(size=(2, 200))
    changed = np.where(np.arange(200) < 190, [y, x], 99.0)
    a = linear(np.column_stack([y, x]), y, 190)
    b = linear(changed.T.copy(), changed[0].copy(), 190)
    assert a.tobytes() == b.tobytes()


def test_least_squares_starts_from_the_last_value_for_changes():
    level = np.cumsum(np.ones(100))
    change = np.concatenate([[np.nan], np.diff(level)])
    made = linear(change[:, None], level, 100, centred=False)
    np.testing.assert_allclose(made[:, 3], [101, 102, 103])


def test_least_squares_with_too_few_rows_takes_the_mean():
    y = np.array([1.0, 3.0, 1.0, 3.0, 2.0])
    assert np.isfinite(linear(y[:, None], y, 5)).all()
    assert np.isfinite(linear(y[:2, None], y[:2], 2)).all()
