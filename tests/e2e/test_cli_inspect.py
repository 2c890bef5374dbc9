"""gatewise inspect: a page and findings about an LSTM, from a model file or a checkpoint."""

import json
import re

import numpy as np
import polars as pl
import pytest
import torch

from gatewise.cli.main import run
from gatewise.nn import LSTM
from gatewise.weights import save_lstm


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    lstm = LSTM(2, 5, num_layers=2)
    with torch.no_grad():
        lstm.weight_ih_l1[5 + 3] = 0
        lstm.weight_hh_l1[5 + 3] = 0
        lstm.bias_ih_l1[5 + 3] = 12.0  # layer 1's unit 3 never forgets
    save_lstm(lstm, "model.safetensors")
    model = torch.nn.ModuleDict({"rnn": lstm, "head": torch.nn.Linear(5, 1)})
    torch.save({"model": model.state_dict(), "epoch": 3}, "checkpoint.pt")
    rng = np.random.default_rng(0)
    days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 3, 31), eager=True)
    table = pl.DataFrame({"day": days, "a": rng.standard_normal(91), "b": rng.standard_normal(91)})
    table.write_csv("data.csv")
    return tmp_path


def test_a_model_file(folder, capsys):
    assert run(["inspect", "model.safetensors", "data.csv"]) == 0
    said = capsys.readouterr().out
    assert "Layer 1: Unit 3 never forgets: f > .99 at all 91 steps, and" in said
    page = (folder / "inspect.html").read_text()
    assert page.count("<svg") == 2 * 6  # each for screens and for phones
    assert "Unit 3 never forgets" in page
    assert "2024-03-31" in page
    page, live = re.sub(r' srcdoc="[^"]*"', "", page), page
    assert "gatewise-data" in live  # the explorer, which has tests of its own
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//|<script|@import|url\(http""", page)


def test_a_checkpoint_says_the_same(folder, capsys):
    assert run(["inspect", "model.safetensors", "data.csv", "--json"]) == 0
    ours = json.loads(capsys.readouterr().out)
    assert (
        run(["inspect", "--torch", "checkpoint.pt", "data.csv", "--json", "--out", "b.html"]) == 0
    )
    theirs = json.loads(capsys.readouterr().out)
    assert theirs["findings"] == ours["findings"]
    assert {f["kind"] for f in ours["findings"]} >= {"keeps", "memory", "rank"}


def test_rows_columns_and_scales(folder, capsys):
    table = pl.read_csv("data.csv").with_columns(a=pl.when(pl.col("b") > 0.9).then(pl.col("a")))
    holes = table["a"].null_count()
    table.with_columns(other=1).write_csv("holes.csv")
    command = ["inspect", "model.safetensors", "holes.csv", "--columns", "b,a", "--standardise",
               "--steps", "5", "--time", "day"]  # fmt: skip
    assert run(command) == 0
    notes = capsys.readouterr().err
    assert f"{holes} rows with missing values are left out." in notes
    assert f"The last 5 of {91 - holes} rows" in notes


@pytest.mark.parametrize(
    ("command", "code", "fault"),
    [
        (["inspect"], 2, "Expected a model and a table"),
        (["inspect", "model.safetensors"], 2, "Expected a model and a table"),
        (["inspect", "none.safetensors", "data.csv"], 1, "none.safetensors"),
        (["inspect", "data.csv", "data.csv"], 1, "data.csv"),
        (["inspect", "--torch", "data.csv", "data.csv"], 1, "expected a state_dict"),
        (
            ["inspect", "--torch", "checkpoint.pt", "data.csv", "--lstm", "rn"],
            1,
            "Did you mean 'rnn'",
        ),
        (["inspect", "model.safetensors", "data.csv", "--columns", "a"], 1, "expected the 2 that"),
        (["inspect", "model.safetensors", "data.csv", "--columns", "a,c"], 1, "no column 'c'"),
        (["inspect", "model.safetensors", "data.csv", "--time", "c"], 1, "no column 'c'"),
        (["inspect", "model.safetensors", "data.csv", "--steps", "-1"], 1, "--steps is -1"),
        (["inspect", "model.safetensors", "data.csv", "--out", "no/x.html"], 1, "no folder 'no'"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_in_one_line(folder, capsys, command, code, fault):
    assert run(command) == code
    said = capsys.readouterr().err.strip()
    assert fault in said
    assert "\n" not in said.removeprefix("note:")
    assert not (folder / "inspect.html").exists()


def test_a_checkpoint_runs_no_code(folder, capsys):
    class Evil:
        def __reduce__(self):
            return open, ("hacked", "w")

    torch.save(Evil(), "evil.pt")
    assert run(["inspect", "--torch", "evil.pt", "data.csv"]) == 1
    assert not (folder / "hacked").exists()


@pytest.mark.parametrize("out", ["model.safetensors", "data.csv", "link.csv", "."])
def test_what_is_read_is_not_written_over(folder, capsys, out):
    (folder / "link.csv").symlink_to("data.csv")
    before = {name: (folder / name).read_bytes() for name in ("model.safetensors", "data.csv")}
    assert run(["inspect", "model.safetensors", "data.csv", "--out", out]) == 1
    assert "expected a" in capsys.readouterr().err
    assert before == {name: (folder / name).read_bytes() for name in before}


def test_columns_that_are_no_numbers_for_the_lstm(folder, capsys):
    pl.read_csv("data.csv").with_columns(b=pl.lit("text")).write_csv("text.csv")
    assert run(["inspect", "model.safetensors", "text.csv", "--columns", "a,b"]) == 1
    assert "Column 'b' holds String: expected numbers" in capsys.readouterr().err
    pl.read_csv("data.csv").with_columns(b=1e300).write_csv("huge.csv")
    assert run(["inspect", "model.safetensors", "huge.csv"]) == 1
    assert "Column 'b' holds numbers beyond 3.4e+38" in capsys.readouterr().err


def test_zoneout_and_labels_that_look_like_mathematics(folder):
    save_lstm(LSTM(2, 5, zoneout=0.1), "zoneout.safetensors")
    table = pl.read_csv("data.csv").with_columns(when="$x_{" + pl.col("a").cast(str))
    table.write_csv("labels.csv")
    command = ["inspect", "zoneout.safetensors", "labels.csv", "--columns", "a,b", "--time", "when"]
    assert run(command) == 0
    assert (folder / "inspect.html").read_text().count("<svg") == 2 * 5  # all but the gradient
