"""What an origin reads: the rows before it, the same whoever is described beside it."""

from dataclasses import fields, replace

import numpy as np
import pytest

from gatewise.forecast.models.residual.origin_features import Reading, describe_origins

from .panels import panel

READINGS = [
    Reading(4, 3, "log"), Reading(4, 3, "linear"), Reading(1, 3, "log"),
    Reading(4, 3, "log", universal=True), Reading(1, 3, "linear", universal=True),
    Reading(4, 3, "log", long_season_length=12),
    Reading(4, 3, "log", universal=True, long_season_length=8),
]  # fmt: skip


@pytest.mark.parametrize("reading", READINGS)
def test_no_row_at_or_after_the_origin_is_read(reading):
    given = panel(3)
    series, ends = np.array([0, 1, 2, 0]), np.array([20, 9, 47, 1])
    before = describe_origins(given, reading, series, ends)
    values = given.values.copy()
    for s in range(3):
        values[given.first[s] + ends[series == s].max() : given.stop[s]] = 1e5
    after = describe_origins(replace(given, values=values), reading, series, ends)
    for field in fields(before):
        np.testing.assert_array_equal(getattr(before, field.name), getattr(after, field.name))


@pytest.mark.parametrize("reading", READINGS)
def test_an_origin_is_described_the_same_alone(reading):
    given = panel(5)
    series, ends = np.repeat(np.arange(5), 40), np.tile(np.arange(5, 45), 5)
    together = describe_origins(given, reading, series, ends)
    for at in (0, 57, 199):
        alone = describe_origins(given, reading, series[at : at + 1], ends[at : at + 1])
        np.testing.assert_allclose(alone.inputs[0], together.inputs[at], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(alone.base[0], together.base[at], rtol=1e-5, atol=1e-6)
    assert together.inputs.shape == (200, reading.inputs)
    assert together.channels.shape == (200, 3, reading.channels)
    assert np.isfinite(together.inputs).all()
    assert np.isfinite(together.channels).all()
