"""gatewise bench: tables, JSON, a file; errors in one line."""

import json

import pytest

import gatewise.bench
from gatewise.cli.main import run

SMALL = ("--quick", "--shapes", "2x3x4x5", "--peers", "gatewise-runtime,torch")
RESULT = {
    "machine": {"load": 2.5},
    "peaks": {"gflops": {}},
    "missing": {"jax": "not installed (No module named 'jax')"},
    "faults": [],
    "rows": [
        {
            "mode": "streaming",
            "shape": {"B": 1, "T": 1, "I": 4, "H": 5, "layers": 1, "bidirectional": False},
            "flops": 360.0,
            "threads": 2,
            "times": {"gatewise-runtime": {"median": 2e-6}, "torch": {"median": 9e-6}},
        }
    ],
}
FAULT = {
    "peer": "jax",
    "mode": "inference",
    "shape": "2x3x4x5",
    "threads": 1,
    "fault": "jax is 0.2 away",
}


@pytest.fixture
def measured(monkeypatch):
    """What would be measured, without measuring."""
    plans = []

    def measure(plan, command, progress):
        plans.append(plan)
        return RESULT

    monkeypatch.setattr(gatewise.bench, "run", measure)
    return plans


def failure(capsys, *arguments, code=1):
    assert run(["bench", *arguments]) == code
    lines = [k for k in capsys.readouterr().err.splitlines() if k.startswith("gatewise:")]
    assert len(lines) == 1
    return lines[0]


def test_a_small_one_from_end_to_end(tmp_path, capsys):
    out = tmp_path / "speed.json"
    assert run(["bench", *SMALL, "--modes", "inference", "--json", "--out", str(out)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(out.read_text())
    (row,) = printed["rows"]
    assert {*row["times"]} == {"gatewise-runtime", "torch"}
    assert printed["command"].startswith("gatewise")


def test_the_table_shows_times_and_the_ratio(measured, capsys):
    assert run(["bench", "--quick"]) == 0
    captured = capsys.readouterr()
    table = " ".join(captured.out.split())
    assert "streaming, 2 threads, 4.50 on average" in table
    assert "BxTxIxH gatewise-runtime, µs torch, µs best peer / ours" in table
    assert "1x1x4x5 2.00 9.00 4.50" in table
    assert "note: left out jax" in captured.err
    assert "other programs were running (load 2.5)" in captured.err
    assert "pip install 'gatewise[bench]'" in captured.err


def test_quick_is_short_and_whole_is_all(measured):
    assert run(["bench", "--quick"]) == 0
    assert run(["bench"]) == 0
    assert run(["bench", "--modes", "training", "--threads", "3,4"]) == 0
    quick, whole, part = measured
    assert quick.threads == (1,)
    assert len(quick.cases) < 10 < len(whole.cases)
    assert not quick.contended
    assert whole.turns > quick.turns
    assert part.threads == (3, 4)
    assert {case.mode for case in part.cases} == {"training"}
    assert not part.contended


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--shapes", "32x100"], "BxTxIxH"),
        (["--modes", "trainig"], "Did you mean 'training'"),
        (["--peers", "gatewise,torhc"], "Did you mean 'torch'"),
        (["--peers", "torch"], "one of ours"),
        (["--threads", "two"], "--threads"),
        (["--threads", "0"], "at least 1"),
        (["--out", "nowhere/speed.json"], "nowhere"),
    ],
)
def test_what_cannot_be_measured_fails_in_one_line(arguments, hint, measured, capsys):
    assert hint in failure(capsys, *arguments)
    assert measured == []


def test_numbers_that_differ_fail_after_the_table(monkeypatch, capsys):
    monkeypatch.setattr(gatewise.bench, "run", lambda *_: RESULT | {"faults": [FAULT]})
    assert "inference of 2x3x4x5 on 1 threads: jax is 0.2 away" in failure(capsys)
