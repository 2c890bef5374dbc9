"""A series' forecast among others, against its forecast alone: the same bits."""

import numpy as np
import polars as pl
import pytest

from gatewise.forecast import Forecaster, backtest

ROWS, SERIES = 50, 37
MODELS = {
    "ensemble": {"model": "residual"},
    "Student": {"model": "residual", "distribution": "student-t"},
    "counts": {"model": "residual", "distribution": "negative-binomial"},
    "without a season": {"model": "residual", "season_length": 1},
    "window": {"model": "window"},
    "pretrained": {"model": "pretrained"},
}


def several(drivers=False):
    rng = np.random.default_rng(2)
    t = np.arange(ROWS)
    parts = []
    for i in range(SERIES):
        x = rng.normal(size=ROWS)
        y = np.round(40 + 9 * np.sin(2 * np.pi * t / 12) + 4 * rng.normal(size=ROWS) + 3 * x)
        parts.append(
            pl.DataFrame({"unique_id": f"s{i:02d}", "ds": t, "y": np.maximum(y, 0.0), "x": x})
        )
    table = pl.concat(parts)
    return table if drivers else table.drop("x")


@pytest.fixture(scope="module")
def table():
    return several()


@pytest.fixture(scope="module", params=MODELS.values(), ids=MODELS)
def fitted(request, table):
    options = {"max_epochs": 1, "ensemble_size": 3, "season_length": 12} | request.param
    return Forecaster(prediction_length=5, **options).fit(table)


def numbers(made):
    made = pl.DataFrame(made).sort("unique_id", "ds")
    return made.select(pl.selectors.float()).to_numpy()


def test_any_part_of_the_series(fitted, table):
    whole = pl.DataFrame(fitted.predict(history=table)).sort("unique_id", "ds")
    names = whole["unique_id"].unique(maintain_order=True)
    rng = np.random.default_rng(0)
    for count in (1, 2, 7, 31, 32, 33, SERIES):
        some = pl.col("unique_id").is_in(names.sample(count, seed=int(rng.integers(99))).implode())
        part = table.filter(some).sample(fraction=1, shuffle=True, seed=count)
        np.testing.assert_array_equal(
            numbers(fitted.predict(history=part)), numbers(whole.filter(some))
        )


def test_with_any_number_of_threads(fitted, table, threads):
    found = []
    for count in (1, 2, 4):
        threads(count)
        found.append(numbers(fitted.predict(history=table)))
    for made in found[1:]:
        np.testing.assert_array_equal(made, found[0])


@pytest.mark.parametrize("offset", [8, 16, 24, 40])
def test_columns_anywhere_in_memory(fitted, table, offset):
    expected = numbers(fitted.predict(history=table))
    frame = table.to_pandas()
    memory = np.empty(8 * len(frame) + 128, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    column = memory[start : start + 8 * len(frame)].view(np.float64)
    column[:] = frame["y"]
    frame["y"] = column
    np.testing.assert_array_equal(numbers(fitted.predict(history=frame)), expected)
    strided = np.repeat(column, 3)[::3]
    frame = frame.assign(y=strided)
    np.testing.assert_array_equal(numbers(fitted.predict(history=frame)), expected)


def test_with_drivers_in_any_order_and_any_part():
    table = several(drivers=True)
    past, ahead = table.filter(pl.col("ds") < 45), table.filter(pl.col("ds") >= 45).drop("y")
    options = {"prediction_length": 5, "max_epochs": 2, "season_length": 12, "threads": 1}
    made = Forecaster(**options).fit(past, future=["x"])
    expected = numbers(made.predict(future=ahead))
    shuffled = past.sample(fraction=1, shuffle=True, seed=1)
    other = Forecaster(**options).fit(shuffled, future=["x"])
    mixed = ahead.sample(fraction=1, shuffle=True, seed=2)
    np.testing.assert_array_equal(numbers(other.predict(future=mixed)), expected)
    some = pl.col("unique_id").is_in(["s03", "s30"])
    part = made.predict(future=ahead, history=past.filter(some))
    np.testing.assert_array_equal(numbers(part), np.vstack([expected[15:20], expected[150:155]]))


def test_a_backtest_of_rows_in_any_order():
    table = several(drivers=True).filter(pl.col("unique_id") < "s06")
    f = Forecaster(prediction_length=4, max_epochs=1, season_length=12)
    found = []
    for rows in (table, table.sample(fraction=1, shuffle=True, seed=4)):
        made = backtest(f, rows, 2, past=["x"], checks=False)
        kept = pl.DataFrame(made.forecasts)
        found.append(kept.sort(kept.columns[:4]))
    assert found[0].equals(found[1])
