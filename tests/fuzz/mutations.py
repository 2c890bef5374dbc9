"""Ways to damage a safetensors file: as bytes, in its layout, in the JSON of our own header."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from gatewise.sealed import seal, unpack

Draw = random.Random

DEPTH, LONG = 100_000, 3_000_000


def mutated(content: bytes, kind: str, other: bytes, draw: Draw) -> tuple[str, bytes]:
    """Return the name of a mutation drawn at random, and the file after it.

    Args:
        content: the file.
        kind: name of its header.
        other: another file, to splice pieces of.
        draw: where chance comes from.
    """
    group = draw.choice((_BYTES, _LAYOUT, _HEADER))
    change = draw.choice(group)
    for _ in range(draw.choice((1, 1, 1, 2, 4)) if group is _BYTES else 1):
        content = change(content, kind, other, draw) if content else content
    return change.__name__.lstrip("_"), content


# --- bytes ----------------------------------------------------------------------------------------


def _flip_a_bit(content: bytes, kind: str, other: bytes, draw: Draw) -> bytes:
    changed = bytearray(content)
    changed[_place(changed, draw)] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _set_a_byte(content: bytes, kind: str, other: bytes, draw: Draw) -> bytes:
    changed = bytearray(content)
    changed[_place(changed, draw)] = draw.choice((0, 255, 34, 44, 58, 91, 123, draw.randrange(256)))
    return bytes(changed)


def _cut_short(content: bytes, kind: str, other: bytes, draw: Draw) -> bytes:
    return content[: draw.choice((_place(content, draw), len(content) - 1, len(content) // 2))]


def _append(content: bytes, kind: str, other: bytes, draw: Draw) -> bytes:
    return content + draw.randbytes(draw.choice((1, 4, 1000)))


def _remove_a_piece(content: bytes, kind: str, other: bytes, draw: Draw) -> bytes:
    a = _place(content, draw)
    return content[:a] + content[a + draw.choice((1, 4, 8, 64)) :]


def _splice(content: bytes, kind: str, other: bytes, draw: Draw) -> bytes:
    a, b, size = _place(content, draw), _place(other, draw), draw.choice((1, 8, 100, 10_000))
    keep = draw.choice((0, size))
    return content[:a] + other[b : b + size] + content[a + keep :]


def _another_length_of_the_header(content: bytes, kind: str, other: bytes, draw: Draw) -> bytes:
    size = draw.choice((0, 1, 2**31, 2**32, 2**63 - 1, 2**64 - 1, draw.randrange(5000)))
    return size.to_bytes(8, "little") + content[8:]


def _place(content: bytes | bytearray, draw: Draw) -> int:
    """Anywhere, but half of the time within the header."""
    size = min(int.from_bytes(content[:8], "little"), len(content) - 1)
    return draw.randrange(8 + size if draw.random() < 0.5 and 8 + size < len(content)
                          else len(content))  # fmt: skip


# --- the layout: safetensors' own header ----------------------------------------------------------


def _laid_out(change: Callable[[dict[str, Any], Draw], str | None]) -> Callable[..., bytes]:
    def apply(content: bytes, kind: str, other: bytes, draw: Draw) -> bytes:
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        text = change(header, draw)
        told = (json.dumps(header) if text is None else text).encode()
        return len(told).to_bytes(8, "little") + told + content[8 + size :]

    apply.__name__ = change.__name__
    return apply


def _tensors(header: dict[str, Any], draw: Draw) -> list[str]:
    names = [name for name in header if name != "__metadata__"]
    return draw.sample(names, min(2, len(names)))


@_laid_out
def _swap_tensors(header: dict[str, Any], draw: Draw) -> None:
    a, *rest = _tensors(header, draw)
    b = rest[0] if rest else a
    header[a], header[b] = header[b], header[a]


@_laid_out
def _overlap_tensors(header: dict[str, Any], draw: Draw) -> None:
    a, *rest = _tensors(header, draw)
    header[a]["data_offsets"] = header[rest[0] if rest else a]["data_offsets"]


@_laid_out
def _another_shape(header: dict[str, Any], draw: Draw) -> None:
    tensor = header[_tensors(header, draw)[0]]
    shape = tensor["shape"]
    tensor["shape"] = draw.choice(
        (shape[::-1], [*shape, 1], [1, *shape], shape[:-1], [2**62, 4], [-1], [*shape, 0])
    )


@_laid_out
def _another_dtype(header: dict[str, Any], draw: Draw) -> None:
    names = ("F32", "F64", "F16", "BF16", "I32", "U32", "I64", "BOOL", "U8", "C64", "F8_E4M3", "X")
    header[_tensors(header, draw)[0]]["dtype"] = draw.choice(names)


@_laid_out
def _rename_or_drop(header: dict[str, Any], draw: Draw) -> None:
    name = draw.choice([*header])
    value = header.pop(name)
    if draw.random() < 0.7:
        header[draw.choice((name + "0", name[:-1], "", "x" * LONG, "\ud800"))] = value


@_laid_out
def _key_twice(header: dict[str, Any], draw: Draw) -> str:
    key = draw.choice([*header])
    value = draw.choice((header[key], header[draw.choice([*header])]))
    return f"{json.dumps(header)[:-1]}, {json.dumps(key)}: {json.dumps(value)}}}"


@_laid_out
def _layout_replaced(header: dict[str, Any], draw: Draw) -> str:
    return _replaced(header, draw)


# --- our header: JSON in the file's metadata ------------------------------------------------------


def _header_replaced(content: bytes, kind: str, other: bytes, draw: Draw) -> bytes:
    return _told(content, kind, lambda header: _replaced(header, draw))


def _header_field_twice(content: bytes, kind: str, other: bytes, draw: Draw) -> bytes:
    def twice(header: dict[str, Any]) -> str:
        key = draw.choice([*header])
        value = draw.choice((json.dumps(header[key]), _odd(draw)))
        return f"{json.dumps(header)[:-1]}, {json.dumps(key)}: {value}}}"

    return _told(content, kind, twice)


def _header_of_another_file(content: bytes, kind: str, other: bytes, draw: Draw) -> bytes:
    size = int.from_bytes(other[:8], "little")
    metadata = json.loads(other[8 : 8 + size])["__metadata__"]
    return _told(content, kind, lambda _: draw.choice([*metadata.values()]))


def _header_cut_short(content: bytes, kind: str, other: bytes, draw: Draw) -> bytes:
    def cut(header: dict[str, Any]) -> str:
        text = json.dumps(header)
        return text[: draw.randrange(len(text))]

    return _told(content, kind, cut)


def _told(content: bytes, kind: str, change: Callable[[dict[str, Any]], str]) -> bytes:
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"][kind] = change(json.loads(header["__metadata__"][kind]))
    told = json.dumps(header).encode()
    return len(told).to_bytes(8, "little") + told + content[8 + size :]


def resealed(content: bytes, kind: str, version: int, draw: Draw) -> bytes:
    """Return the file with a field of its header replaced, under a checksum that fits again."""
    header, arrays = unpack(content, kind)
    header = {k: v for k, v in header.items() if k not in {"version", "sha256"}}
    try:
        changed = json.loads(_replaced(header, draw))
        return seal(arrays, changed, kind, version)
    except (ValueError, RecursionError, TypeError):  # no JSON any more
        return content


# --- values ---------------------------------------------------------------------------------------


def _replaced(value: Any, draw: Draw) -> str:
    """The text of a JSON value with one part, anywhere in it, deleted or replaced."""
    mark = "\0here\0"
    parent, key = _somewhere(value, draw)
    if isinstance(parent, dict) and draw.random() < 0.3:
        del parent[key]
        return json.dumps(value)
    parent[key] = mark
    return json.dumps(value).replace(json.dumps(mark), _odd(draw), 1)


def _somewhere(value: Any, draw: Draw) -> tuple[Any, Any]:
    key = draw.choice([*value] if isinstance(value, dict) else range(len(value)))
    inside = value[key]
    if isinstance(inside, (dict, list)) and inside and draw.random() < 0.7:
        return _somewhere(inside, draw)
    return value, key


def _odd(draw: Draw) -> str:
    """A value as JSON text that no one expects there."""
    rare = draw.random() < 0.1
    if rare:
        return draw.choice(
            ("[" * DEPTH + "]" * DEPTH, "[" * DEPTH, '{"a":' * DEPTH, f'"{"x" * LONG}"',
             "9" * 5000, f"[{'0,' * 100_000}0]")
        )  # fmt: skip
    return draw.choice(
        ("0", "1", "2", "-1", "7", "1.0", "0.5", "true", "false", "null", '""', '"tanh"', '"6"',
         "[]", "{}", "[0.1]", "NaN", "Infinity", "-Infinity", "1e999", str(2**31), str(2**58),
         str(2**63), "9" * 40, '{"name": "tanh", "scale": 1.0, "slope": 1.0, "shift": 0.0}',
         '"\\ud800"', '"\\u0000"')
    )  # fmt: skip


_BYTES = (_flip_a_bit, _set_a_byte, _cut_short, _append, _remove_a_piece, _splice,
          _another_length_of_the_header)  # fmt: skip
_LAYOUT = (_swap_tensors, _overlap_tensors, _another_shape, _another_dtype, _rename_or_drop,
           _key_twice, _layout_replaced)  # fmt: skip
_HEADER = (_header_replaced, _header_replaced, _header_field_twice, _header_of_another_file,
           _header_cut_short)  # fmt: skip
