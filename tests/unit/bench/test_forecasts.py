"""Forecasts beside peers: what is held out, how it is scored, what a peer is given.

What is measured stands beside the package, not in it: peers are stubs here, and tables small.
"""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from gatewise.errors import BenchmarkError
from gatewise.forecast.evaluation import metrics


@pytest.fixture
def task(bench):
    """Two series of a season of four, two origins."""
    rng = np.random.default_rng(3)
    parts = [
        pl.DataFrame({"unique_id": name, "ds": range(n), "y": 20 + rng.normal(size=n).cumsum()})
        for name, n in (("a", 20), ("b", 28))
    ]
    train = pl.concat(part.head(len(part) - 8) for part in parts)
    test = pl.concat(part.tail(8).with_columns(step=pl.int_range(1, 9)) for part in parts)
    return bench.sets.Task("tiny", train, test, 4, 4, origins=2)


def last_value(task, table, options):
    """A stub of a peer; it tells which rows it was given."""
    fitted = table

    def predict(history, ahead):
        rows = fitted if history is None else history
        last = rows.group_by("unique_id", maintain_order=True).last()
        steps = pl.DataFrame({"step": range(1, task.prediction_length + 1)})
        width = {"lo-95": -3, "lo-80": -2, "lo-50": -1, "hi-50": 1, "hi-80": 2, "hi-95": 3}
        return last.join(steps, how="cross").select(
            "unique_id", "step", pl.col("y").alias("forecast"),
            **{name: pl.col("y") + by for name, by in width.items()},
        )  # fmt: skip

    return predict


def test_a_task_shows_only_rows_before_the_origin(bench, task):
    windows = list(task.windows())
    assert [len(history) for history, _ in windows] == [32, 40]
    assert windows[0][0].equals(task.train)
    assert all(ahead is None for _, ahead in windows)
    assert windows[1][0].columns == ["unique_id", "ds", "y"]


def test_fewer_series_and_origins_keep_the_rest(bench, task):
    few = task.few(1, 1)
    assert few.train["unique_id"].unique().to_list() == ["a"]
    assert (few.origins, len(few.test)) == (1, 4)
    assert task.few(None, None) is task


def test_sets_hold_out_the_official_part_or_the_last_rows(bench):
    official = bench.sets.load("m3-yearly")
    assert (len(official.test), official.origins, official.season_length) == (645 * 6, 1, 1)
    weekly = bench.sets.load("us-gasoline")
    assert (len(weekly.train), len(weekly.test), weekly.origins) == (1355 - 91, 91, 7)
    assert weekly.train["ds"].max() < weekly.test["ds"].min()
    assert bench.sets.load("us-employment").origins == 1  # many series
    hours = bench.sets.load("nordpool")
    assert (len(hours.train), len(hours.test), hours.origins) == (1680 - 28 * 24, 28 * 24, 28)
    history, ahead = list(hours.windows())[1]
    assert ahead.columns == ["unique_id", "ds", *hours.future]
    assert ahead["ds"].min() - history["ds"].max() == dt.timedelta(hours=1)


def test_windows_before_the_official_one_are_of_training_rows(bench, task):
    assert task.before(0) is task
    earlier = task.before(1)  # 12 and 20 rows to learn from: the first series is too short
    assert (earlier.origins, earlier.test["unique_id"].unique().to_list()) == (1, ["b"])
    rows = task.train.filter(pl.col("unique_id") == "b")
    assert earlier.train.equals(rows.head(16))
    assert earlier.test.drop("step").equals(rows.tail(4))
    assert earlier.test["step"].to_list() == [1, 2, 3, 4]
    assert task.before(2).test.drop("step").equals(rows[12:16])


def test_scores_are_the_peers_libraries_too(bench, task):
    from utilsforecast import losses

    predict = last_value(task, task.train, {})
    first = task.few(None, 1)
    found = bench.scores.score(first, predict(None, None))
    frame = first.test.join(predict(None, None), on=["unique_id", "step"])

    def theirs(loss, **options):
        made = loss(frame, models=["forecast"], **options)
        return made["forecast"].mean()

    mase = theirs(losses.mase, seasonality=4, train_df=task.train)
    assert found["mase"] == pytest.approx(mase, rel=1e-12)
    assert found["smape"] == pytest.approx(200 * theirs(losses.smape), rel=1e-12)
    assert found["mae"] == pytest.approx(theirs(losses.mae), rel=1e-12)
    renamed = frame.rename(
        {f"{e}-{n}": f"forecast-{e}-{n}" for e in ("lo", "hi") for n in (80, 95)}
    )
    for level in (80, 95):
        covered = losses.coverage(renamed, ["forecast"], level)["forecast"].mean()
        assert found[f"coverage-{level}"] == pytest.approx(covered, rel=1e-12)


def test_the_quantile_loss_is_that_of_the_quantiles_in_units_of_mase(bench, task):
    found = bench.scores.score(task.few(1, 1), last_value(task, task.train, {})(None, None))
    y = task.train.filter(pl.col("unique_id") == "a")["y"].to_numpy()
    actual = task.few(1, 1).test["y"].to_numpy()
    quantiles = y[-1] + np.tile(np.arange(-3.0, 4.0), (4, 1))
    expected = metrics.weighted_quantile_loss(quantiles, actual, bench.scores.PROBABILITIES).mean()
    assert found["wql"] == pytest.approx(expected / np.abs(y[4:] - y[:-4]).mean(), rel=1e-12)


