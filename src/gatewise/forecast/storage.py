"""Fitted forecasters in one safetensors file: tensors, and a JSON header that explains them.

Nothing in the file is executed when it is read. The header carries a SHA-256 over every tensor;
a file that was cut short, altered or written by something else is refused in one line.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from gatewise.errors import ModelFileError
from gatewise.files import write_atomically
from gatewise.forecast.calendar import Calendar
from gatewise.forecast.config import Config
from gatewise.forecast.fitting import Fitted
from gatewise.forecast.panel import Columns, Panel, Series
from gatewise.forecast.states import describe, restore, tuples
from gatewise.forecast.timestamps import TimeStyle

FORMAT: Final = "gatewise-forecaster"
VERSION: Final = 3


def save_fitted(fitted: Fitted, path: str | os.PathLike[str]) -> None:
    """Write a fitted forecaster, to a temporary name first.

    Raises:
        OSError: the folder does not exist, is not writable, or the disk is full.
    """
    model, arrays = describe(fitted.model)
    for i, s in enumerate(fitted.tail.series):
        arrays[f"series.{i}.time"] = s.time.astype(np.int64)
        arrays[f"series.{i}.target"] = s.target
        arrays[f"series.{i}.past"] = s.past
        arrays[f"series.{i}.future"] = s.future
    arrays = {k: np.ascontiguousarray(v) for k, v in arrays.items()}
    header = _header(fitted) | {"model": model}
    header["sha256"] = _digest(arrays, header)
    write_atomically(path, save(arrays, metadata={FORMAT: json.dumps(header)}))


def load_fitted(path: str | os.PathLike[str]) -> Fitted:
    """Read what `save_fitted` wrote.

    Raises:
        ModelFileError: the file is missing, damaged, or not a gatewise forecaster.
    """
    file = Path(path)
    if not file.is_file():
        raise ModelFileError(f"There is no model file {str(file)!r}.")
    try:
        with safe_open(file, framework="numpy") as opened:
            text = (opened.metadata() or {}).get(FORMAT)
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ModelFileError(
            f"{file.name!r} is not a readable safetensors file ({reason}): expected one written "
            "by Forecaster.save. It may be cut short."
        ) from None
    if text is None:
        raise ModelFileError(
            f"{file.name!r} was not written by Forecaster.save: it has no {FORMAT!r} header."
        )
    try:
        header = json.loads(text)
        if header["version"] != VERSION:
            raise ModelFileError(
                f"{file.name!r} has format version {header['version']}: expected {VERSION}. "
                "Use the release that wrote it, or fit again."
            )
        if header.pop("sha256") != _digest(arrays, header):
            raise ModelFileError(
                f"{file.name!r} was altered: its tensors or header do not match their SHA-256. "
                "Fit and save again."
            )
        return _restore(header, arrays)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        if isinstance(error, ModelFileError):
            raise
        reason = " ".join(str(error).split())
        raise ModelFileError(f"{file.name!r} has a damaged header: {reason[:200]}.") from None


def _header(fitted: Fitted) -> dict[str, Any]:
    return {
        "version": VERSION,
        "config": asdict(fitted.config),
        "columns": asdict(fitted.tail.columns),
        "style": asdict(fitted.tail.style),
        "kind": fitted.tail.kind,
        "calendars": [asdict(c) for c in fitted.calendars],
        "series": [
            {"name": _plain(s.name), "static": list(s.static), "dates": s.time.dtype.kind == "M"}
            for s in fitted.tail.series
        ],
        "rows": fitted.rows,
        "seconds": fitted.seconds,
        "notes": list(fitted.notes),
    }


def _restore(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Fitted:
    tail = Panel(
        Columns(**tuples(header["columns"])),
        tuple(
            Series(
                s["name"],
                arrays[f"series.{i}.time"].astype("datetime64[us]" if s["dates"] else np.int64),
                arrays[f"series.{i}.target"],
                arrays[f"series.{i}.past"],
                arrays[f"series.{i}.future"],
                tuple(s["static"]),
            )
            for i, s in enumerate(header["series"])
        ),
        TimeStyle(**header["style"]),
        header["kind"],
    )
    config = Config(**tuples(header["config"]))
    return Fitted(
        config,
        restore(header["model"], arrays, config),
        tuple(Calendar(**tuples(calendar)) for calendar in header["calendars"]),
        tail,
        None,
        header["rows"],
        header["seconds"],
        tuple(header["notes"]),
    )


def _plain(name: Any) -> Any:
    return name.item() if isinstance(name, np.generic) else name


def _digest(arrays: dict[str, NDArray[Any]], header: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
