"""Series that are honest but awkward, among ordinary ones: the ensemble forecasts each."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from gatewise.errors import TableError
from gatewise.forecast import Forecaster
from gatewise.forecast.models.residual.histories import flatten
from gatewise.forecast.models.residual.model import ResidualModel

N = 72
RNG = np.random.default_rng(0)


def seasonal(n=N):
    return 100 + 20 * np.sin(2 * np.pi * np.arange(n) / 12) + RNG.normal(size=n)


def one(name, y, time=None):
    time = np.arange(N - len(y), N) if time is None else time
    return pl.DataFrame({"unique_id": name, "ds": time, "y": np.asarray(y, float)})


def but(y, rows, value=np.nan):
    y = y.copy()
    y[rows] = value
    return y


USUAL = seasonal()
AWKWARD = {
    **{f"of {k} rows": one(f"of {k} rows", USUAL[-k:]) for k in range(1, 9)},
    "late": one("late", but(USUAL, slice(0, 30))),
    "broken off": one("broken off", but(USUAL, slice(-15, None))),
    "gaps": one("gaps", but(USUAL, RNG.choice(N, 40, replace=False))),
    "one value": one("one value", but(np.full(N, np.nan), 20, 5.0)),
    "constant": one("constant", np.full(N, 7.0)),
    "zero": one("zero", np.zeros(N)),
    "counts": one("counts", RNG.poisson(0.3, N)),
    "tiny": one("tiny", USUAL * 1e-14),
    "huge": one("huge", USUAL * 1e10),
    "vast": one("vast", USUAL * 1e50),
    "ended": one("ended", USUAL[:20], np.arange(20)),
    "irregular": one("irregular", USUAL, np.cumsum(RNG.integers(1, 9, N))),
    "jump": one("jump", np.r_[USUAL[:60] * 1e-6, USUAL[60:] * 1e6]),
}
ORDINARY = [one(f"s{i:02d}", seasonal() * (1 + i)) for i in range(24)]


def fitted(*more):
    f = Forecaster(12, ensemble_size=2, max_epochs=2, threads=1)
    return f.fit(pl.concat([*ORDINARY, *AWKWARD.values(), *more]))


@pytest.fixture(scope="module")
def logs():
    return fitted()


@pytest.fixture(scope="module")
def values():
    return fitted(one("negative", USUAL - 100))


def quantiles(f, name):
    made = f.predict().filter(unique_id=name)
    return made.select("lo-95", "lo-80", "forecast", "hi-80", "hi-95").to_numpy()


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("scale", ["logs", "values"])
def test_each_has_finite_quantiles_in_order_near_its_last_rows(name, scale, request):
    made = quantiles(request.getfixturevalue(scale), name)
    assert np.isfinite(made).all()
    assert (np.diff(made, axis=1) >= 0).all()
    rows = AWKWARD[name]["y"].to_numpy()
    rows = rows[~np.isnan(rows)][-12:]
    reach = 3 * np.abs(rows).max() + 1e-9
    assert (np.abs(made[:, 2]) <= reach).all()


def test_a_target_that_is_never_negative_is_forecast_above_zero(logs, values):
    lows = logs.predict()["lo-95"]
    assert lows.min() >= 0
    assert quantiles(values, "negative")[:, 0].min() < 0


def test_the_unit_of_a_series_does_not_matter(logs):
    scaled = one("gaps", AWKWARD["gaps"]["y"].to_numpy() * 2.0**-40)
    usual = logs.predict(history=AWKWARD["gaps"]).select(pl.selectors.float()).to_numpy()
    made = logs.predict(history=scaled).select(pl.selectors.float()).to_numpy()
    np.testing.assert_array_equal(made, usual * 2.0**-40)


def test_a_series_too_short_to_show_its_changes_has_a_wide_interval(logs):
    made = quantiles(logs, "of 1 rows")
    assert (made[:, 4] - made[:, 0] > 0.05 * made[:, 2]).all()


def test_each_goes_on_from_its_own_end(logs):
    first = dict(logs.predict().group_by("unique_id").agg(pl.col("ds").min()).iter_rows())
    assert first["ended"] == 20
    assert first["of 1 rows"] == first["gaps"] == N
    assert first["irregular"] > AWKWARD["irregular"]["ds"].max()


def test_a_constant_history_is_forecast_as_it_is(logs):
    made = logs.predict(history=AWKWARD["constant"])["forecast"].to_numpy()
    np.testing.assert_allclose(made, 7, rtol=1e-2)


def test_series_without_a_value_are_named():
    empty = [one(name, np.full(N, np.nan)) for name in ("void", "null")]
    with pytest.raises(TableError, match=r"of series 'void' \(and of 1 more\) has no value: drop"):
        fitted(*empty)


def business(n):
    days = np.arange("2020-01-01", "2024-01-01", dtype="datetime64[D]")
    return days[np.is_busday(days)][-n:].astype("datetime64[us]")


def test_a_new_series_takes_the_trading_calendar_of_the_others():
    lengths = [300] * 20 + [1, 3, 8]
    f = Forecaster(3, ensemble_size=1, max_epochs=1, threads=1).fit(
        pl.concat(
            one(f"{i}", RNG.normal(size=n).cumsum() + 90, business(n))
            for i, n in enumerate(lengths)
        )
    )
    ahead = [dt.datetime(2024, 1, d) for d in (1, 2, 3)]
    assert f.predict().group_by("unique_id").agg("ds")["ds"].to_list() == [ahead] * 23
    stranger = one("new", [90.0, 91.0, 92.0], business(10)[5:8])
    days = f.predict(history=stranger)["ds"].to_list()
    assert days == [*business(10)[8:].tolist(), dt.datetime(2024, 1, 1)]


@pytest.mark.parametrize("rows", [6, 8, 20])
@pytest.mark.parametrize("series", [1, 30])
def test_from_eight_rows_on_a_table_is_forecast_without_a_season(rows, series):
    months = np.arange("2010-01", "2030-01", dtype="datetime64[M]")[:rows].astype("datetime64[us]")
    walks = [one(f"{i}", RNG.normal(size=rows).cumsum() + 50, months) for i in range(series)]
    f = Forecaster(12, ensemble_size=2, max_epochs=1, threads=1).fit(pl.concat(walks))
    assert isinstance(f.fitted.model, ResidualModel)
    assert f.fitted.model.season_length == 1
    made = f.predict().select("lo-95", "lo-80", "forecast", "hi-80", "hi-95").to_numpy()
    assert (np.diff(made, axis=1) > 0).all()


def test_sizes_are_powers_of_two():
    found = flatten([np.array([3.0, 5.0]), np.zeros(2), np.array([1e-300, 2e-300])], 1)
    np.testing.assert_array_equal(np.frexp(found.size)[0], 0.5)
    assert found.size[1] == 1
    assert (np.abs(found.values) < 4).all()
