"""What the commands write and print when all is well."""

import json
import re
import runpy
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gatewise.cli.main import run
from gatewise.forecast import Forecaster

ROOT = Path(__file__).parents[2]
QUICK = ("--horizon", "3", "--folds", "3", "--refit-every", "3", "--threads", "1")


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    rng = np.random.default_rng(1)
    days = np.arange(np.datetime64("2023-01-02"), np.datetime64("2024-06-01"))
    days = days[np.is_busday(days)]
    lead = rng.normal(size=len(days))
    change = 0.01 * (0.5 * np.roll(lead, 1) + rng.normal(size=len(days)))
    return pl.DataFrame(
        {
            "date": pl.Series(days).cast(pl.Date),
            "close": 100 * np.exp(change.cumsum()),
            "lead": lead,
        }
    )


@pytest.fixture(scope="module")
def written(table: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    table.write_csv(folder / "prices.csv")
    arguments = [str(folder / "prices.csv"), "--target", "close", "--drivers", "lead", *QUICK]
    assert run(["forecast", *arguments, "--out", str(folder / "out")]) == 0
    return folder


def test_forecast_writes_four_files_and_nothing_else(written: Path) -> None:
    names = {p.name for p in (written / "out").iterdir()}
    assert names == {"forecast.csv", "model.safetensors", "report.html", "explorer.html"}


def test_forecast_csv_follows_the_business_days(written: Path, table: pl.DataFrame) -> None:
    forecast = pl.read_csv(written / "out" / "forecast.csv", try_parse_dates=True)
    assert forecast.columns == ["date", "forecast", "lo-80", "hi-80", "lo-95", "hi-95"]
    dates = forecast["date"].to_numpy().astype("datetime64[D]")
    last = table["date"].to_numpy().astype("datetime64[D]")[-1]
    assert dates.tolist() == np.busday_offset(last, [1, 2, 3]).tolist()
    assert (forecast["lo-95"] < forecast["lo-80"]).all()
    assert (forecast["lo-80"] < forecast["forecast"]).all()
    assert (forecast["forecast"] < forecast["hi-80"]).all()
    assert (forecast["hi-80"] < forecast["hi-95"]).all()


class Outline(HTMLParser):
    """Tags, and every address that a browser would ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "data", "action") and value:
                self.addresses.append(value)
            if name == "id" and value:
                self.ids.append(value)


def test_report_is_self_contained_and_complete(written: Path) -> None:
    text = (written / "out" / "report.html").read_text()
    outline = Outline()
    outline.feed(text)
    assert "script" not in outline.tags
    assert "link" not in outline.tags
    assert all(a.startswith(("#", "data:")) for a in outline.addresses)
    own = re.sub(r' srcdoc="[^"]*"', "", text)  # the explorer, which has tests of its own
    assert len(own) < len(text)
    assert not re.search(r"@import|url\((?!#|\"#|'#)", own)
    assert len(outline.ids) == len(set(outline.ids))
    # fan, standing, windows, folds, calibration, drivers, losses, and four of the cell
    assert outline.tags.count("svg") == 2 * 11  # each for screens and for phones
    assert "With its outputs h set to 0, the forecast of the" in text
    for heading in ("Backtest", "Leak checks", "Drivers", "What the cell did", "How it was made"):
        assert heading in text


def test_a_saved_forecaster_can_be_inspected(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, page = str(written / "out" / "model.safetensors"), written / "inspect.html"
    assert run(["inspect", model, "--out", str(page), "--json"]) == 0
    own = json.loads(capsys.readouterr().out)["findings"]
    assert own
    assert "With its outputs h set to 0, the forecast of the" in page.read_text()
    assert run(["inspect", model, str(written / "prices.csv"), "--out", str(page), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == own
    assert run(["inspect", model, "--columns", "close", "--out", str(page)]) == 1
    assert "is a forecaster, which reads its table as it was fitted" in capsys.readouterr().err


def test_a_saved_model_repeats_the_forecast(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(written / "out" / "model.safetensors")
    again = written / "again"
    arguments = ["forecast", str(written / "prices.csv"), "--model", model, "--out", str(again)]
    assert run([*arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (again / "forecast.csv").read_bytes() == (written / "out/forecast.csv").read_bytes()
    assert len(printed["forecast"]) == 3
    assert printed["backtest"] is None


def test_forecast_prints_json(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(written / "prices.csv"), "--target", "close", "--drivers", "lead", *QUICK]
    assert run(["forecast", *arguments, "--json", "--out", str(tmp_path / "o")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["drivers"][0]["name"] == "lead"
    assert printed["drivers"][0]["sign"] == "+"
    assert printed["backtest"]["verdict"]
    assert {row["model"] for row in printed["backtest"]["metrics"]} >= {"gatewise", "last value"}


def test_backtest_prints_and_writes(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(written / "prices.csv"), "--target", "close", *QUICK]
    assert run(["backtest", *arguments, "--out", str(tmp_path / "b")]) == 0
    printed = capsys.readouterr().out
    assert "last value" in printed
    assert "future invariance" in printed
    rows = pl.read_csv(tmp_path / "b" / "backtest.csv")
    assert len(rows) == 9
    assert (tmp_path / "b" / "report.html").stat().st_size > 10_000


def test_a_backtest_resumes_from_a_folder(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(written / "prices.csv"), "--target", "close", *QUICK, "--json"]
    resumed = ["backtest", *arguments, "--resume", str(tmp_path / "run")]
    assert run(resumed) == 0
    first = capsys.readouterr().out
    (file,) = (tmp_path / "run").iterdir()
    assert run(resumed) == 0
    assert capsys.readouterr().out == first
    file.write_bytes(file.read_bytes()[:-50])
    assert run(resumed) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Delete it, and the folds are computed again" in captured.err


def test_the_report_of_a_backtest_shows_calibration_before_and_after(tmp_path: Path) -> None:
    y = np.random.default_rng(0).normal(size=300)
    pl.DataFrame({"day": range(300), "y": y}).write_csv(tmp_path / "noise.csv")
    asked = [str(tmp_path / "noise.csv"), "--time", "day", "--horizon", "1", "--folds", "80"]
    out = ["--refit-every", "80", "--threads", "1", "--out", str(tmp_path / "b")]
    assert run(["backtest", *asked, *out]) == 0
    text = (tmp_path / "b" / "report.html").read_text()
    outline = Outline()
    outline.feed(text)
    # standing, windows, folds, calibration, coverage; each for screens and for phones
    assert outline.tags.count("svg") == 2 * 5
    assert len(outline.ids) == len(set(outline.ids))
    for shown in ("adaptive conformal inference", "Hyndman", "Holm 1979", "Winkler 1972", "1 fit."):
        assert shown in text


def test_what_tune_writes_forecast_reads(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = [str(written / "prices.csv"), "--target", "close", "--horizon", "3"]
    best = tmp_path / "best.json"
    asked = ["--trials", "2", "--folds", "1", "--holdout", "9", "--out", str(best)]
    assert run(["tune", *table, *asked]) == 0
    printed = capsys.readouterr().out
    assert "2 trials, best last" in printed
    assert f"Wrote {best}" in printed
    options = json.loads(best.read_text())
    assert "hidden_size" in options
    best.write_text(json.dumps(options | {"hidden_size": 7, "max_epochs": 1}))
    out = ["--folds", "0", "--out", str(tmp_path / "o")]
    assert run(["forecast", *table, *out, "--options", str(best)]) == 0
    config = Forecaster.load(tmp_path / "o" / "model.safetensors").config
    assert (config.hidden_size, config.max_epochs, config.prediction_length) == (7, 1, 3)


def test_tune_prints_json(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = [str(written / "prices.csv"), "--target", "close", "--horizon", "3"]
    assert run(["tune", *table, "--trials", "1", "--folds", "1", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["trials"][0]["state"] == "complete"
    assert printed["score"] == printed["default_score"]


def test_known_future_drivers_come_from_the_rows_after_the_last_target(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(2)
    promotion = rng.integers(0, 2, 203).astype(float)
    sales = 20 + 8 * promotion + rng.normal(size=203)
    frame = pl.DataFrame({"week": range(203), "y": sales, "promotion": promotion})
    frame = frame.with_columns(y=pl.when(pl.col("week") < 200).then("y"))
    frame.write_csv(tmp_path / "sales.csv")
    arguments = [str(tmp_path / "sales.csv"), "--time", "week", "--future-drivers", "promotion"]
    out = ["--out", str(tmp_path / "o"), "--json"]
    assert run(["forecast", *arguments, "--horizon", "3", "--folds", "0", *out]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [row["week"] for row in printed["forecast"]] == [200, 201, 202]


def test_a_saved_model_takes_its_future_drivers_from_the_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    frame = pl.DataFrame({"week": range(123), "y": rng.normal(size=123), "promo": 1.0})
    frame = frame.with_columns(y=pl.when(pl.col("week") < 120).then("y"))
    frame.write_csv(tmp_path / "sales.csv")
    sales, first, second = (str(tmp_path / n) for n in ("sales.csv", "first", "second"))
    asked = ["--time", "week", "--future-drivers", "promo", "--horizon", "3", "--folds", "0"]
    assert run(["forecast", sales, *asked, "--out", first]) == 0
    assert run(["forecast", sales, "--model", f"{first}/model.safetensors", "--out", second]) == 0
    made = [(tmp_path / n / "forecast.csv").read_bytes() for n in ("first", "second")]
    assert made[0] == made[1]


def test_several_series_each_have_their_forecast(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(3)
    frame = pl.DataFrame(
        {
            "shop": ["a"] * 90 + ["b"] * 70,
            "ds": [*range(90), *range(70)],
            "y": rng.normal(size=160) + 5,
        }
    )
    frame.write_parquet(tmp_path / "shops.parquet")
    arguments = [str(tmp_path / "shops.parquet"), "--series", "shop", "--horizon", "2"]
    assert run(["forecast", *arguments, "--folds", "0", "--out", str(tmp_path / "o")]) == 0
    forecast = pl.read_csv(tmp_path / "o" / "forecast.csv")
    assert forecast["shop"].to_list() == ["a", "a", "b", "b"]
    assert forecast["ds"].to_list() == [90, 91, 70, 71]


def test_unsorted_time_is_sorted_with_a_note(
    table: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.reverse().write_csv(tmp_path / "prices.csv")
    arguments = [str(tmp_path / "prices.csv"), "--target", "close", "--horizon", "2"]
    assert run(["forecast", *arguments, "--folds", "0", "--out", str(tmp_path / "o")]) == 0
    assert "sorted" in capsys.readouterr().err


def test_help_pages_in_docs_are_current() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "make_cli.py"))["page"]()
    assert (ROOT / "docs" / "cli.md").read_text() == page


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert re.fullmatch(r"gatewise \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_a_data_set_brings_the_drivers_that_are_known_ahead():
    from gatewise.cli.source import open_source

    assert open_source(None, "nordpool").future.height == 24
    assert open_source(None, "sp500").future is None
