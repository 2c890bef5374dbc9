"""Each check must fail when the leak it is made for is planted, and pass on a clean run."""

import numpy as np
import polars as pl
import pytest

from gatewise.forecast import Forecaster, backtest
from gatewise.forecast.data.panel import Panel
from gatewise.forecast.data.table import choose_columns, read_panel
from gatewise.forecast.evaluation.plausibility import too_good, yesterdays_value
from gatewise.forecast.models.window import windows

from .simulated import planted, random_walk, table


def run(data, **options):
    return backtest(Forecaster(3, max_epochs=8), data, folds=8, refit_every=4, **options)


def outcome(result):
    return {c.name: c.passed for c in result.checks}


@pytest.mark.parametrize("seed", [0, 1])
def test_a_clean_run_passes_every_check(seed):
    made = run(random_walk(seed, 300))
    assert outcome(made) == {
        "future invariance": True,
        "shuffled target": True,
        "yesterday's value": True,
        "too good": True,
    }


def test_a_clean_run_with_honest_drivers_passes_every_check():
    assert all(outcome(run(planted(0, 400), past=["up", "down", "noise"])).values())


def test_planted_whole_series_scaling_is_caught(monkeypatch):
    honest = windows.window_statistics

    def whole_series(inputs, rows, inside, centred):
        everything = np.broadcast_to(np.arange(len(inputs)), (len(rows), len(inputs)))
        return honest(inputs, everything, np.ones_like(everything, dtype=bool), centred)

    monkeypatch.setattr(windows, "window_statistics", whole_series)
    made = run(random_walk(1, 300))
    assert not outcome(made)["future invariance"]
    assert made.verdict.startswith("Not to be trusted: the check 'future invariance' failed")
    assert not made.skill


def test_a_planted_off_by_one_window_is_caught(monkeypatch):
    honest = windows.context_rows
    monkeypatch.setattr(windows, "context_rows", lambda ends, length: honest(ends, length) + 1)
    made = run(random_walk(1, 300))
    assert not outcome(made)["future invariance"]
    assert not outcome(made)["shuffled target"]
    assert not made.skill


def test_folds_that_are_fitted_on_the_whole_table_are_caught(monkeypatch):
    monkeypatch.setattr(Panel, "before", lambda panel, cuts, last=None: panel)
    made = run(random_walk(1, 300))
    assert not outcome(made)["future invariance"]
    assert not made.skill


@pytest.mark.parametrize("seed", [0, 1])
def test_a_planted_same_day_driver_declared_as_past_is_caught(seed):
    data = random_walk(seed, 300)
    y = data["y"].to_numpy()
    noise = np.random.default_rng(9).normal(size=300)
    same_day = np.log(y) if seed == 0 else y
    same_day = same_day + 0.2 * np.std(np.diff(same_day)) * noise
    leaked = np.append(same_day[1:], np.nan)  # row t holds what belongs to row t + 1
    made = run(data.with_columns(fund=pl.Series(leaked)), past=["fund"])
    assert not outcome(made)["too good"]
    assert "'fund'" in made.verdict
    assert "Is it stamped with the time at which it was known?" in made.verdict
    assert not made.skill


def test_the_change_itself_as_a_driver_is_caught():
    data = random_walk(1, 300)
    change = np.diff(data["y"].to_numpy(), append=np.nan)
    made = run(data.with_columns(x=pl.Series(change)), past=["x"])
    assert not outcome(made)["too good"]


def leading(strength, price):
    """A driver that leads the target's change, with that correlation."""
    lead, noise = np.random.default_rng(5).normal(size=(2, 400))
    change = strength * np.roll(lead, 1) + np.sqrt(1 - strength**2) * noise
    y = np.cumsum(change)
    data = table(np.exp(4 + y / 100) if price else y, x=lead)
    return read_panel(data, choose_columns(data, past=["x"]))


@pytest.mark.parametrize(
    ("strength", "price", "passed"),
    [(0.65, True, False), (0.65, False, True), (0.9, False, False), (0.4, True, True)],
)
def test_prices_are_held_to_a_stricter_bound(strength, price, passed):
    made = too_good(leading(strength, price), 0.6, 1.0, "log-return" if price else "difference")
    assert made.passed is passed
    assert "'x' in row t correlates" in made.detail  # said also where it is no failure


