"""gatewise export: a model, what is printed of it, and errors in one line."""

import json

import numpy as np
import onnxruntime
import pytest
import torch

from gatewise import Cell
from gatewise.cli.main import run
from gatewise.nn import LSTM
from gatewise.weights import save_lstm


@pytest.fixture
def saved(tmp_path):
    """Saves an LSTM; returns its file and where its model is to be."""

    def save(**options):
        torch.manual_seed(0)
        lstm = LSTM(3, 4, **options)
        save_lstm(lstm, tmp_path / "lstm.safetensors")
        return lstm, str(tmp_path / "lstm.safetensors"), tmp_path / "lstm.onnx"

    return save


def failure(capsys, *arguments, code=1):
    assert run(["export", *map(str, arguments)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("gatewise:")
    return line


def test_the_model_computes_what_the_module_does(saved, capsys):
    lstm, file, out = saved(num_layers=2)
    assert run(["export", file, str(out), "--no-state"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "inputs: x [T, B, 3]",
        "outputs: y [T, B, 4], h_n [2, B, 4], c_n [2, B, 4]",
        f"Wrote {out} (float32, opset 17)",
    ]
    assert captured.err == ""
    x = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = lstm(torch.tensor(x))[0].numpy()
    np.testing.assert_allclose(session.run(["y"], {"x": x})[0], expected, rtol=0, atol=1e-6)


def test_json_says_what_the_model_takes_and_gives(saved, capsys):
    _, file, out = saved(batch_first=True, bidirectional=True)
    assert run(["export", file, str(out), "--lengths", "--opset", "18", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "file": str(out),
        "inputs": {
            "x": ["B", "T", 3], "lengths": ["B"], "h0": [2, "B", 4], "c0": [2, "B", 4],
        },
        "outputs": {"y": ["B", "T", 8], "h_n": [2, "B", 4], "c_n": [2, "B", 4]},
        "dtype": "float32",
        "opset": 18,
    }  # fmt: skip


def test_float64_gets_a_note_unless_it_is_rounded(saved, capsys):
    _, file, out = saved(dtype=torch.float64)
    assert run(["export", file, str(out)]) == 0
    assert "note: the model is float64" in capsys.readouterr().err
    assert run(["export", file, str(out), "--float32"]) == 0
    captured = capsys.readouterr()
    assert "(float32, " in captured.out
    assert captured.err == ""


def test_what_cannot_be_written_fails_in_one_line_and_leaves_nothing(saved, capsys, tmp_path):
    _, file, out = saved(cell=Cell(layer_norm=True))
    assert "no layer norm" in failure(capsys, file, out)
    assert "no model file" in failure(capsys, tmp_path / "nowhere", out)
    (tmp_path / "text").write_text("no model")
    assert "not a readable safetensors file" in failure(capsys, tmp_path / "text", out)
    assert not out.exists()
    _, file, _ = saved()
    assert "no folder" in failure(capsys, file, tmp_path / "nowhere" / "lstm.onnx")
    assert "opset is 3" in failure(capsys, file, out, "--opset", 3)
    assert "Is a directory" in failure(capsys, file, tmp_path)
    assert not [p for p in tmp_path.iterdir() if p.name not in ("text", "lstm.safetensors")]


def test_wrong_usage_is_exit_code_2(capsys):
    assert "out" in failure(capsys, "lstm.safetensors", code=2)
