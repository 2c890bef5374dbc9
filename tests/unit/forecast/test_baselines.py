import numpy as np
import pytest
from statsforecast import models

from gatewise.forecast.evaluation import baselines
from gatewise.forecast.evaluation import linear as least_squares

P = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)


def univariate(y, h, *seasons, **options):
    made = baselines.univariate(y, [len(y)], h, seasons, P, **options)
    return {name: one.quantiles[0] for name, one in made.items()}


def replaced(y, *seasons):
    """What stood in for which baseline."""
    made = baselines.univariate(y, [len(y)], 12, seasons, P)
    return {name: one.by for name, one in made.items() if one.replaced.any()}


def months(n, seed=0):
    """A year that repeats, with noise of deviation 1."""
    noise = np.random.default_rng(seed).normal(size=n)
    return 100 + 30 * np.sin(2 * np.pi * np.arange(n) / 12) + noise


@pytest.mark.parametrize(
    ("known", "as_called"),
    [
        (30, {"seasonal naive", "AutoETS"}),
        (24, {"seasonal naive", "AutoETS"}),
        (23, {"seasonal naive"}),
        (12, {"seasonal naive"}),
        (11, set()),
    ],
)
def test_opponents_are_what_they_are_called_as_soon_as_they_can_be(known, as_called):
    y = months(known + 12)
    made = univariate(y[:known], 12, 12)
    for name in ("seasonal naive", "AutoETS"):
        error = np.abs(made[name][:, 3] - y[known:]).mean()
        assert (error < 1.6) == (name in as_called)
        assert (name in replaced(y[:known], 12)) == (name not in as_called)


def test_what_stands_in_is_said():
    y = months(60)
    assert replaced(y, 12) == {}
    assert replaced(y[:20], 12) == {"AutoETS": "AutoETS without a season"}
    assert replaced(y[:10], 12) == {
        "seasonal naive": "last value", "AutoETS": "AutoETS without a season"
    }  # fmt: skip
    assert replaced(y[:2], 12) == dict.fromkeys(
        ["drift", "seasonal naive", "AutoETS"], "last value"
    )


def test_a_season_that_autoets_cannot_take_is_mstls():
    t = np.arange(600)
    y = 10 * np.sin(2 * np.pi * t / 48) + np.random.default_rng(0).normal(size=600)
    made = univariate(y[:552], 48, 48)
    error = {name: np.abs(q[:, 3] - y[552:]).mean() for name, q in made.items()}
    assert error["MSTL with AutoETS"] < 1.2
    assert error["AutoETS"] > 4
    assert replaced(y[:552], 48) == {"AutoETS": "AutoETS without a season"}
    week = y + 5 * np.sin(2 * np.pi * t / 96)
    both = univariate(week[:552], 48, 48, 96)["MSTL with AutoETS"][:, 3]
    assert np.abs(both - week[552:]).mean() < 1.4
    without = "MSTL with AutoETS without its longer season"
    assert replaced(y[:150], 48, 96)["MSTL with AutoETS"] == without


def test_each_baseline_is_what_it_says():
    y = 10 + np.tile([0.0, 1, 2, 3], 15) + 0.01 * np.random.default_rng(0).normal(size=60)
    made = univariate(y, 4, 4)
    assert list(made) == ["last value", "drift", "seasonal naive", "AutoETS"]
    assert "mean" in univariate(y, 4, 4, centred=True)
    np.testing.assert_allclose(made["last value"][:, 3], y[-1])
    np.testing.assert_allclose(made["seasonal naive"][:, 3], y[-4:])
    for quantiles in made.values():
        assert quantiles.shape == (4, 7)
        assert (np.diff(quantiles, axis=1) >= 0).all()


def test_gaps_and_short_or_constant_histories_are_forecast():
    gaps = univariate(np.array([np.nan, 1, np.nan, 2, 3, np.nan]), 2, 1)
    assert gaps["last value"][0, 3] == 3.0
    short = univariate(np.array([1.0, 2.0]), 3, 12)
    assert all(np.isfinite(q).all() for q in short.values())
    assert "seasonal naive" in short
    constant = univariate(np.ones(30), 3, 1)
    np.testing.assert_allclose(constant["AutoETS"][:, 3], 1.0)


