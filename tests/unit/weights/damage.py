"""Model files changed on purpose, and how a refusal must look."""

import json

import pytest
from safetensors.numpy import save

from gatewise import runtime
from gatewise.errors import ModelFileError
from gatewise.sealed import seal, unpack
from gatewise.weights import (
    FORMAT,
    VERSION,
)


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


def refused(path, fault):
    with pytest.raises(ModelFileError, match=fault) as caught:
        runtime.load(path)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 600
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


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
