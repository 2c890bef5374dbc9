"""LSTM weights through safetensors files, and what is said of files that are not such."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from gatewise import Cell, runtime
from gatewise.errors import ConfigError, DtypeError, ModelFileError, ShapeError
from gatewise.nn import LSTM
from gatewise.sealed import seal, unpack
from gatewise.weights import (
    FORMAT,
    VERSION,
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


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "m.safetensors"
    save_lstm(LSTM(4, 6, num_layers=2), path)
    return path


def rewrite(path, change_arrays=None, change_header=None, version=VERSION):
    """Change what a file holds, under a checksum that fits again; version 1 has none."""
    header, arrays = unpack(path.read_bytes(), FORMAT)
    header = {k: v for k, v in header.items() if k not in {"version", "sha256"}}
    if change_arrays:
        change_arrays(arrays)
    if change_header:
        header = change_header(header)
    if version == 1:
        text = header if isinstance(header, str) else json.dumps(header | {"version": 1})
        path.write_bytes(save(arrays, {FORMAT: text}))
    else:
        path.write_bytes(seal(arrays, header, FORMAT, version))


def put_header(path, text):
    """Put a text in place of the header, which is JSON in JSON."""
    _, arrays = unpack(path.read_bytes(), FORMAT)
    path.write_bytes(save(arrays, {FORMAT: text}))


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
    with pytest.raises(DtypeError, match="float16: expected float32 or float64"):
        save_lstm(torch.nn.LSTM(4, 6).half(), tmp_path / "m")
    assert not [*tmp_path.iterdir()]


def test_weights_that_are_views_are_saved_as_their_numbers(tmp_path):
    weights = from_module(LSTM(4, 6))
    turned = {k: np.asfortranarray(v) for k, v in weights.arrays.items()}
    save_lstm(replace(weights, arrays=turned), tmp_path / "a")
    for name, value in load_lstm(tmp_path / "a").arrays.items():
        np.testing.assert_array_equal(value, weights.arrays[name])


def refused(path, fault):
    with pytest.raises(ModelFileError, match=fault) as caught:
        runtime.load(path)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 600
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
    saved.write_bytes(save(load_lstm(saved).arrays))
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
        lambda h: without(h, "hidden_size"),
        lambda h: without(h, "batch_first"),
        lambda h: h | {"cell": without(h["cell"], "coupled")},
        lambda h: h | {"cell": h["cell"] | {"more": 1}},
        lambda h: h | {"cell": h["cell"] | {"candidate": ["tanh"]}},
        lambda h: h | {"batch_first": 0},
        lambda h: h | {"batch_first": None},
        lambda h: h | {"hidden_size": 6.0},
        lambda h: h | {"hidden_size": True},
        lambda h: h | {"hidden_size": 10**30},
        lambda h: h | {"num_layers": 10**15},
        lambda h: h | {"input_size": 0},
        lambda h: h | {"colour": "red"},
        lambda h: h | {"hidden_size": 7},
        lambda h: h | {"hidden_size": "6"},
        lambda h: h | {"num_layers": "2"},
        lambda h: h | {"num_layers": -1},
        lambda h: h | {"cell": None},
        lambda h: h | {"cell": h["cell"] | {"candidate": "tanhh"}},
        lambda h: h | {"cell": h["cell"] | {"peephole": 1}},
        lambda h: h | {"proj_size": 9},
        lambda h: h | {"proj_size": 6},
        lambda h: h | {"proj_size": -1},
        lambda h: h | {"zoneout": [0.1]},
        lambda h: h | {"zoneout": [0.1, 1.0]},
        lambda h: h | {"zoneout": [True, 0.1]},
        lambda h: h | {"zoneout": 0.1},
        lambda h: h | {"zoneout": [float("nan"), 0.1]},
        lambda h: h | {"zoneout": [1, 0.1]},
        lambda h: h | {"learn_initial_state": 1},
        lambda h: h | {"learn_initial_state": True},
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_a_damaged_header_is_refused(saved, change, version):
    rewrite(saved, change_header=change, version=version)
    refused(saved, "m.safetensors' (has a damaged header|does not hold what its header says)")


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "null", "3", "{}", '{"version": 2}', '{"version": true}', '{"version": [2]}',
     "[" * 100_000, '{"version": ' * 100_000, '{"version": 2, "version": 2}',
     '{"version": ' + "9" * 5000 + "}", '{"version": "' + "x" * 3_000_000 + '"}',
     '{"version": 1, "' + "x" * 3_000_000 + '": 1}'],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_a_header_that_is_something_else_is_refused(saved, text):
    put_header(saved, text)
    refused(saved, "m.safetensors' (has a damaged header|has format version|was altered)")


def test_a_long_name_of_an_activation_is_refused_at_once(saved):
    rewrite(saved, change_header=lambda h: h | {"cell": h["cell"] | {"candidate": "t" * 2 * 10**7}})
    refused(saved, "damaged header.*candidate has no activation 'ttt")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, "is a scaled 'tanh'"),
        ({"scale": 1}, "has the scale 1: expected a finite float"),
        ({"slope": float("inf")}, "has the slope inf"),
        ({"shift": float("nan")}, "has the shift nan"),
        ({"more": 1.0}, "in candidate 'more' is not known"),
    ],
)
def test_a_scaled_activation_is_read_strictly(saved, change, fault):
    site = {"name": "tanh", "scale": 0.5, "slope": 2.0, "shift": 0.5} | change
    rewrite(saved, change_header=lambda h: h | {"cell": h["cell"] | {"candidate": site}})
    refused(saved, fault)


@pytest.mark.parametrize("version", [0, 3, 99])
def test_another_version_is_refused(saved, version):
    rewrite(saved, version=version)
    refused(saved, f"has format version {version}: expected 2")


def test_an_altered_tensor_or_header_is_refused(saved):
    content = bytearray(saved.read_bytes())
    for place in (-1, -100, len(content) // 2):
        altered = content.copy()
        altered[place] ^= 1
        saved.write_bytes(altered)
        refused(saved, "was altered")
    put_header(saved, json.dumps(unpack(bytes(content), FORMAT)[0] | {"batch_first": True}))
    refused(saved, "was altered")


def test_tensors_that_changed_places_are_refused(saved):
    def swap(header):
        a, b = header["weight_hh_l0"], header["weight_hh_l1"]
        a["data_offsets"], b["data_offsets"] = b["data_offsets"], a["data_offsets"]

    saved.write_bytes(relaid(saved.read_bytes(), swap))
    refused(saved, "was altered")


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h["weight_hh_l0"].update(data_offsets=h["weight_hh_l1"]["data_offsets"]),
        lambda h: h["weight_hh_l0"].update(shape=[2**62, 4]),
        lambda h: h["weight_hh_l0"].update(shape=[-24, -6]),
        lambda h: h["weight_hh_l0"].update(dtype="F64"),
        lambda h: h["weight_hh_l0"].update(dtype="Q7"),
        lambda h: h.pop("weight_hh_l0"),
        lambda h: h.update(__metadata__=None),
        lambda h: h.update(__metadata__={FORMAT: 3}),
    ],
)
def test_a_layout_that_does_not_fit_the_bytes_is_refused(saved, change):
    saved.write_bytes(relaid(saved.read_bytes(), change))
    refused(saved, "is not a readable safetensors file|has no 'gatewise-lstm' header")


@pytest.mark.parametrize("key", ["__metadata__", "weight_hh_l0"])
def test_a_key_that_stands_there_twice_is_refused(saved, key):
    size, content = header_size(saved.read_bytes()), saved.read_bytes()
    header = json.loads(content[8 : 8 + size])
    text = json.dumps(header)[:-1] + f", {json.dumps(key)}: {json.dumps(header[key])}}}"
    saved.write_bytes(len(text).to_bytes(8, "little") + text.encode() + content[8 + size :])
    refused(saved, "stands there twice|duplicate")


def header_size(content):
    return int.from_bytes(content[:8], "little")


def relaid(content, change):
    """The file with a change of safetensors' own header."""
    size = header_size(content)
    header = json.loads(content[8 : 8 + size])
    change(header)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def without(header, key):
    return {k: v for k, v in header.items() if k != key}


@pytest.mark.parametrize("more", [b"\0", b"x" * 1000])
def test_bytes_after_the_last_tensor_are_refused(saved, more):
    saved.write_bytes(saved.read_bytes() + more)
    refused(saved, "is not a readable safetensors file")


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "loop", tmp_path / "dangling",
                 "/dev/null", "a\0b", "x" * 3_000_000, ""):  # fmt: skip
        refused(path, "There is no model file")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads everything")
def test_a_file_that_may_not_be_read_is_refused(saved):
    saved.chmod(0)
    refused(saved, "There is no model file .*Permission denied")


def test_a_refusal_by_the_system_is_told(saved, monkeypatch):
    def refuses(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("gatewise.files.os.open", refuses)
    refused(saved, "There is no model file .*Permission denied")


def test_a_model_outlives_its_file(saved):
    model = runtime.load(saved)
    expected = LSTMWeights(
        model.weights.config, {k: v.copy() for k, v in model.weights.arrays.items()}
    )
    os.truncate(saved, 0)
    assert model.weights == expected
    assert np.isfinite(model.run(np.ones((2, 4), np.float32))[0]).all()


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
