"""What a new user meets first: a typing error, a file from another program, a question of time."""

import csv
import datetime as dt
import json
import subprocess
import sys

import numpy as np
import pytest

from gatewise.cli.main import run

QUICK = ["--pretrained", "--horizon", "3", "--folds", "2"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def months(path, spell, header="month;umsatz", decimal=","):
    rng = np.random.default_rng(0)
    lines = [header]
    for i in range(60):
        day = dt.date(2015 + i // 12, i % 12 + 1, 1)
        value = f"{100 + 10 * np.sin(i * np.pi / 6) + rng.normal():.2f}".replace(".", decimal)
        lines.append(f"{spell(day)};{value}")
    path.write_text("\n".join(lines) + "\n", "utf-8")


@pytest.mark.parametrize(
    "command",
    [
        ["forecast", "none.csv"],
        ["backtest", "none.csv"],
        ["tune", "none.csv"],
        ["forecast", "--model", "none.safetensors"],
        ["forecast", "there.csv", "--future", "none.csv"],
        ["forecast", "there.csv", "--options", "none.json"],
        ["explore", "none.safetensors", "there.csv"],
        ["inspect", "none.safetensors", "there.csv"],
    ],
)
def test_a_missing_file_is_told_before_anything_heavy_is_imported(folder, command):
    (folder / "there.csv").write_text("ds,y\n1,2\n")
    code = (
        "import sys; from gatewise.cli.main import run; "
        f"assert run({command!r}) == 1; assert 'torch' not in sys.modules"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "none" in told.stderr


def test_nothing_given_prints_the_help(capsys):
    assert run([]) == 0
    assert "forecast" in capsys.readouterr().out


def test_the_shell_completes_commands():
    asked = {
        "_GATEWISE_COMPLETE": "complete_bash",
        "COMP_WORDS": "gatewise fore",
        "COMP_CWORD": "1",
    }
    code = (
        "import sys; sys.argv = ['gatewise']; from gatewise.cli.main import run\n"
        "try: run()\nfinally: assert 'torch' not in sys.modules"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=asked
    )
    assert told.stdout.split() == ["forecast"]


def test_a_german_spreadsheet_forecasts_with_its_target_alone(folder, capsys):
    months(folder / "t.csv", lambda day: day.strftime("%m.%Y"))
    assert run(["forecast", "t.csv", "--target", "umsatz", *QUICK]) == 0
    assert "'month'" in capsys.readouterr().err
    with (folder / "forecast" / "forecast.csv").open() as file:
        times = [row["month"] for row in csv.DictReader(file)]
    assert times == ["01.2020", "02.2020", "03.2020"]


def test_what_may_be_two_dates_is_asked_about_and_the_option_answers(folder, capsys):
    months(folder / "t.csv", lambda day: f"0{1 + day.month % 9}/0{1 + day.month % 9}/{day.year}")
    assert run(["forecast", "t.csv", "--target", "umsatz", *QUICK]) == 1
    assert "--date-format" in capsys.readouterr().err
    months(folder / "t.csv", lambda day: day.strftime("%m/%d/%Y"))
    given = ["--target", "umsatz", "--date-format", "%m/%d/%Y", "--decimal", ","]
    assert run(["forecast", "t.csv", *given, *QUICK]) == 0
    assert "2020-01-01" in (folder / "forecast" / "forecast.csv").read_text()


def test_gaps_are_filled_or_kept(folder, capsys):
    months(folder / "t.csv", lambda day: day.isoformat(), "ds;y")
    lines = (folder / "t.csv").read_text().splitlines(keepends=True)
    (folder / "t.csv").write_text("".join(lines[:30] + lines[31:]))
    assert run(["forecast", "t.csv", *QUICK]) == 0
    assert "2017-06" in capsys.readouterr().err
    assert run(["forecast", "t.csv", "--keep-gaps", *QUICK]) == 0
    assert "2017-06" not in capsys.readouterr().err


def test_the_direction_is_judged_at_every_row_only_on_request(folder, capsys):
    months(folder / "t.csv", lambda day: day.isoformat(), "ds;y")
    calls = []
    for asked in ([], ["--direction"]):
        assert run(["backtest", "t.csv", "--json", *QUICK, *asked]) == 0
        calls.append(json.loads(capsys.readouterr().out)["direction"]["calls"])
    assert calls == [2, 6]


def test_networks_of_the_package_are_offered(folder, capsys):
    months(folder / "t.csv", lambda day: day.isoformat(), "ds;y")
    (folder / "quick.json").write_text('{"max_epochs": 1, "ensemble_size": 1}')
    quick = ["--horizon", "3", "--folds", "0", "--options", "quick.json", "--threads", "1"]
    assert run(["forecast", "t.csv", *quick]) == 0
    assert "--pretrained" in capsys.readouterr().err
    assert run(["forecast", "t.csv", *QUICK]) == 0
    assert "--pretrained" not in capsys.readouterr().err
