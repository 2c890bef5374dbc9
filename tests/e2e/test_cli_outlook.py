"""What a command is about to do is said; --threads holds for all of its work."""

import json

import numpy as np
import polars as pl
import pytest

from gatewise.cli.main import run
from gatewise.cli.outlook import training
from gatewise.forecast import Forecaster, workers
from gatewise.forecast.data.table import choose_columns, read_panel

SMALL = {"max_epochs": 1, "ensemble_size": 2}


def months(rows=60):
    rng = np.random.default_rng(0)
    y = 100 + 10 * np.sin(np.arange(rows) * np.pi / 6) + rng.normal(size=rows)
    time = np.datetime64("2015-01") + np.arange(rows)
    return pl.DataFrame({"ds": time.astype("datetime64[D]"), "y": y, "x": rng.normal(size=rows)})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    months().write_csv("t.csv")
    (tmp_path / "small.json").write_text(json.dumps(SMALL))
    (tmp_path / "one.json").write_text(json.dumps(SMALL | {"threads": 1}))
    return tmp_path


@pytest.fixture
def jobs(monkeypatch):
    """The worker processes that were asked for."""
    asked = []

    def run_(function, calls, jobs):
        asked.append(jobs)
        return (function(*arguments) for arguments in calls)

    monkeypatch.setattr(workers, "run", run_)
    return asked


@pytest.mark.parametrize(
    ("options", "past", "asked", "told"),
    [
        ({}, (), (8, 1, 3, 1), "8 networks are trained 9 times."),
        ({}, (), (8, 8, 3, 1), "8 networks are trained 2 times."),
        ({}, (), (0, 1, 3, 1), "8 networks are trained once."),
        ({}, (), (7, 2, 3, 0), "8 networks are trained 4 times."),
        ({"ensemble_size": 1}, (), (0, 1, 3, 1), "A network is trained once."),
        ({}, ("x",), (0, 1, 3, 1), "A network is trained once."),
        ({"model": "pretrained"}, (), (8, 1, 3, 1), ""),
    ],
    ids=str,
)
def test_the_number_of_fits_is_told(options, past, asked, told):
    table = months()
    panel = read_panel(table, choose_columns(table, past=past), fill_gaps=True)
    folds, every, step, more = asked
    assert training(Forecaster(3, **options).config, panel, folds, every, step, more) == told


def test_a_table_too_short_for_a_backtest_is_trained_on_once():
    table = months(20)
    panel = read_panel(table, choose_columns(table), fill_gaps=True)
    config = Forecaster(6).config
    assert training(config, panel, None, 1, 6, 1) == "8 networks are trained once."
    assert not training(config, panel, None, 1, 6)


@pytest.mark.parametrize("option", ["--folds", "--step", "--refit-every", "--threads"])
def test_counts_below_one_are_refused(option, folder, capsys):
    assert run(["backtest", "t.csv", option, "-1"]) == 1
    assert f"{option} is -1: expected at least 1." in capsys.readouterr().err


def test_training_is_announced_and_what_needs_none_is_offered(folder, capsys):
    asked = ["forecast", "t.csv", "--horizon", "3", "--folds", "2"]
    assert run([*asked, "--options", "small.json", "--threads", "1"]) == 0
    told = capsys.readouterr().err
    assert told.startswith("2 networks are trained 2 times.\n")
    assert "note: Networks were trained for this table. --pretrained" in told
    assert run([*asked, "--pretrained", "--folds", "0"]) == 0
    told = capsys.readouterr().err
    assert "trained" not in told.replace("pretrained", "")


@pytest.mark.parametrize(
    ("command", "given"),
    [("forecast", ["one.json"]), ("backtest", ["small.json", "--threads", "1"])],
)
def test_all_work_of_a_command_is_done_by_so_many_processes(command, given, folder, jobs):
    asked = [command, "t.csv", "--horizon", "3", "--folds", "2", "--refit-every", "1"]
    assert run([*asked, "--options", *given]) == 0
    assert set(jobs) == {1}


def test_folds_are_shared_out_to_the_processes(folder, jobs, capsys):
    asked = ["backtest", "t.csv", "--horizon", "3", "--folds", "2", "--json", "--options"]
    results = []
    for threads in ("1", "2"):
        assert run([*asked, "small.json", "--threads", threads]) == 0
        results.append(json.loads(capsys.readouterr().out)["metrics"])
    assert 2 in jobs
    assert results[0] == results[1]


def test_the_lab_has_the_same_option(capsys):
    assert run(["lab", "run", "--help"]) == 0
    told = capsys.readouterr().out
    assert "--threads" in told
    assert "Worker processes for all" in " ".join(told.split())
