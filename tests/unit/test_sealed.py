"""What is sealed is unsealed; the checksum covers names, dtypes, shapes, bytes and header."""

import hashlib

import numpy as np
import pytest

from gatewise.sealed import SealError, seal, unpack, unseal, verified

ARRAYS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.array(True),
    "none": np.zeros((0, 3), np.int64),
}
HEADER = {"unit": "m", "nan": float("nan"), "list": [1, 2.5, None]}


def test_header_and_arrays_come_back():
    header, arrays = unseal(seal(ARRAYS, HEADER, "kind", 3), "kind", 3)
    assert repr(header) == repr(HEADER)
    assert arrays.keys() == ARRAYS.keys()
    for name, a in ARRAYS.items():
        assert arrays[name].dtype == a.dtype
        assert arrays[name].flags.aligned
        np.testing.assert_array_equal(arrays[name], a)


def test_the_checksum_is_the_documented_one():
    header, _ = unpack(seal({"x": ARRAYS["b"]}, {"k": 1}, "kind", 3), "kind")
    told = b'{"k":1,"version":3}' + b'["x","float32",[2,3]]' + ARRAYS["b"].tobytes()
    assert header["sha256"] == hashlib.sha256(told).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a | {"b": a["b"] + 1},
        lambda a: a | {"b": a["b"].reshape(3, 2)},
        lambda a: a | {"b": a["b"].view(np.int32)},
        lambda a: {"c" if k == "b" else k: v for k, v in a.items()},
        lambda a: {k: v for k, v in a.items() if k != "none"},
        lambda a: a | {"more": np.zeros(0)},
    ],
)
def test_other_arrays_do_not_fit_the_seal(change):
    header, arrays = unpack(seal(ARRAYS, HEADER, "kind", 3), "kind")
    verified(header, arrays, 3)
    with pytest.raises(SealError, match="was altered"):
        verified(header, change(arrays), 3)


@pytest.mark.parametrize("change", [{"unit": "km"}, {"more": 1}, {"sha256": None}, {"list": [1]}])
def test_another_header_does_not_fit_the_seal(change):
    header, arrays = unpack(seal(ARRAYS, HEADER, "kind", 3), "kind")
    with pytest.raises(SealError, match="was altered"):
        verified(header | change, arrays, 3)


@pytest.mark.parametrize("version", [2, 4, True, 3.0, "3", None])
def test_another_version_is_refused(version):
    header, arrays = unpack(seal(ARRAYS, HEADER, "kind", 3), "kind")
    with pytest.raises(SealError, match="has format version"):
        verified(header | {"version": version}, arrays, 3)
