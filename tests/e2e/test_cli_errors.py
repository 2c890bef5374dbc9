"""Bad input to the command line: one line on stderr, the right exit code, nothing half-written."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gatewise.cli.main import run

FORECAST = ("--horizon", "4", "--folds", "0", "--time", "date", "--target", "close")


def frame(rows: int = 120) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    start = np.datetime64("2024-01-01")
    return pl.DataFrame(
        {
            "date": pl.Series(start + np.arange(rows)).cast(pl.Date),
            "close": 100 + rng.normal(size=rows).cumsum(),
            "vix": rng.normal(size=rows),
        }
    )


def write(folder: Path, table: pl.DataFrame, name: str = "prices.csv") -> str:
    path = folder / name
    table.write_csv(path)
    return str(path)


def expect_failure(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 1) -> str:
    assert run(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if line.startswith("gatewise:")]
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    return lines[0]


def replaced(column: str, row: int, value: object) -> pl.DataFrame:
    table = frame()
    values = table[column].to_list()
    values[row] = value
    return table.with_columns(pl.Series(column, values, strict=False))


BAD_TABLES = {
    "non-numeric target": (frame().with_columns(close=pl.lit("high")), "close"),
    "no numeric rows": (frame().with_columns(close=pl.lit(None, pl.Float64)), "close"),
    "duplicate timestamps": (pl.concat([frame(), frame().tail(1)]), "2024-04-29"),
    "too short": (frame(4), "has 4 rows: expected at least 6"),
    "constant target": (frame().with_columns(close=pl.lit(3.0)), "every row"),
    "infinite values": (replaced("close", 7, float("inf")), "infinite"),
}


@pytest.mark.parametrize("fault", BAD_TABLES)
def test_bad_tables_fail_in_one_line_and_write_nothing(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, hint = BAD_TABLES[fault]
    out = tmp_path / "out"
    arguments = ("forecast", write(tmp_path, table), *FORECAST, "--out", str(out))
    assert hint in expect_failure(capsys, *arguments)
    assert not out.exists()


def test_missing_driver_values_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = frame().with_columns(vix=pl.lit(None, pl.Float64))
    path = write(tmp_path, table)
    message = expect_failure(
        capsys, "forecast", path, *FORECAST, "--drivers", "vix", "--out", str(tmp_path / "out")
    )
    assert "vix" in message
    assert not (tmp_path / "out").exists()


def test_a_missing_column_suggests_the_nearest_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, frame())
    arguments = ["forecast", path, *FORECAST, "--out", str(tmp_path / "out")]
    arguments[arguments.index("close")] = "clsoe"
    assert "Did you mean 'close'?" in expect_failure(capsys, *arguments)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n\0\0\0", b"just one line\n"])
def test_a_file_that_is_no_table_fails(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes(content)
    assert "prices.csv" in expect_failure(capsys, "forecast", str(path), *FORECAST)


def test_a_missing_file_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "nowhere.csv")
    assert "does not exist" in expect_failure(capsys, "forecast", path, *FORECAST)


def test_horizon_zero_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, frame())
    message = expect_failure(
        capsys,
        "forecast",
        path,
        "--horizon",
        "0",
        "--target",
        "close",
        "--out",
        str(tmp_path / "o"),
    )
    assert "prediction_length" in message


def test_wrong_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--no-such" in expect_failure(capsys, "forecast", "--no-such", code=2)
    assert "nosuch" in expect_failure(capsys, "nosuch", code=2)


@pytest.mark.parametrize("command", ["forecast", "backtest", "tune"])
def test_neither_table_nor_dataset_is_wrong_usage(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "a table or --dataset, got neither" in expect_failure(capsys, command, code=2)
    both = expect_failure(capsys, command, "prices.csv", "--dataset", "sp500", code=2)
    assert "got both" in both


def test_a_bare_export_names_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Missing argument 'model'" in expect_failure(capsys, "export", code=2)


def test_a_bare_gatewise_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    bare = capsys.readouterr()
    assert run(["--help"]) == 0
    asked = capsys.readouterr()
    assert bare == asked
    assert bare.err == ""
    assert bare.out.splitlines()[0].strip().startswith("Usage: gatewise")
    assert len(bare.out.splitlines()) > 8
    done = subprocess.run(
        [sys.executable, "-m", "gatewise"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, bare.out, "")


def test_a_command_that_is_told_nothing_says_so_before_it_imports_anything_heavy() -> None:
    code = (
        "import sys; from gatewise.cli.main import run; assert run(['forecast']) == 2;"
        "heavy = {'torch', 'polars', 'statsforecast'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_folder_that_cannot_be_made_fails_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    path = write(tmp_path, frame())
    message = expect_failure(
        capsys, "forecast", path, *FORECAST, "--out", str(tmp_path / "file" / "out")
    )
    assert "Not a directory" in message


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """On a small tmpfs of its own, in a mount namespace; needs the right to make one."""
    path = write(tmp_path, frame())
    disk = tmp_path / "disk"
    disk.mkdir()
    probe = ["unshare", "--mount", "true"]
    if sys.platform != "linux" or subprocess.run(probe, check=False).returncode:
        pytest.skip("no mount namespaces here")
    command = (
        f"mount -t tmpfs -o size=16k tmpfs {disk} && "
        f"{sys.executable} -m gatewise forecast {path} {' '.join(FORECAST)} --out {disk}/out; "
        f"code=$?; find {disk} -mindepth 1; exit $code"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_truncated_or_altered_model_file_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, frame())
    out = tmp_path / "out"
    assert run(["forecast", path, *FORECAST, "--out", str(out)]) == 0
    capsys.readouterr()
    whole = (out / "model.safetensors").read_bytes()
    model = tmp_path / "model.safetensors"
    altered = bytearray(whole)
    altered[-5] ^= 1
    for content in (whole[:-100], whole[:20], bytes(altered), b""):
        model.write_bytes(content)
        message = expect_failure(
            capsys, "forecast", path, "--model", str(model), "--out", str(tmp_path / "again")
        )
        assert "model.safetensors" in message
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["--horizon", "5", "--seed", "1"], "--horizon, --seed"),
        (["--dataset", "sp500"], "--dataset"),
        (["--folds", "0"], "--folds"),
        (["--pretrained"], "--pretrained"),
    ],
)
def test_with_a_saved_model_no_option_of_a_fit_is_ignored(
    given: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    message = expect_failure(
        capsys, "forecast", "a.csv", "--model", "m.safetensors", *given, code=2
    )
    assert f"{named}: a saved model is not fitted again" in message


# Soon: the worker processes still import.
@pytest.mark.parametrize("seconds", [0.2, 1.0])
def test_ctrl_c_says_where_it_stopped_and_leaves_nothing(tmp_path: Path, seconds: float) -> None:
    path = write(tmp_path, frame(1500))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "gatewise", "forecast", path, *FORECAST, "--out", str(out)]
    command[command.index("--folds") + 1] = "60"
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not out.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: every process of the group
    stdout, stderr = process.communicate(timeout=60)
    # Python itself dies of the signal if it hits code that was running in exec(); a shell calls
    # both 130.
    assert process.returncode in (130, -signal.SIGINT)
    assert stdout == ""
    assert "gatewise: Interrupted at " in stderr
    assert "Traceback" not in stderr
    assert not out.exists()


def test_an_early_ctrl_c_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gatewise.cli.source.open_source", interrupted)
    path = write(tmp_path, frame())
    assert "Interrupted" in expect_failure(capsys, "forecast", path, *FORECAST, code=130)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--threads", "0"), ("--refit-every", "0"), ("--folds", "-1"), ("--levels", "80,abc")],
)
def test_options_out_of_range_fail(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, frame())
    assert option in expect_failure(capsys, "forecast", path, *FORECAST, option, value)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", "is no file of options"),
        ("[1]", "is no file of options"),
        ('{"hiden_size": 8}', "Unknown option 'hiden_size'"),
        ('{"dropout": "much"}', "has no such value"),
        ('{"seed": 3}', "holds 'seed'"),
        (None, "There is no file of options"),
    ],
)
def test_a_file_that_holds_no_options_fails(
    content: str | None, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, options = write(tmp_path, frame()), tmp_path / "best.json"
    if content is not None:
        options.write_text(content)
    arguments = ("forecast", path, *FORECAST, "--options", str(options))
    assert fault in expect_failure(capsys, *arguments, "--out", str(tmp_path / "out"))


def test_tune_refuses_what_it_cannot_write_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, frame())
    asked = ("tune", path, "--time", "date", "--target", "close", "--horizon", "4")
    out = str(tmp_path / "no" / "best.json")
    assert "There is no folder" in expect_failure(capsys, *asked, "--out", out)
    assert "trials is 0" in expect_failure(capsys, *asked, "--trials", "0")


def test_the_cell_that_is_no_number_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = frame().with_columns(pl.col("close").cast(pl.String))
    values = table["close"].to_list()
    values[9] = "abc"
    path = write(tmp_path, table.with_columns(close=pl.Series(values)))
    assert "'abc' in row 9" in expect_failure(capsys, "forecast", path, *FORECAST)


def test_a_header_that_names_a_column_twice_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("date,close,close\n2024-01-01,1,2\n2024-01-02,2,3\n")
    assert "two columns 'close'" in expect_failure(capsys, "forecast", str(path), *FORECAST)


def test_a_pipe_is_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    path = str(tmp_path / "pipe")
    assert "not a regular file" in expect_failure(capsys, "forecast", path, *FORECAST)


def test_awkward_names_and_locales_and_a_closed_stdout_work(tmp_path: Path) -> None:
    path = write(tmp_path, frame(), "pré fix ü.csv")
    command = [sys.executable, "-m", "gatewise", "forecast", path, *FORECAST]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command, "--out", str(tmp_path / "out")],
        capture_output=True, check=False, env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "forecast.csv").exists()


SHORT = ("--target", "sales", "--horizon", "4", "--pretrained")


def monthly(folder: Path, rows: int) -> str:
    start = np.datetime64("2005-01")
    season = 10 * np.sin(2 * np.pi * np.arange(rows) / 12)
    table = pl.DataFrame(
        {
            "date": pl.Series((start + np.arange(rows)).astype("datetime64[D]")),
            "sales": 100 + season + np.random.default_rng(0).normal(size=rows),
        }
    )
    return write(folder, table, "sales.csv")


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (40, "note: 7 folds fit into the table, not 8: the backtest has so many."),
        (15, "note: The table is too short for a backtest, so there is none."),
    ],
)
def test_a_table_too_short_for_eight_folds_is_forecast_by_default(
    rows: int, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = monthly(tmp_path, rows), tmp_path / "out"
    asked = ("forecast", path, *SHORT, "--refit-every", "8", "--threads", "1")
    assert run([*asked, "--out", str(out)]) == 0
    assert told in capsys.readouterr().err
    assert told.removeprefix("note: ") in (out / "report.html").read_text()
    refused = expect_failure(capsys, *asked, "--folds", "8", "--out", str(out))
    assert "for 8 folds of 4 rows. Use " in refused


def test_a_backtest_of_a_table_too_short_for_one_fold_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("backtest", monthly(tmp_path, 15), *SHORT)
    assert "expected at least 16 for 1 fold of 4 rows" in expect_failure(capsys, *asked)
