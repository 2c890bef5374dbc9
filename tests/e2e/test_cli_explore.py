"""gatewise explore: a page of a saved LSTM, of a checkpoint, of a forecaster; wrong arguments."""

import json
import re

import numpy as np
import polars as pl
import pytest
import torch

from gatewise.cli.main import run
from gatewise.weights import save_lstm


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(2, 3)
    save_lstm(lstm, "model.safetensors")
    torch.save({"core." + k: v for k, v in lstm.state_dict().items()}, "model.pt")
    rng = np.random.default_rng(0)
    days = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 2, 9), "1d", eager=True)
    pl.DataFrame({"day": days, "a": rng.normal(size=40), "b": rng.normal(size=40)}).write_csv(
        "data.csv"
    )
    return tmp_path


def data_of(path):
    (text,) = re.findall(r'id="gatewise-data">(.*?)</script>', path.read_text("utf-8"), re.DOTALL)
    return json.loads(text)


def test_a_saved_lstm_and_a_table(folder, capsys):
    assert run(["explore", "model.safetensors", "data.csv", "--no-open"]) == 0
    assert "Wrote explore.html" in capsys.readouterr().out
    (model,) = data_of(folder / "explore.html")["models"]
    assert model["inputs"] == ["a", "b"]
    assert model["series"][0]["x"]["shape"] == [40, 2]
    assert model["series"][0]["time"][0].startswith("2024-01-01")


def test_a_checkpoint_without_a_table_reads_noise(folder, capsys):
    command = ["explore", "--torch", "model.pt", "--out", "a.html", "--no-open", "--json"]
    assert run(command) == 0
    assert json.loads(capsys.readouterr().out)["file"] == "a.html"
    (model,) = data_of(folder / "a.html")["models"]
    assert "noise" in model["about"]


def test_a_forecaster_brings_its_forecast(folder):
    from gatewise.forecast import Forecaster

    table = pl.DataFrame({"ds": range(80), "y": [20.0 + t % 12 for t in range(80)]})
    Forecaster.pretrained(3).fit(table).save("f.safetensors")
    assert run(["explore", "f.safetensors", "--out", "f.html", "--no-open"]) == 0
    (model,) = data_of(folder / "f.html")["models"]
    (fan,) = model["forecast"]["series"]
    assert fan["time"] == ["80", "81", "82"]
    assert np.allclose(fan["quantiles"]["0.5"], [28, 29, 30], atol=0.5)
    assert list(fan["quantiles"]) == sorted(fan["quantiles"], key=float)
    assert model["series"][0]["target"]["values"][-1] == 20.0 + 79 % 12


def test_drivers_that_are_known_ahead(folder, capsys):
    from gatewise.forecast import Forecaster

    table = pl.DataFrame({
        "ds": range(80), "y": [20.0 + t % 12 for t in range(80)], "hol": [t % 7 for t in range(80)],
    })  # fmt: skip
    Forecaster(3, seed=1, max_epochs=1).fit(table, future=["hol"]).save("f.safetensors")
    assert run(["explore", "f.safetensors", "--out", "f.html", "--no-open"]) == 0
    (model,) = data_of(folder / "f.html")["models"]
    assert "forecast" not in model
    assert "known ahead, which were not given" in model["about"]
    ahead = table.tail(3).with_columns(ds=pl.col("ds") + 3, y=pl.lit(None, pl.Float64))
    pl.concat([table, ahead]).write_csv("all.csv")
    assert run(["explore", "f.safetensors", "all.csv", "--out", "f.html", "--no-open"]) == 0
    assert data_of(folder / "f.html")["models"][0]["forecast"]["series"]


@pytest.mark.parametrize(("command", "code", "fault"), [
    (["model.safetensors", "--torch", "model.pt", "data.csv"], 2, ""),
    (["nothing.safetensors"], 1, "nothing.safetensors"),
    (["model.safetensors", "nothing.csv"], 1, "nothing.csv"),
    (["model.safetensors", "data.csv", "--out", "none/a.html"], 1, "no folder 'none'"),
    (["model.safetensors", "data.csv", "--out", "."], 1, "expected a file"),
    (["model.safetensors", "data.csv", "--out", "data.csv"], 1, "which is read"),
    (["model.safetensors", "data.csv", "--columns", "a"], 1, "1 input columns"),
    (["model.safetensors", "data.csv", "--steps", "-1"], 1, "expected 0 or more"),
    (["data.csv"], 1, "data.csv"),
    (["model.safetensors", "--columns", "a"], 1, "there is no table"),
    (["model.safetensors", "data.csv", "--lstm", "a"], 1, "expected --torch"),
    (["model.safetensors", "data.csv", "--future", "data.csv"], 1, "for a forecaster"),
])  # fmt: skip
def test_wrong_arguments_write_nothing(folder, capsys, command, code, fault):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert run(["explore", *command, "--no-open"]) == code
    assert fault in capsys.readouterr().err
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_a_pickle_is_not_run(folder, capsys):
    """A checkpoint whose reading would run code is refused, and the code does not run."""

    class Evil:
        def __reduce__(self):
            return (open, ("owned", "w"))

    torch.save({"weight": Evil()}, "evil.pt")
    assert run(["explore", "--torch", "evil.pt", "--no-open"]) == 1
    assert not (folder / "owned").exists()
    assert not (folder / "explore.html").exists()
