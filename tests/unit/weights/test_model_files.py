"""LSTMs through safetensors files: what is saved is what is loaded."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from damage import refused, rewrite

from gatewise import Cell
from gatewise.errors import ConfigError, DtypeError, ShapeError
from gatewise.nn import LSTM
from gatewise.weights import (
    LSTMConfig,
    LSTMWeights,
    expected_shapes,
    from_module,
    load_lstm,
    save_lstm,
)

DATA = Path(__file__).parent / "data"

CONFIGS = [
    {},
    {"num_layers": 3, "bidirectional": True},
    {"bias": False, "batch_first": True},
    {"proj_size": 2, "num_layers": 2},
    {"dtype": torch.float64},
    {"cell": Cell(peephole=True, candidate="relu")},
    {"cell": Cell(layer_norm=True, coupled=True), "bidirectional": True, "dtype": torch.float64},
    {"cell": Cell(peephole=True, layer_norm=True), "proj_size": 2, "num_layers": 2},
    {"learn_initial_state": True, "bidirectional": True, "proj_size": 2, "num_layers": 2},
    {"zoneout": (0.25, 0.5)},
]


@pytest.mark.parametrize("kw", CONFIGS, ids=repr)
def test_what_is_saved_is_loaded(tmp_path, kw):
    lstm = LSTM(4, 6, **kw)
    save_lstm(lstm, tmp_path / "m.safetensors")
    found = load_lstm(tmp_path / "m.safetensors")
    own = {k: v for k, v in kw.items() if k != "dtype"}
    assert found.config == LSTMConfig(4, 6, **own)
    assert found.arrays.keys() == lstm.state_dict().keys()
    for name, value in lstm.state_dict().items():
        assert found.arrays[name].dtype == value.numpy().dtype
        np.testing.assert_array_equal(found.arrays[name], value)
    assert {k: v.shape for k, v in found.arrays.items()} == expected_shapes(found.config)
    other = LSTM(4, 6, **kw)
    other.load_state_dict({k: torch.from_numpy(v) for k, v in found.arrays.items()}, strict=True)


def test_a_plain_torch_lstm_and_loaded_weights_are_saved_alike(tmp_path):
    lstm = torch.nn.LSTM(4, 6, bidirectional=True, dropout=0.0)
    save_lstm(lstm, tmp_path / "a")
    save_lstm(load_lstm(tmp_path / "a"), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


FORMAT_1 = {
    "plain": LSTMConfig(2, 3, num_layers=2, batch_first=True),
    "variant": LSTMConfig(
        2, 4, bidirectional=True, proj_size=2, zoneout=(0.25, 0.5), learn_initial_state=True,
        cell=Cell(peephole=True, coupled=True, candidate="relu"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMAT_1)
def test_a_file_of_format_1_is_loaded(name):
    # Written by the last release of that format.
    found = load_lstm(DATA / f"lstm-format-1-{name}.safetensors")
    arrays = {
        k: (np.arange(np.prod(shape), dtype=np.float32).reshape(shape) - i) / 16
        for i, (k, shape) in enumerate(expected_shapes(FORMAT_1[name]).items())
    }
    assert found == LSTMWeights(FORMAT_1[name], arrays)


def test_a_file_from_before_zoneout_and_learnt_states_is_loaded(saved):
    def older(header):
        return {k: v for k, v in header.items() if k not in {"zoneout", "learn_initial_state"}}

    rewrite(saved, change_header=older, version=1)
    assert load_lstm(saved).config == LSTMConfig(4, 6, num_layers=2)
    rewrite(saved, change_header=older)
    refused(saved, r"in header '(zoneout|learn_initial_state)' is missing")


def test_what_matters_in_training_alone_is_not_saved(tmp_path):
    lstm = LSTM(4, 6, recurrent_dropout=0.5, weight_dropout=0.5)
    save_lstm(lstm, tmp_path / "m")
    assert load_lstm(tmp_path / "m").config == LSTMConfig(4, 6)


def test_a_python_function_cannot_be_saved(tmp_path):
    with pytest.warns(UserWarning, match="step by step"):
        lstm = LSTM(4, 6, cell=Cell(candidate=lambda x: x.sin(), cell_output="relu"))
    with pytest.raises(ConfigError, match=r"a Python function as candidate: .*state_dict\(\)"):
        save_lstm(lstm, tmp_path / "m")
    assert not [*tmp_path.iterdir()]


def test_weights_that_could_not_be_loaded_are_not_saved(tmp_path):
    weights = from_module(LSTM(4, 6))
    for change, error, fault in (
        (lambda a: a.pop("weight_hh_l0"), ShapeError, "weight_hh_l0 expected"),
        (lambda a: a.update(more=np.zeros(3, np.float32)), ShapeError, "more expected absent"),
        (lambda a: a.update(bias_hh_l0=np.zeros(24)), DtypeError, "float32, float64"),
    ):
        arrays = dict(weights.arrays)
        change(arrays)
        with pytest.raises(error, match=fault):
            save_lstm(replace(weights, arrays=arrays), tmp_path / "m")
    with pytest.raises(DtypeError, match="dtype float16: expected float32 or float64"):
        save_lstm(torch.nn.LSTM(4, 6).half(), tmp_path / "m")
    assert not [*tmp_path.iterdir()]


def test_weights_that_are_views_are_saved_as_their_numbers(tmp_path):
    weights = from_module(LSTM(4, 6))
    turned = {k: np.asfortranarray(v) for k, v in weights.arrays.items()}
    save_lstm(replace(weights, arrays=turned), tmp_path / "a")
    for name, value in load_lstm(tmp_path / "a").arrays.items():
        np.testing.assert_array_equal(value, weights.arrays[name])


def test_a_failed_save_leaves_the_old_model_and_nothing_else(saved, monkeypatch):
    before = saved.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gatewise.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_lstm(LSTM(9, 9), saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]
