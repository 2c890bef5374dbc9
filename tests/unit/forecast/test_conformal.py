import numpy as np
import pytest

from gatewise.forecast.uncertainty.conformal import (
    adaptive_intervals,
    residual_quantiles,
    split_conformal,
)

P = (0.025, 0.1, 0.5, 0.9, 0.975)


def test_a_new_residual_falls_below_each_quantile_as_often_as_promised():
    rng = np.random.default_rng(0)
    below = [
        rng.exponential(size=(400, 1)) < residual_quantiles(rng.exponential(size=(39, 1)), P)
        for _ in range(500)
    ]
    np.testing.assert_allclose(np.mean(below, axis=(0, 1)), P, atol=0.01)


def test_each_side_has_its_own_reach():
    skewed = np.random.default_rng(0).exponential(size=(4000, 1))
    made = residual_quantiles(skewed, P)[0]
    np.testing.assert_allclose(made, -np.log1p(-np.array(P)), rtol=0.1)


def test_steps_with_few_residuals_borrow_from_their_neighbours():
    residuals = np.arange(5.0)[None, :].repeat(13, 0)  # step k always misses by k
    made = residual_quantiles(residuals, P)
    assert made[2].tolist() == [1, 1, 2, 3, 3]  # 39 residuals: those of steps 1, 2 and 3
    assert made[0].min() == 0
    assert made[4].max() == 4
    enough = residual_quantiles(residuals.repeat(3, 0), P)
    np.testing.assert_array_equal(enough, np.arange(5.0)[:, None].repeat(5, 1))


def test_missing_residuals_drop_out():
    assert residual_quantiles(np.full((3, 2), np.nan), P).tolist() == [[0.0] * 5] * 2
    residuals = np.random.default_rng(0).normal(size=(60, 1))
    gaps = np.concatenate([residuals, np.full((9, 1), np.nan)])
    np.testing.assert_array_equal(residual_quantiles(gaps, P), residual_quantiles(residuals, P))


def test_the_scale_of_each_window_stretches_its_interval():
    residuals = np.random.default_rng(0).normal(size=(99, 2))
    made = split_conformal(np.array([[1.0, 2.0]]), np.array([[1.0, 3.0]]), residuals, P)
    q = residual_quantiles(residuals, P)
    np.testing.assert_allclose(made[0], [1 + q[0], 2 + 3 * q[1]])


def covered(made, y, keep):
    return ((made.low <= y) & (y <= made.high))[keep].mean()


@pytest.mark.parametrize("level", [80, 95])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_coverage_holds_in_the_long_run_while_the_spread_drifts(level, seed):
    n = 3000
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n) * np.exp(np.sin(np.arange(n) / 300) + np.arange(n) / n)
    edge = np.full(n, {80: 1.2816, 95: 1.96}[level])
    made = adaptive_intervals(-edge, edge, y, np.arange(n), level)
    before = (np.abs(y) <= edge)[made.usable].mean()
    assert before < level / 100 - 0.1
    assert covered(made, y, made.usable) == pytest.approx(level / 100, abs=0.015)


def test_good_intervals_stay_good():
    y = np.random.default_rng(0).normal(size=4000)
    edge = np.full(4000, 1.2816)
    made = adaptive_intervals(-edge, edge, y, np.arange(4000) // 4, 80)
    assert covered(made, y, made.usable) == pytest.approx(0.8, abs=0.015)
    assert np.mean(made.high - made.low) == pytest.approx(2 * 1.2816, rel=0.05)


def test_an_origin_knows_only_windows_that_ended_before_it():
    rng = np.random.default_rng(0)
    y, origin = rng.normal(size=400), np.arange(400) // 4
    edge = np.ones(400)
    for lag in (1, 3):
        whole = adaptive_intervals(-edge, edge, y, origin, 80, lag=lag)
        at = 60
        later = np.where(origin > at - lag, 50.0, y)
        changed = adaptive_intervals(-edge, edge, later, origin, 80, lag=lag)
        seen = origin <= at
        assert whole.low[seen].tobytes() == changed.low[seen].tobytes()
        assert whole.alpha[: at + 1].tobytes() == changed.alpha[: at + 1].tobytes()
        assert whole.high[-1] != changed.high[-1]


def test_with_too_little_to_learn_from_nothing_moves():
    edge = np.ones(8)
    made = adaptive_intervals(-edge, edge, np.full(8, 9.0), np.arange(8) // 4, 95)
    assert not made.usable.any()
    np.testing.assert_array_equal(made.high, edge)
