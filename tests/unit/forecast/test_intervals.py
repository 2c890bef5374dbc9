"""Intervals of simulated series cover as promised, and are not much wider than they must be."""

import numpy as np
import pytest

from gatewise.forecast import Forecaster, datasets

from .interval_families import FAMILIES, measured, summary

QUICK = [("walk", "window"), ("seasonal", "pretrained"), ("panel", "pretrained")]
LONG = [(family, "auto") for family in FAMILIES] + [
    ("walk", "pretrained"), ("seasonal", "pretrained"), ("garch", "pretrained"),
    ("panel", "pretrained"), ("seasonal", "window"),
]  # fmt: skip
"""What a table is forecast with if nothing is asked for, and the networks of the package."""


def judged(family, model, seeds, points, wider=1.35):
    """Measure, and check coverage within `points` of 80 and 95 %, and median widths."""
    found = [measured(family, seed, model) for seed in seeds]
    (row,) = summary(found).iter_rows(named=True)
    assert row["coverage-80"] == pytest.approx(0.80, abs=points[0])
    assert row["coverage-95"] == pytest.approx(0.95, abs=points[1])
    assert max(row["width-80"], row["width-95"]) <= wider
    return row


@pytest.mark.parametrize(("family", "model"), QUICK)
def test_some_series_of_a_family_are_covered(family, model):
    row = judged(family, model, range(8), (0.10, 0.08), wider=1.5)
    assert family == "seasonal" or row["falls-95"] == 0


def test_a_short_homoscedastic_season_has_its_own_width_at_every_step():
    widths = []
    for seed in range(6):
        made = Forecaster.pretrained(12).fit(FAMILIES["seasonal"](seed).table).predict()
        widths.append((made["hi-95"] - made["lo-95"]).to_numpy())
    assert (np.diff(widths, axis=1) >= -1e-9).all()
    assert np.median(widths) == pytest.approx(7.84, rel=0.3)
    assert np.min(widths) > 5
    assert np.max(widths) < 13


@pytest.mark.slow
@pytest.mark.parametrize(("family", "model"), LONG)
def test_two_hundred_series_of_a_family_are_covered(family, model):
    row = judged(family, model, range(200), (0.04, 0.03))
    assert family != "walk" or row["falls-80"] == row["falls-95"] == 0


@pytest.mark.slow
def test_the_demo_s_interval_ends_where_twenty_years_have_been():
    data = datasets.load("sp500")
    y = data.table[data.target].to_numpy()
    change = y[20:] / y[:-20] - 1
    f = Forecaster(20).fit(data.table, time=data.time, target=data.target, past=data.past)
    made = f.predict()
    low, high = (made[name].to_numpy() / y[-1] - 1 for name in ("lo-95", "hi-95"))
    assert 1.25 * change.min() < low.min()
    assert high.max() < 1.25 * change.max()
    width = (made["hi-95"] - made["lo-95"]).to_numpy()
    assert (np.diff(width) >= -1e-9).all()
