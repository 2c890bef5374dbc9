import numpy as np
import pytest

from gatewise.forecast.uncertainty.conformal import adaptive_intervals, stretches, widening

P = (0.025, 0.1, 0.5, 0.9, 0.975)
NORMAL = np.array([-1.96, -1.2816, 0.0, 1.2816, 1.96])


def walks(count, h=20, seed=0):
    """Errors of overlapping windows of a random walk over their scale, and normal quantiles."""
    changes = np.random.default_rng(seed).normal(size=count + h)
    path = np.concatenate([[0.0], np.cumsum(changes)])
    ahead = path[np.arange(count)[:, None] + np.arange(1, h + 1)] - path[:count, None]
    return ahead / np.sqrt(np.arange(1, h + 1)), np.broadcast_to(NORMAL, (count, h, 5))


def test_honest_quantiles_of_many_windows_stay():
    scores, quantiles = walks(20_000)
    np.testing.assert_allclose(stretches(quantiles, scores, P, 2000.0), 1, atol=0.05)


def test_overlapping_windows_do_not_stretch_to_their_maximum():
    made = [stretches(q, s, P, 60 / 10) for s, q in (walks(41, seed=i) for i in range(200))]
    assert np.quantile(made, 0.95) < 1.6
    assert np.median(made) == pytest.approx(1.1, abs=0.1)


def test_each_side_has_its_own_stretch_where_there_are_errors_enough():
    scores, quantiles = walks(4000, h=1)
    skewed = np.where(scores > 0, 3 * scores, scores)
    np.testing.assert_allclose(stretches(quantiles, skewed, P, 4000.0), [1, 1, 1, 3, 3], rtol=0.1)
    shared = stretches(quantiles, skewed, P, 30.0)
    np.testing.assert_array_equal(shared, shared[::-1])


def test_without_errors_nothing_is_stretched():
    scores, quantiles = walks(3)
    assert stretches(quantiles, np.full_like(scores, np.nan), P, 1.0).tolist() == [1.0] * 5


def test_widths_do_not_fall_with_the_step():
    rng = np.random.default_rng(0)
    quantiles = np.sort(rng.normal(size=(7, 12, 5)), axis=2)
    unit = 1 + rng.random(12)
    made = widening(quantiles, unit)
    away = (made - made[:, :, 2:3]) * unit[:, None]
    assert (np.diff(np.abs(away), axis=1) >= -1e-12).all()
    assert (np.abs(away) >= np.abs(quantiles - quantiles[:, :, 2:3]) * unit[:, None] - 1e-12).all()
    np.testing.assert_array_equal(made[:, :, 2], quantiles[:, :, 2])


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


def test_intervals_of_no_width_do_not_spoil_the_others():
    rng = np.random.default_rng(0)
    y, origin = rng.normal(size=600), np.arange(600)
    edge = np.where(origin % 7 == 0, 0.0, 0.64)  # as of a series that stood still
    made = adaptive_intervals(-edge, edge, y, origin, 80)
    assert np.isfinite(made.low).all()
    assert np.isfinite(made.high).all()
    wide = (edge > 0) & (origin > 100)
    assert 0.74 < ((made.low <= y) & (y <= made.high))[wide].mean() < 0.86
    assert (made.high == made.low)[edge == 0].all()
