"""LSTMs in safetensors files: tensors, and a JSON header that says what they are.

Tensors keep their dtype. In format 2 (the one written) the header holds every field and nothing
else, and a SHA-256 covers header and tensors. Format 1, of earlier releases, has no checksum; its
header may lack the fields that came later, and no other.
"""

from __future__ import annotations

import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

from gatewise.cell import SITES, Activation, Cell, Site
from gatewise.errors import (
    ConfigError,
    DtypeError,
    GatewiseError,
    ModelFileError,
    ShapeError,
    shortened,
    shown,
)
from gatewise.files import write_atomically
from gatewise.sealed import SealError, model_content, seal, unpack, verified
from gatewise.weights.config import LSTMConfig
from gatewise.weights.modules import LSTMWeights, from_module

FORMAT: Final = "gatewise-lstm"
VERSION: Final = 2

_LATER: Final = {"zoneout": [0.0, 0.0], "learn_initial_state": False}
"""What the first files of format 1 lack, and what that means."""


def save_lstm(module: Any, path: str | os.PathLike[str]) -> None:
    """Write an LSTM's weights and configuration to a safetensors file.

    Args:
        module: a `torch.nn.LSTM` or `gatewise.nn.LSTM`, or the `LSTMWeights` of one.
        path: the file; written whole or not at all.

    Raises:
        ModuleError: `module` is no LSTM, or its parameters are not those of one.
        ConfigError: a Python function stands at a site of the cell.
        ShapeError, DtypeError: the arrays of an `LSTMWeights` are not those of its configuration,
            or are not float32 or float64 throughout.
        OSError: the folder does not exist or is not writable, or the disk is full.

    >>> import tempfile, torch
    >>> path = Path(tempfile.mkdtemp(), "lstm.safetensors")
    >>> save_lstm(torch.nn.LSTM(3, 4), path)
    >>> load_lstm(path).config.hidden_size
    4
    """
    weights = module if isinstance(module, LSTMWeights) else from_module(module)
    if weights.config.cell.has_callables:
        sites = [s for s in SITES if callable(getattr(weights.config.cell, s))]
        raise ConfigError(
            f"{weights.config.cell} has a Python function as {' and '.join(sites)}: a model file "
            "expects built-in activations. Save the module's state_dict() and make the module "
            "anew in code."
        )
    weights.check()
    write_atomically(path, seal(weights.arrays, asdict(weights.config), FORMAT, VERSION))


def load_lstm(path: str | os.PathLike[str]) -> LSTMWeights:
    """Read what `save_lstm` wrote.

    Args:
        path: the file; it is read whole, not mapped.

    Raises:
        ModelFileError: the file is missing, cut short, altered, or not an LSTM of ours.

    >>> import tempfile, torch
    >>> path, lstm = Path(tempfile.mkdtemp(), "lstm.safetensors"), torch.nn.LSTM(3, 4)
    >>> save_lstm(lstm, path)
    >>> load_lstm(path) == from_module(lstm)
    True
    """
    content, name = model_content(path), shown(Path(path).name)
    try:
        header, arrays = unpack(content, FORMAT)
        if header["version"] == 1 and type(header["version"]) is int:
            header = _LATER | {k: v for k, v in header.items() if k != "version"}
        else:
            header = verified(header, arrays, VERSION)
        weights = LSTMWeights(_read_config(header), arrays)
    except SealError as error:
        raise ModelFileError(
            f"{name} {error}: expected a file as save_lstm writes it. Save the LSTM again, or use "
            "the release that wrote it."
        ) from None
    try:
        weights.check()
    except (ShapeError, DtypeError) as error:
        raise ModelFileError(f"{name} does not hold what its header says. {error}") from None
    return weights


def _read_config(header: dict[str, Any]) -> LSTMConfig:
    """The configuration, or a `SealError` whatever the header holds."""
    try:
        _same_keys("header", header, {f.name for f in fields(LSTMConfig)})
        cell = header["cell"]
        _same_keys("cell", cell, {f.name for f in fields(Cell)})
        sites = {site: _read_site(site, cell[site]) for site in SITES}
        rates = header["zoneout"]
        zoneout = tuple(rates) if isinstance(rates, list) else rates
        return LSTMConfig(**(header | {"cell": Cell(**(cell | sites)), "zoneout": zoneout}))
    except (GatewiseError, ValueError) as error:
        raise SealError(f"has a damaged header ({shortened(error).rstrip('.')})") from None


def _read_site(site: str, value: Any) -> Site:
    """What stands at a site: the name of an activation, or an object that scales one."""
    if isinstance(value, str):
        return value
    _same_keys(site, value, {"name", "scale", "slope", "shift"})
    for key in ("scale", "slope", "shift"):
        if type(value[key]) is not float:
            raise ValueError(f"{site} has the {key} {shown(value[key])}: expected a float")
    return Activation(**value)


def _same_keys(what: str, found: Any, expected: set[str]) -> None:
    if not isinstance(found, dict):
        raise ValueError(f"{what} is {shown(found)}: expected a JSON object")
    wrong = sorted(found.keys() ^ expected)
    if wrong:
        state = "is not known" if wrong[0] in found else "is missing"
        raise ValueError(f"in {what} {shown(wrong[0])} {state}")
