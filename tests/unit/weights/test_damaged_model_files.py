"""Every file that is not what was saved is refused, by name and at once."""

import json
import os

import numpy as np
import pytest
from damage import header_size, put_header, refused, relaid, rewrite, without
from safetensors.numpy import save

from gatewise import runtime
from gatewise.nn import LSTM
from gatewise.sealed import unpack
from gatewise.weights import (
    FORMAT,
    LSTMWeights,
    load_lstm,
    save_lstm,
)


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
        ({"name": "tanhh"}, "There is no activation 'tanhh'"),
        ({"scale": 1}, "has the scale 1: expected a float"),
        ({"scale": 0.0}, "scale of the activation 'tanh' is 0.0: expected a finite number"),
        ({"slope": float("inf")}, "damaged header|is not"),
        ({"shift": float("nan")}, "damaged header|is not"),
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
