"""Arrays and a JSON header in one safetensors file, under a hash.

Every file that gatewise reads back is one: LSTMs, forecasters, pretrained networks, finished folds.
Nothing in such a file is executed when it is read. A file that was cut short, altered or written by
something else is told from a whole one.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from gatewise.errors import ModelFileError, shortened, shown
from gatewise.files import read_whole

Arrays = dict[str, NDArray[Any]]
Header = dict[str, Any]


class SealError(ValueError):
    """A file is not what `seal` made; says why, as the end of a sentence about the file."""


def seal(arrays: Arrays, header: Header, kind: str, version: int) -> bytes:
    """Return the content of a file.

    Args:
        arrays: by name.
        header: JSON values that explain them.
        kind: what is in the file.
        version: of its format.

    >>> content = seal({"a": np.arange(3)}, {"unit": "m"}, "lengths", 1)
    >>> unseal(content, "lengths", 1)
    ({'unit': 'm'}, {'a': array([0, 1, 2])})
    """
    # Copies: another thread may write to the arrays while they are read twice.
    arrays = {name: np.array(values, order="C") for name, values in arrays.items()}
    whole = header | {"version": version}
    return save(arrays, {kind: json.dumps(whole | {"sha256": _digest(arrays, whole)})})


def unseal(content: bytes, kind: str, version: int) -> tuple[Header, Arrays]:
    """Return header and arrays of a file that `seal` made.

    Raises:
        SealError: it did not, or the file is of another kind or version, cut short or altered.
    """
    header, arrays = unpack(content, kind)
    return verified(header, arrays, version), arrays


def unpack(content: bytes, kind: str) -> tuple[Header, Arrays]:
    """Return header and arrays as they stand in a file: nothing says yet that they are whole.

    Raises:
        SealError: it is not a safetensors file, or has no header of this kind with a version.
    """
    try:
        arrays = load(content)
        size = int.from_bytes(content[:8], "little")
        told = _read_json(content[8 : 8 + size].decode("utf-8")).get("__metadata__") or {}
    except KeyError as error:  # of a dtype that NumPy lacks
        raise SealError(f"holds tensors of dtype {shown(error.args[0])}") from None
    except (SafetensorError, ValueError) as error:
        raise SealError(f"is not a readable safetensors file ({shortened(error)})") from None
    if kind not in told:
        raise SealError(f"has no {kind!r} header")
    try:
        header = _read_json(told[kind])
    except ValueError as error:
        raise SealError(f"has a damaged header: {shortened(error)}") from None
    if not isinstance(header, dict) or "version" not in header:
        raise SealError("has a damaged header: it has no version")
    return header, arrays


def verified(header: Header, arrays: Arrays, version: int) -> Header:
    """Return the header without version and seal, both of which fit.

    Raises:
        SealError: the file is of another version, or was altered.
    """
    found = header["version"]
    if type(found) is not int or found != version:
        raise SealError(f"has format version {shown(found)}: expected {version}")
    if "sha256" not in header:
        raise SealError("has a damaged header: it has no sha256")
    signed = {key: value for key, value in header.items() if key != "sha256"}
    if header["sha256"] != _digest(arrays, signed):
        raise SealError("was altered: its arrays or header do not match their SHA-256")
    del signed["version"]
    return signed


def model_content(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a model file.

    Raises:
        ModelFileError: there is no such file, or it cannot be read.
    """
    try:
        return read_whole(path)
    except FileNotFoundError:
        fault = "It does not exist"
    except OSError as error:
        fault = shortened(error.strerror or error)
    raise ModelFileError(
        f"There is no model file {shown(str(Path(path)))} to read ({fault}): expected a "
        "safetensors file. Correct the path, or save the model again."
    )


def _read_json(text: str) -> Any:
    """JSON in which each key stands once, so that no two readers understand it differently."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = {}
        for key, value in pairs:
            if key in found:
                raise ValueError(f"the key {shown(key)} stands there twice")
            found[key] = value
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _digest(arrays: Arrays, header: Header) -> str:
    """SHA-256 in hexadecimal over the header, and each array's name, dtype, shape and bytes.

    The header and, for each array by name, the list [name, dtype, shape] are written as JSON with
    sorted keys and without blanks; the elements follow, little-endian, in row-major order.
    """
    digest = hashlib.sha256(_plain_json(header))
    for name in sorted(arrays):
        values = arrays[name]
        digest.update(_plain_json([name, values.dtype.name, list(values.shape)]))
        # A view as bytes, since memoryviews do not know all of NumPy's dtypes.
        digest.update(_little_endian(values).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _plain_json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _little_endian(values: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
