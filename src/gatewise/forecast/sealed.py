"""Arrays and a JSON header in one safetensors file, under a hash.

Nothing in such a file is executed when it is read. A file that was cut short, altered or written by
something else is told from a whole one.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

Arrays = dict[str, NDArray[Any]]


class SealError(ValueError):
    """A file is not what `seal` made; says why, as the end of a sentence about the file."""


def seal(arrays: Arrays, header: dict[str, Any], kind: str, version: int) -> bytes:
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
    arrays = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    whole = header | {"version": version}
    return save(arrays, {kind: json.dumps(whole | {"sha256": _digest(arrays, whole)})})


def unseal(content: bytes, kind: str, version: int) -> tuple[dict[str, Any], Arrays]:
    """Return header and arrays of a file that `seal` made.

    Raises:
        SealError: it did not, or the file is of another kind or version, cut short or altered.
    """
    try:
        arrays = load(content)
        size = int.from_bytes(content[:8], "little")
        told = json.loads(content[8 : 8 + size]).get("__metadata__", {})
    except (SafetensorError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise SealError(f"is not a readable safetensors file ({reason})") from None
    if kind not in told:
        raise SealError(f"has no {kind!r} header")
    try:
        header = json.loads(told[kind])
        found, seal_of = header["version"], header.pop("sha256")
    except (KeyError, TypeError, ValueError, AttributeError):
        raise SealError("has a damaged header") from None
    if found != version:
        raise SealError(f"has format version {found}: expected {version}")
    if seal_of != _digest(arrays, header):
        raise SealError("was altered: its arrays or header do not match their SHA-256")
    del header["version"]
    return header, arrays


def _digest(arrays: Arrays, header: dict[str, Any]) -> str:
    """Of the arrays as safetensors stores them, in a fixed order, and of the header."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    digest.update(save({name: arrays[name] for name in sorted(arrays)}))
    return digest.hexdigest()
