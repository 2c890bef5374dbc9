"""No training label reaches the test window: series of different ends, rare refits, short steps."""

import numpy as np
import polars as pl
import pytest

from gatewise.forecast import Forecaster, backtest
from gatewise.forecast.evaluation import folds
from gatewise.forecast.models import fit as fitting
from gatewise.forecast.models.window import encoder as features
from gatewise.forecast.models.window.windows import assemble, split

from .conftest import SHOPS, several

H = 3


@pytest.fixture
def fits(monkeypatch):
    """Every panel that a network is fitted to."""
    seen, honest = [], fitting.fit_panel

    def spy(config, panel, progress=None):
        seen.append(panel)
        return honest(config, panel, progress)

    monkeypatch.setattr(folds, "fit_panel", spy)
    return seen


@pytest.mark.parametrize(("refit_every", "step"), [(1, H), (2, H), (3, 1), (6, 2)])
def test_no_label_of_a_fit_lies_in_a_window_that_uses_it(fits, refit_every, step):
    table = several((70, 60, 52))  # their ends are months apart
    f = Forecaster(H, max_epochs=1)
    made = backtest(f, table, folds=6, refit_every=refit_every, step=step, checks=False, **SHOPS)
    assert len(fits) == -(-6 // refit_every)
    for k, fold in enumerate(made.folds):
        panel = fits[k // refit_every]
        start = np.datetime64(fold["start"])
        assert fold["fitted_before"] == made.folds[k - k % refit_every]["start"]
        encoded = features.fit_encoder(panel).encode(panel)
        parts = split(encoded, H, 32)
        for part in (parts.train, parts.validation):
            windows = assemble(encoded, *part[:2], 4, H, limits=part[2])
            for s, end, weights in zip(*part[:2], windows.weights, strict=True):
                labels = end + np.flatnonzero(weights)
                assert (panel.series[s].time[labels] < start).all()
        for s in panel.series:
            assert (s.time < start).all()


@pytest.mark.parametrize(("refit_every", "step"), [(2, H), (4, 1)])
def test_what_came_after_the_fit_changes_no_forecast_of_the_first_window(refit_every, step):
    y = 50 + np.cumsum(np.random.default_rng(3).normal(size=120))
    last = H + step * (refit_every - 1)
    other = np.where(np.arange(120) < 120 - last, y, 2 * y)
    runs = [
        backtest(
            Forecaster(H, max_epochs=2), pl.DataFrame({"ds": range(120), "y": values}),
            folds=refit_every, refit_every=refit_every, step=step, checks=False,
        ).forecasts.filter(pl.col("fold") == 0).drop("actual")
        for values in (y, other)
    ]  # fmt: skip
    assert runs[0].equals(runs[1])