def test_a_forecast_without_intervals_is_scored_by_its_points(bench, task):
    points = last_value(task, task.train, {})(None, None).select("unique_id", "step", "forecast")
    assert {*bench.scores.score(task.few(None, 1), points)} == {"mase", "smape", "mae"}


@pytest.mark.parametrize("lost", [None, float("nan")])
def test_a_row_without_a_forecast_is_a_fault(bench, task, lost):
    forecasts = last_value(task, task.train, {})(None, None)
    hole = pl.when(pl.col("step") == 2).then(pl.lit(lost)).otherwise(pl.col("forecast"))
    with pytest.raises(BenchmarkError, match=r"2 of 8 rows have no forecast, .* 'a'"):
        bench.scores.score(task.few(None, 1), forecasts.with_columns(forecast=hole))


def test_origin_by_origin_the_rows_before_are_given(bench, task, monkeypatch):
    monkeypatch.setattr(bench.measure, "REFIT", 2)
    fits = []
    peer = bench.peers.Peer(lambda *given: fits.append(given) or last_value(*given), (), ())
    row = bench.measure.timed(task, peer, {})
    assert len(fits) == 1
    whole = pl.concat([task.train, task.test.drop("step")]).sort("unique_id", "ds")
    errors = []
    for part in whole.partition_by("unique_id", maintain_order=True):
        y = part["y"].to_numpy()
        errors.append(np.abs(np.concatenate([y[-8:-4] - y[-9], y[-4:] - y[-5]])).mean())
    assert row["scores"]["mae"] == pytest.approx(np.mean(errors), abs=1e-6)
    assert row["peak_mb"] > 10


def test_least_squares_finds_planted_drivers_and_sees_nothing_ahead(bench):
    rng = np.random.default_rng(0)
    n = 24 * 28
    load, wind = rng.normal(size=n), rng.normal(size=n)
    hours = pl.Series(np.arange(n)).cast(pl.Int64) * 3_600_000_000
    table = pl.DataFrame(
        {"unique_id": ["m"] * n, "ds": hours.cast(pl.Datetime("us")), "load": load, "wind": wind,
         "y": 5 * load - 2 * wind + np.arange(n) % 24}
    )  # fmt: skip
    task = bench.sets.Task("m", table[:-24], table[-24:], 24, 24, ("load", "wind"))
    ahead = table[-24:].select("unique_id", "ds", "load", "wind")
    predict = bench.linear.fit(task, task.train, {})
    found = predict(None, ahead)
    np.testing.assert_allclose(found["forecast"], table["y"][-24:], atol=1e-3)
    assert (found["lo-80"] <= found["hi-80"]).all()
    x = bench.linear.features(table, task.future)
    changed = table.with_columns(
        y=pl.when(pl.int_range(pl.len()) >= n - 24).then(99.0).otherwise(pl.col("y"))
    )
    np.testing.assert_array_equal(x[-24:], bench.linear.features(changed, task.future)[-24:])
    with pytest.raises(ValueError, match="ahead is None"):
        predict(None, None)


@pytest.mark.parametrize("name", ["gatewise", "seasonal naive", "AutoETS", "AutoTheta"])
def test_a_peer_forecasts_every_step_of_every_series(bench, name):
    y = 20 + np.tile([0.0, 2.0, 1.0, 3.0], 15) + np.random.default_rng(1).normal(size=60) / 9
    train = pl.DataFrame({"unique_id": ["a"] * 60 + ["b"] * 60, "ds": [*range(60)] * 2,
                          "y": np.concatenate([y, 2 * y])})  # fmt: skip
    test = train.group_by("unique_id", maintain_order=True).head(4)
    test = test.with_columns(step=pl.int_range(1, 5).over("unique_id"))
    task = bench.sets.Task("t", train, test, 4, 4)
    peer = bench.peers.PEERS[name]
    peer.load()
    options = {"max_epochs": 1} if name == "gatewise" else {}
    predict = peer.fit(task, train, options)
    for history in (None, train):
        found = predict(history, None)
        assert found["step"].to_list() == [1, 2, 3, 4] * 2
        assert {*bench.peers.EDGES, "unique_id", "step"} <= {*found.columns}
    row = bench.measure.timed(task, peer, options)
    assert row["scores"]["mase"] > 0
    assert peer.version


def test_options_of_the_forecaster_are_passed_and_told(bench, task):
    made = bench.peers.known_options(task, {"seed": 3})
    assert made["prediction_length"] == 4
    assert made["seed"] == 3


def test_what_goes_wrong_is_told_as_a_value(bench):
    def broken():
        raise BenchmarkError("of  no\nuse")

    def absent():
        raise ImportError("no such package")

    assert bench.measure._told(broken, ()) == {"fault": "BenchmarkError: of no use"}
    assert bench.measure._told(absent, ()) == {"missing": "no such package"}
    assert bench.measure._told(dict, ()) == {}