def test_an_error_too_small_needs_a_driver_to_blame():
    weak = leading(0.1, True)
    assert not too_good(weak, 0.3, 1.0, "log-return").passed
    assert too_good(weak, 0.3, 1.0, "difference").passed
    assert too_good(weak, 0.3, 0.35, "log-return").passed  # the target's own past explains it
    alone = random_walk(0, 300)
    assert too_good(read_panel(alone, choose_columns(alone)), 0.01, 1.0).passed


def test_two_leaking_drivers_that_only_tell_together_are_caught():
    rng = np.random.default_rng(0)
    change, mask = rng.normal(size=(2, 500))
    y = np.cumsum(change)
    ahead = np.append(change[1:], 0.0)
    data = table(y, a=ahead + mask, b=mask)
    made = backtest(Forecaster(1), data, folds=20, refit_every=20, past=["a", "b"])
    assert not outcome(made)["too good"]
    assert "own past does not explain" in made.checks[-1].detail


def promoted(rows=400):
    """Sales that a promotion settles, which is planned and so known ahead."""
    rng = np.random.default_rng(0)
    promotion = rng.integers(0, 2, rows).astype(float)
    return table(20 + 5 * promotion + 0.2 * rng.normal(size=rows), promotion=promotion), rng


def judged(data, ratio=0.01, unit="none", **columns):
    return too_good(read_panel(data, choose_columns(data, **columns)), ratio, 1.0, unit)


@pytest.mark.parametrize("unit", ["none", "difference", "log-return"])
def test_a_driver_that_is_declared_known_ahead_is_known(unit):
    data, rng = promoted()
    made = judged(data, unit=unit, future=["promotion"])
    assert made.passed
    assert "drivers declared known ahead are taken as known" in made.detail
    honest = data.with_columns(vix=pl.Series(rng.normal(size=len(data))))
    assert judged(honest, unit=unit, past=["vix"], future=["promotion"]).passed
    # The same column declared as past, stamped a row early, is the leak that it was.
    early = data.with_columns(pl.col("promotion").shift(-1))
    assert not judged(early, unit=unit, past=["promotion"]).passed


def test_a_known_driver_hides_no_leak_among_the_past_ones():
    data, rng = promoted()
    y = data["y"].to_numpy()
    change = np.append(np.diff(y), np.nan)
    rest = change - 5 * np.append(np.diff(data["promotion"].to_numpy()), np.nan)
    mask = rng.normal(size=len(data))
    alone = data.with_columns(x=pl.Series(change))
    assert not judged(alone, past=["x"], future=["promotion"]).passed
    beside = data.with_columns(x=pl.Series(rest))  # leaks what the promotion does not settle
    assert not judged(beside, past=["x"], future=["promotion"]).passed
    together = data.with_columns(a=pl.Series(rest + mask), b=pl.Series(mask))
    made = judged(together, past=["a", "b"], future=["promotion"])
    assert not made.passed
    assert "Look at each past driver" in made.detail


def test_the_promotion_of_the_first_howto_is_trusted():
    rng = np.random.default_rng(0)
    promotion = rng.integers(0, 2, 408).astype(float)
    sales = 20 + 5 * promotion + rng.normal(size=408)
    data = pl.DataFrame({"week": range(408), "sales": sales, "promotion": promotion})
    made = backtest(
        Forecaster(8, max_epochs=5), data[:400], 4, refit_every=4, time="week", target="sales",
        future=["promotion"],
    )  # fmt: skip
    assert all(outcome(made).values())
    assert not made.verdict.startswith("Not to be trusted")


def test_forecasts_that_lag_are_caught():
    changes = np.random.default_rng(0).normal(size=200)
    lagging = yesterdays_value(changes[:-1], changes[1:], changes[:-1])
    assert not lagging.passed
    assert "they lag" in lagging.detail
    assert yesterdays_value(changes[1:], changes[1:], changes[:-1]).passed
    assert yesterdays_value(np.zeros(199), changes[1:], changes[:-1]).passed
