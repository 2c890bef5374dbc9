"""What is constant within a series tells the ensemble what its rows do not."""

import numpy as np
import polars as pl
import pytest

from gatewise.forecast import Forecaster
from gatewise.forecast.data.table import choose_columns, read_panel
from gatewise.forecast.features.static import StaticCode, encode_static, static_codes

QUICK = {"ensemble_size": 2, "max_epochs": 30, "hidden_size": 16, "model": "residual"}
H = 6
ROWS, SERIES = 12, 160


@pytest.fixture(scope="module")
def walks():
    """Short random walks of logarithms: those from the north rise, others fall; noise hides it."""
    rng = np.random.default_rng(4)
    parts = []
    for i in range(SERIES):
        rises = i % 2 == 0
        steps = 0.1 * rng.standard_normal(ROWS + H) + (0.06 if rises else -0.06)
        walk = {"ds": np.arange(ROWS + H), "y": 100 * np.exp(np.cumsum(steps))}
        parts.append(
            pl.DataFrame(walk).with_columns(
                unique_id=pl.lit(f"walk {i:03}"),
                region=pl.lit("north" if rises else "south"),
                size=pl.lit(float(rises)),
            )
        )
    return pl.concat(parts)


def fitted(table, static):
    train = table.filter(pl.col("ds") < ROWS)
    return Forecaster(H, season_length=1, **QUICK).fit(train, static=static)


def error(forecaster, table):
    made = forecaster.predict()
    truth = table.filter(pl.col("ds") >= ROWS).select("unique_id", "ds", "y")
    both = truth.join(made, on=["unique_id", "ds"])
    assert len(both) == SERIES * H
    return float((both["forecast"] / both["y"]).log().abs().mean())


@pytest.mark.parametrize("column", ["region", "size"])
def test_a_static_column_that_tells_makes_better_forecasts(walks, column):
    without, with_it = error(fitted(walks, []), walks), error(fitted(walks, [column]), walks)
    assert with_it < 0.96 * without


def test_a_saved_forecaster_knows_its_static_columns(walks, tmp_path):
    made = fitted(walks, ["region", "size"])
    made.save(tmp_path / "model.safetensors")
    loaded = Forecaster.load(tmp_path / "model.safetensors")
    assert loaded.predict().equals(made.predict())
    known = walks.filter(pl.col("ds") < ROWS)
    moved = known.with_columns(region=pl.lit("north"), size=pl.lit(1.0))
    ahead, other = loaded.predict(history=known), loaded.predict(history=moved)
    same = [name for name in known["unique_id"].unique(maintain_order=True) if name[-1] in "02468"]
    north = pl.col("unique_id").is_in(same)
    assert ahead.filter(north).equals(other.filter(north))
    assert (ahead.filter(~north)["forecast"] != other.filter(~north)["forecast"]).any()


def test_pretrained_networks_leave_static_columns_aside(walks):
    train = walks.filter(pl.col("ds") < ROWS)
    made = [
        Forecaster.pretrained(H, season_length=1).fit(train, static=static).predict()
        for static in ([], ["region", "size"])
    ]
    assert made[0].equals(made[1])


def test_of_many_categories_the_commonest_count():
    shops = [f"shop {i}" for i in [*range(500), 123]]
    rows = {"s": np.repeat(np.arange(501), 2), "ds": np.tile([0, 1], 501), "y": np.arange(1002.0)}
    table = pl.DataFrame(rows | {"shop": np.repeat(shops, 2)})
    panel = read_panel(table, choose_columns(table, series="s", static=["shop"]))
    (code,) = static_codes(panel)
    assert code.width == 32
    assert "shop 123" in code.categories
    assert encode_static((code,), panel.series).sum() == 33


def test_what_the_fit_never_saw_counts_as_zero():
    assert StaticCode("region", categories=("north", "south")).encode("west") == [0.0, 0.0]
    assert StaticCode("size", mean=3.0, std=2.0).encode(float("nan")) == [0.0]
