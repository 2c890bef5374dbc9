"""The baseline: exact where the series is, blind to units, and no season in noise."""

import numpy as np
import pytest

from gatewise.forecast.models.residual import seasonal
from gatewise.forecast.models.residual.baseline import (
    describe,
    from_working,
    window_rows,
)
from gatewise.forecast.models.residual.seasonal import seasonal_means


def ahead(windows, season_length, scale, h=8):
    found = describe(windows, season_length, 0.8, scale)
    return from_working(found.ahead(h), found.centre, found.level, scale)


@pytest.mark.parametrize("season_length", [4, 7, 12, 24, 52])
def test_a_pure_season_goes_on(season_length):
    shape = 50 + 10 * np.sin(2 * np.pi * np.arange(season_length) / season_length)
    window = np.tile(shape, window_rows(season_length) // season_length)[None]
    np.testing.assert_allclose(
        ahead(window, season_length, "log", season_length)[0], shape, rtol=2e-3
    )


def test_a_week_of_days_goes_on():
    day = 50 + 10 * np.sin(2 * np.pi * np.arange(24) / 24)
    week = np.outer([1.0, 1.1, 1.2, 1.1, 1.0, 0.6, 0.4], day).ravel()
    window = np.tile(week, 6)[None]
    found = describe(window, 24, 0.8, "log", 168)
    made = from_working(found.ahead(168), found.centre, found.level, "log")[0]
    np.testing.assert_allclose(made, week, rtol=2e-3)
    assert found.z.shape == (1, window_rows(24))
    short = describe(window[:, :300], 24, 0.8, "log", 168)  # less than two weeks show none
    np.testing.assert_array_equal(short.season, np.tile(short.shrunk, 7))


@pytest.mark.parametrize("boxes", [(12, 2), (13, 1), (4, 4), (7, 7), (48, 2)])
def test_running_sums_are_those_of_the_weights(boxes, monkeypatch):
    z = np.random.default_rng(0).normal(size=(3, 60))
    direct = seasonal.moving(z, boxes)
    monkeypatch.setattr(seasonal, "_DIRECT", 0)
    np.testing.assert_allclose(seasonal.moving(z, boxes), direct, rtol=1e-12, atol=1e-13)


def test_the_unit_of_the_target_does_not_matter():
    y = np.random.default_rng(0).lognormal(size=(3, 60))
    np.testing.assert_allclose(ahead(1e6 * y, 12, "log"), 1e6 * ahead(y, 12, "log"), rtol=1e-9)
    walk = np.cumsum(np.random.default_rng(1).normal(size=(3, 60)), axis=1)
    moved = ahead(1000 * walk - 5e4, 12, "linear")
    np.testing.assert_allclose(moved, 1000 * ahead(walk, 12, "linear") - 5e4, rtol=1e-9)


def test_half_of_a_trend_goes_on():
    t = np.arange(30.0)
    found = describe(np.exp(0.01 * t)[None], 1, 0.8, "log")
    steps = np.diff(found.ahead(5)[0])
    np.testing.assert_allclose(steps, 0.005, rtol=1e-6)


def test_a_season_is_kept_as_far_as_it_is_no_noise():
    rng = np.random.default_rng(0)
    t = np.arange(96)
    noise = rng.normal(size=(200, 96))
    strength = seasonal_means(noise, 12, 0.8)[1]
    strong = seasonal_means(noise + 3 * np.sin(2 * np.pi * t / 12), 12, 0.8)[1]
    assert strength.mean() < 0.35
    assert strong.min() > 0.8


def test_short_and_flat_windows_have_a_forecast():
    for L in (1, 2, 3, 5, 9):
        for scale in ("log", "linear"):
            assert np.isfinite(ahead(np.full((2, L), 7.0), 4, scale)).all()
    np.testing.assert_allclose(ahead(np.full((1, 9), 7.0), 4, "log"), 7.0)
