"""LSTM weights through safetensors files, and what is said of files that are not such."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from gatewise import Cell, runtime
from gatewise.errors import ConfigError, ModelFileError
from gatewise.nn import LSTM
from gatewise.weights import (
    FORMAT,
    LSTMConfig,
    expected_shapes,
    from_module,
    load_lstm,
    parameter_suffix,
    save_lstm,
)

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


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "m.safetensors"
    save_lstm(LSTM(4, 6, num_layers=2), path)
    return path


def rewrite(path, change_arrays=None, change_header=None, drop_header=False):
    with safe_open(path, framework="numpy") as f:
        header = json.loads(f.metadata()[FORMAT])
        arrays = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118
    if change_arrays:
        change_arrays(arrays)
    if change_header:
        header = change_header(header) or header
    text = header if isinstance(header, str) else json.dumps(header)
    save_file(arrays, path, metadata=None if drop_header else {FORMAT: text})


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


def test_a_file_from_before_zoneout_and_learnt_states_is_loaded(saved):
    def older(header):
        return {k: v for k, v in header.items() if k not in {"zoneout", "learn_initial_state"}}

    rewrite(saved, change_header=older)
    assert load_lstm(saved).config == LSTMConfig(4, 6, num_layers=2)


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


def test_weights_that_are_views_are_saved_as_their_numbers(tmp_path):
    weights = from_module(LSTM(4, 6))
    turned = {k: np.asfortranarray(v) for k, v in weights.arrays.items()}
    save_lstm(replace(weights, arrays=turned), tmp_path / "a")
    for name, value in load_lstm(tmp_path / "a").arrays.items():
        np.testing.assert_array_equal(value, weights.arrays[name])


def test_layer_picks_one_direction_by_the_names_of_the_equations():
    lstm = LSTM(4, 6, num_layers=2, bidirectional=True)
    own = from_module(lstm).layer(1, 1)
    assert own.keys() == {"w_ih", "w_hh", "b_ih", "b_hh"}
    np.testing.assert_array_equal(own["w_hh"], lstm.weight_hh_l1_reverse.detach())
    assert parameter_suffix(1, 1) == "_l1_reverse"


def refused(path, fault):
    with pytest.raises(ModelFileError, match=fault) as caught:
        runtime.load(path)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("left", [0, 4, 8, 100, -1])
def test_a_truncated_file_is_refused(saved, left):
    saved.write_bytes(saved.read_bytes()[:left])
    refused(saved, "not a readable safetensors file")


@pytest.mark.parametrize("content", [b"hello", b"\x80\x04K\x01.", b"\xff" * 4096])
def test_a_foreign_file_is_refused(saved, content):
    saved.write_bytes(content)
    refused(saved, "not a readable safetensors file")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    refused(tmp_path / "no.safetensors", r"There is no model file '.*no\.safetensors'")
    refused(tmp_path, "There is no model file")


def test_a_safetensors_file_of_others_is_refused(saved):
    rewrite(saved, drop_header=True)
    refused(saved, "has no 'gatewise-lstm' header")


def test_another_shape_is_refused_by_name(saved):
    rewrite(saved, lambda a: a.update(weight_hh_l1=np.zeros((24, 5), np.float32)))
    refused(saved, r"weight_hh_l1 expected \(24, 6\), got \(24, 5\)")


def test_a_missing_and_an_extra_parameter_are_refused_by_name(saved, tmp_path):
    rewrite(saved, lambda a: a.pop("bias_ih_l0"))
    refused(saved, r"bias_ih_l0 expected \(24,\), got absent")
    save_lstm(LSTM(4, 6), saved)
    rewrite(saved, lambda a: a.update(more=np.zeros(1)))
    refused(saved, r"more expected absent, got \(1,\)")


@pytest.mark.parametrize(
    "change",
    [
        lambda h: "{",
        lambda h: "[]",
        lambda h: "null",
        lambda h: "3",
        lambda h: h.pop("hidden_size") and h,
        lambda h: h | {"colour": "red"},
        lambda h: h | {"hidden_size": 7},
        lambda h: h | {"hidden_size": "6"},
        lambda h: h | {"num_layers": "2"},
        lambda h: h | {"num_layers": -1},
        lambda h: h | {"version": 99},
        lambda h: h | {"cell": None},
        lambda h: h | {"cell": h["cell"] | {"candidate": "tanhh"}},
        lambda h: h | {"cell": h["cell"] | {"peephole": 1}},
        lambda h: h | {"proj_size": 9},
        lambda h: h | {"zoneout": [0.1]},
        lambda h: h | {"zoneout": [0.1, 1.0]},
        lambda h: h | {"zoneout": [True, 0.1]},
        lambda h: h | {"zoneout": 0.1},
        lambda h: h | {"learn_initial_state": 1},
        lambda h: h | {"learn_initial_state": True},
    ],
)
def test_a_damaged_header_is_refused(saved, change):
    rewrite(saved, change_header=change)
    refused(saved, "m.safetensors")


@pytest.mark.parametrize("dtype", [np.int64, np.float16, np.bool_])
def test_parameters_of_a_dtype_that_cannot_run_are_refused(saved, dtype):
    rewrite(saved, lambda a: a.update({k: v.astype(dtype) for k, v in a.items()}))
    refused(saved, "m.safetensors")


def test_parameters_of_mixed_dtypes_are_refused(saved):
    rewrite(saved, lambda a: a.update(weight_hh_l0=a["weight_hh_l0"].astype(np.float64)))
    refused(saved, "m.safetensors")


def test_a_failed_save_leaves_the_old_model_and_nothing_else(saved, monkeypatch):
    before = saved.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gatewise.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_lstm(LSTM(9, 9), saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]
