"""An interrupted backtest goes on where it was, with the same numbers."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save

from gatewise.errors import CheckpointError
from gatewise.forecast import Forecaster, backtest
from gatewise.forecast.data.table import choose_columns, read_panel
from gatewise.forecast.evaluation import checkpoints, folds
from gatewise.forecast.evaluation.baselines import Baseline

F = Forecaster(3, max_epochs=2)
GIVEN = {"folds": 6, "refit_every": 2, "checks": False}


@pytest.fixture
def fits(monkeypatch):
    """How often a network was fitted."""
    seen, honest = [], folds.fit_panel
    monkeypatch.setattr(folds, "fit_panel", lambda *a: (seen.append(1), honest(*a))[1])
    return seen


@pytest.fixture
def whole(walk_table):
    return backtest(F, walk_table, **GIVEN)


def same(a, b):
    return json.dumps(a.to_dict()) == json.dumps(b.to_dict()) and a.forecasts.equals(b.forecasts)


def test_a_backtest_that_failed_on_the_way_goes_on(whole, walk_table, tmp_path, fits, monkeypatch):
    honest = checkpoints.forecast_folds

    def interrupted(config, panel, group, *rest):
        if group[0].index == 4:
            raise KeyboardInterrupt
        return honest(config, panel, group, *rest)

    monkeypatch.setattr(checkpoints, "forecast_folds", interrupted)
    with pytest.raises(KeyboardInterrupt):
        backtest(F, walk_table, resume=tmp_path / "run", **GIVEN)
    monkeypatch.setattr(checkpoints, "forecast_folds", honest)
    assert len(fits) == 2
    assert len(list((tmp_path / "run").iterdir())) == 2
    assert same(backtest(F, walk_table, resume=tmp_path / "run", **GIVEN), whole)
    assert len(fits) == 3
    assert same(backtest(F, walk_table, resume=tmp_path / "run", **GIVEN), whole)
    assert len(fits) == 3


def test_a_killed_process_leaves_whole_files_only(whole, walk_table, tmp_path):
    data, run = tmp_path / "walk.parquet", tmp_path / "run"
    walk_table.write_parquet(data)
    script = (
        "import polars as pl; from gatewise.forecast import Forecaster, backtest;"
        f"backtest(Forecaster(3, max_epochs=2), pl.read_parquet({str(data)!r}), "
        f"folds=6, refit_every=2, checks=False, resume={str(run)!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    deadline = time.monotonic() + 100
    while not list(run.glob("folds-*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert list(run.glob("folds-*"))
    assert same(backtest(F, walk_table, resume=run, **GIVEN), whole)


def test_what_the_numbers_depend_on_is_in_the_key(walk_table, tmp_path, fits):
    given = GIVEN | {"resume": tmp_path, "folds": 2}
    backtest(F, walk_table, **given)
    for f, table in (
        (Forecaster(3, max_epochs=2, seed=1), walk_table),
        (F, walk_table.with_columns(y=pl.col("y") + (pl.col("ds") == 3))),
        (F, walk_table.with_columns(ds=pl.col("ds") * 2)),
    ):
        before = len(fits)
        backtest(f, table, **given)
        assert len(fits) == before + 1
    backtest(Forecaster(3, max_epochs=2, threads=2), walk_table, **given)
    assert len(fits) == 4


def test_processes_write_the_same_files(whole, walk_table, tmp_path):
    assert same(backtest(F, walk_table, resume=tmp_path, n_jobs=2, **GIVEN), whole)
    assert len(list(tmp_path.iterdir())) == 3
    assert same(backtest(F, walk_table, resume=tmp_path, **GIVEN), whole)


def test_a_damaged_or_foreign_file_is_named(walk_table, tmp_path):
    given = GIVEN | {"resume": tmp_path, "folds": 2}
    backtest(F, walk_table, **given)
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    altered = bytearray(content)
    altered[-5] ^= 1
    foreign = save({"x": np.zeros(3)})
    other = tmp_path / "other"
    backtest(Forecaster(3, max_epochs=2, seed=1), walk_table, **(given | {"resume": other}))
    (swapped,) = other.iterdir()
    cases = (
        (content[:-100], "not a readable"),
        (b"", "not a readable"),
        (bytes(altered), "was altered"),
        (foreign, "no 'gatewise-backtest' header"),
        (swapped.read_bytes(), "was altered"),
        (save({"x": np.zeros(3)}, metadata={checkpoints.FORMAT: "{}"}), "damaged header"),
    )
    for wrong, reason in cases:
        file.write_bytes(wrong)
        with pytest.raises(CheckpointError, match=f"{reason}.*Delete it"):
            backtest(F, walk_table, **given)
    file.write_bytes(content)
    backtest(F, walk_table, **given)


def test_folds_survive_the_file(walk_table, tmp_path):
    panel = read_panel(walk_table, choose_columns(walk_table))
    group = folds.rolling_origins(panel, F.config, 2, 3)
    baseline = Baseline("none")
    kept = checkpoints.open_checkpoints(tmp_path, F.config, panel, baseline, False)
    made = checkpoints.resumed_folds(F.config, panel, group, baseline, False, kept)
    again = checkpoints.resumed_folds(F.config, panel, group, baseline, False, kept)
    for a, b in zip(made, again, strict=True):
        assert (a.fold, a.series, a.epochs, a.fitted_before, a.replaced) == (
            b.fold, b.series, b.epochs, b.fitted_before, b.replaced
        )  # fmt: skip
        assert list(a.quantiles) == list(b.quantiles)
        assert all(a.quantiles[n].tobytes() == b.quantiles[n].tobytes() for n in a.quantiles)
