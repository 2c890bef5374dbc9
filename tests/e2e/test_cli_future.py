"""Faults of the drivers known ahead are told before the backtest."""

import numpy as np
import polars as pl
import pytest

from gatewise.cli.main import run
from gatewise.cli.source import split_ahead

ROWS, H = 120, 6


def days(rows):
    return pl.Series(np.datetime64("2024-01-01") + np.arange(rows)).cast(pl.Date)


@pytest.fixture
def never(monkeypatch):
    """A backtest that must not begin."""
    monkeypatch.setattr(
        "gatewise.forecast.backtesting.backtest", lambda *_, **__: pytest.fail("ran")
    )


@pytest.mark.parametrize(
    ("ahead", "told"),
    [
        (None, "expected their next 6 rows per series"),
        (range(ROWS, ROWS + 4), "no row at 2024-05-04, 2024-05-05"),
        (range(ROWS + 30, ROWS + 36), "rows at other times, 2024-05-30"),
    ],
    ids=["none", "too few", "a month late"],
)
def test_faults_of_the_future_are_told_before_the_backtest(ahead, told, never, tmp_path, capsys):
    rng = np.random.default_rng(0)
    table = pl.DataFrame({"date": days(200), "y": rng.normal(size=200), "x": rng.normal(size=200)})
    table.head(ROWS).write_csv(tmp_path / "t.csv")
    arguments = ["forecast", str(tmp_path / "t.csv"), "--future-drivers", "x", "--horizon", str(H)]
    if ahead is not None:
        table[list(ahead)].drop("y").write_csv(tmp_path / "f.csv")
        arguments += ["--future", str(tmp_path / "f.csv")]
    out = tmp_path / "out"
    assert run([*arguments, "--out", str(out)]) == 1
    assert told in capsys.readouterr().err
    assert not out.exists()


def test_a_series_without_a_target_is_told_and_not_dropped():
    y = [1.0, 2.0, None, None, float("nan"), None]
    table = pl.DataFrame(
        {"unique_id": ["a"] * 3 + ["b"] * 3, "ds": [1, 2, 3] * 2, "y": y, "x": [0.0] * 6}
    )
    columns = {"time": "ds", "target": "y", "series": "unique_id", "future": ("x",)}
    past, ahead = split_ahead(table, columns)
    assert past["unique_id"].to_list() == ["a", "a", "b", "b", "b"]
    assert ahead is not None
    assert ahead["unique_id"].to_list() == ["a"]
