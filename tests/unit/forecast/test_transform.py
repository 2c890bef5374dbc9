import numpy as np
import pytest

from gatewise.errors import TableError
from gatewise.forecast.features import transform as tf


def test_prices_sums_and_noise_get_their_own_transform():
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(size=300))
    assert tf.choose([np.exp(walk / 100)]) == "log-return"
    assert tf.choose([walk]) == "difference"
    assert tf.choose([rng.normal(size=300)]) == "none"
    assert tf.choose([np.ones(300)]) == "none"
    assert tf.choose([walk], "none") == "none"


def test_log_returns_of_values_that_are_not_positive_are_refused():
    with pytest.raises(TableError, match="goes down to -1: expected positive values"):
        tf.choose([np.array([1.0, -1.0])], "log-return")


@pytest.mark.parametrize("kind", ["log-return", "difference", "none"])
def test_the_working_scale_goes_both_ways(kind):
    values = np.array([1.0, 2.0, np.nan, 8.0])
    np.testing.assert_allclose(tf.from_working(tf.to_working(values, kind), kind), values)


def test_a_change_over_a_gap_counts_as_one_row_s():
    changes = tf.to_inputs(tf.to_working(np.array([1.0, np.nan, 8.0]), "log-return"), "log-return")
    np.testing.assert_allclose(changes, [np.nan, np.nan, np.log(8) / np.sqrt(2)])


def test_values_without_a_log_count_as_missing():
    assert np.isnan(tf.to_working(np.array([0.0, -1.0]), "log-return")).all()


def test_units_have_names():
    assert [tf.unit_of(k) for k in ("log-return", "difference", "none")] == [
        "log",
        "level",
        "level",
    ]


def test_a_column_with_a_daily_cycle_is_read_in_levels():
    t = np.arange(24 * 60)
    load = 100 + 0.05 * t + 20 * np.sin(2 * np.pi * t / 24)
    assert tf.choose([load]) == "log-return"
    assert tf.choose([load], season_length=24) == "none"
    walk = np.cumsum(np.random.default_rng(3).normal(size=24 * 400))
    assert tf.choose([walk], season_length=24) == "difference"


def test_spikes_are_tamed_and_released():
    rng = np.random.default_rng(0)
    values = rng.normal(size=500)
    assert tf.find_spikes([values]) is None
    assert tf.find_spikes([np.zeros(50), np.ones(1)]) is None
    assert tf.find_spikes([np.full(3, np.nan)]) is None
    values[[40, 200]] = 60.0, -30.0
    spikes = tf.find_spikes([values[:100], values[100:]])
    assert spikes is not None
    tamed = spikes.tame(values)
    assert np.abs(tamed).max() < 5
    np.testing.assert_allclose(spikes.release(tamed), values, atol=1e-9)


def test_beyond_what_was_seen_a_forecast_goes_on_straight():
    spikes = tf.Spikes(0.0, 1.0, 3.0)
    steps = np.diff(spikes.release(np.arange(3.0, 9.0)))
    np.testing.assert_allclose(steps, np.cosh(3.0))
    far = np.array([-500.0, 0.0, 500.0])
    np.testing.assert_allclose(spikes.release(spikes.tame(far)), far)