def test_the_closed_formulas_are_statsforecast_s():
    y = np.random.default_rng(1).normal(size=200).cumsum()
    made = univariate(y, 6, 4, centred=True)
    for name, model in (
        ("mean", models.HistoricAverage()),
        ("drift", models.RandomWalkWithDrift()),
        ("seasonal naive", models.SeasonalNaive(season_length=4)),
        ("last value", models.Naive()),
    ):
        theirs = model.forecast(y, 6, level=[95])
        np.testing.assert_allclose(made[name][:, 3], theirs["mean"], err_msg=name)
        np.testing.assert_allclose(made[name][:, 6], theirs["hi-95"], err_msg=name)


def test_the_cone_follows_the_latest_volatility():
    y = np.random.default_rng(1).normal(size=1000)
    y = np.cumsum(np.where(np.arange(1000) < 600, 10 * y, y))
    width = np.diff(univariate(y, 4, 1)["last value"][:, [0, 6]])[:, 0]
    np.testing.assert_allclose(width, 2 * 1.96 * np.sqrt([1, 2, 3, 4]), rtol=0.1)


@pytest.mark.parametrize("shape", ["walk", "positive, then below zero", "short", "constant"])
def test_later_origins_of_one_fit_read_all_rows_before_them(shape):
    rng = np.random.default_rng(0)
    y = {
        "walk": rng.normal(size=80).cumsum(),
        "positive, then below zero": np.r_[np.exp(rng.normal(size=60)), -np.ones(20)],
        "short": rng.normal(size=25),
        "constant": np.ones(80),
    }[shape]
    cuts = [len(y) - 20, len(y) - 10, len(y) - 3]
    made = baselines.univariate(y, cuts, 2, (), P, centred=True)
    changed = baselines.univariate(np.where(np.arange(len(y)) < cuts[1], y, 99), cuts, 2, (), P)
    for name, one in made.items():
        quantiles = one.quantiles
        assert quantiles.shape == (3, 2, 7)
        assert np.isfinite(quantiles).all()
        if name in changed:
            assert quantiles[:2].tobytes() == changed[name].quantiles[:2].tobytes()
        if name in ("last value", "mean", "drift"):
            alone = baselines.univariate(y, cuts[1:2], 2, (), P, centred=True)[name]
            np.testing.assert_array_equal(quantiles[1], alone.quantiles[0])


def linear(inputs, working, end, **options):
    given = {
        "prediction_length": 3,
        "centred": True,
        "future": 0,
        "season_length": 1,
        "probabilities": P,
    }
    return least_squares.linear(inputs, working, [end], **(given | options)).quantiles[0]


def test_least_squares_of_a_later_origin_is_fitted_at_the_first_one():
    rng = np.random.default_rng(0)
    y = rng.normal(size=200)
    given = {
        "prediction_length": 2,
        "centred": True,
        "future": 0,
        "season_length": 1,
        "probabilities": P,
    }
    several = least_squares.linear(y[:, None], y, [150, 160], **given).quantiles
    np.testing.assert_allclose(several[0], linear(y[:, None], y, 150, prediction_length=2))
    late = np.where(np.arange(200) >= 160, 99.0, y)
    np.testing.assert_array_equal(
        several, least_squares.linear(late[:, None], late, [150, 160], **given).quantiles
    )
    labels = np.where(np.arange(200) == 155, 1e6, y)  # before the later origin, after the fit
    again = least_squares.linear(labels[:, None], labels, [150, 160], **given).quantiles
    np.testing.assert_array_equal(several, again)


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


def test_least_squares_says_at_which_steps_it_is_the_mean():
    y = np.random.default_rng(0).normal(size=60)

    def by(rows):
        given = {"centred": True, "future": 0, "season_length": 1, "probabilities": P}
        found = least_squares.linear(
            y[:rows, None], y[:rows], [rows], prediction_length=20, **given
        )
        assert found.replaced.all() == (found.by != "")
        return found.by

    assert [by(rows) for rows in (8, 20, 60)] == [
        "mean", "linear, the mean for its last steps", ""
    ]  # fmt: skip


def test_least_squares_with_too_few_rows_takes_the_mean():
    y = np.array([1.0, 3.0, 1.0, 3.0, 2.0])
    assert np.isfinite(linear(y[:, None], y, 5)).all()
    assert np.isfinite(linear(y[:2, None], y[:2], 2)).all()
