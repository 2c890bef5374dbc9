"""Fitted forecasters in one safetensors file: tensors, and a JSON header that explains them.

Nothing in the file is executed when it is read. The header carries a SHA-256 over every tensor;
a file that was cut short, altered or written by something else is refused in one line.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import ModelFileError, shortened, shown
from gatewise.files import write_atomically
from gatewise.forecast.config import Config
from gatewise.forecast.data.calendar import Calendar
from gatewise.forecast.data.panel import Columns, Panel, Series, TimeStyle
from gatewise.forecast.models.arrays import Arrays, tuples
from gatewise.forecast.models.base import Fitted, Model
from gatewise.forecast.models.residual import state as residual
from gatewise.forecast.models.residual.model import ResidualModel
from gatewise.forecast.models.window import state as window
from gatewise.forecast.models.window.model import WindowModel
from gatewise.sealed import SealError, model_content, seal, unseal

FORMAT: Final = "gatewise-forecaster"
VERSION: Final = 7


def save_fitted(fitted: Fitted, path: str | os.PathLike[str]) -> None:
    """Write a fitted forecaster, to a temporary name first.

    Raises:
        OSError: the folder does not exist, is not writable, or the disk is full.
    """
    model, arrays = _describe(fitted.model)
    series = fitted.tail.series
    arrays["tail.rows"] = np.array([len(s) for s in series], np.int64)
    arrays["tail.time"] = np.concatenate([s.time for s in series]).astype(np.int64)
    for name in ("target", "past", "future"):
        arrays[f"tail.{name}"] = np.concatenate([getattr(s, name) for s in series])
    calendars = list(dict.fromkeys(fitted.calendars))
    numbers = {calendar: i for i, calendar in enumerate(calendars)}
    arrays["tail.calendar"] = np.array([numbers[c] for c in fitted.calendars], np.int64)
    header = _header(fitted, calendars) | {"model": model}
    write_atomically(path, seal(arrays, header, FORMAT, VERSION))


def load_fitted(path: str | os.PathLike[str]) -> Fitted:
    """Read what `save_fitted` wrote.

    Raises:
        ModelFileError: the file is missing, damaged, or not a gatewise forecaster.
    """
    content, name = model_content(path), shown(Path(path).name)
    try:
        header, arrays = unseal(content, FORMAT, VERSION)
        return _restore(header, arrays)
    except SealError as error:
        raise ModelFileError(
            f"{name} {error}: expected a file as Forecaster.save writes it. Fit and save again, or "
            "use the release that wrote it."
        ) from None
    except (
        ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError
    ) as error:  # fmt: skip
        raise ModelFileError(f"{name} has a damaged header: {shortened(error)}.") from None


def _header(fitted: Fitted, calendars: list[Calendar]) -> dict[str, Any]:
    return {
        "config": asdict(fitted.config),
        "columns": asdict(fitted.tail.columns),
        "style": asdict(fitted.tail.style),
        "kind": fitted.tail.kind,
        "calendars": [asdict(c) for c in calendars],
        "names": [_plain(s.name) for s in fitted.tail.series],
        "static": [list(s.static) for s in fitted.tail.series if s.static],
        "rows": fitted.rows,
        "seconds": fitted.seconds,
        "notes": list(fitted.notes),
        "whole": fitted.whole,
    }


def _restore(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Fitted:
    style = TimeStyle(**header["style"])
    time = arrays["tail.time"]
    time = time if style.kind == "integer" else time.astype("datetime64[us]")
    target, past, future = (arrays[f"tail.{name}"] for name in ("target", "past", "future"))
    bounds = np.concatenate([[0], np.cumsum(arrays["tail.rows"])]).tolist()
    names = header["names"]
    statics = tuples(header["static"]) or ((),) * len(names)
    series = tuple(
        Series(name, time[a:b], target[a:b], past[a:b], future[a:b], static)
        for name, (a, b), static in zip(names, itertools.pairwise(bounds), statics, strict=True)
    )
    calendars = [Calendar(**tuples(calendar)) for calendar in header["calendars"]]
    config = Config(**tuples(header["config"]))
    return Fitted(
        config,
        _restore_model(header["model"], arrays, config),
        tuple(calendars[i] for i in arrays["tail.calendar"]),
        Panel(Columns(**tuples(header["columns"])), series, style, header["kind"]),
        None,
        header["rows"],
        header["seconds"],
        tuple(header["notes"]),
        header["whole"],
    )


def _describe(model: Model) -> tuple[dict[str, Any], Arrays]:
    if isinstance(model, ResidualModel):
        return residual.describe(model)
    assert isinstance(model, WindowModel)  # there are two
    return window.describe(model)


def _restore_model(header: dict[str, Any], arrays: Arrays, config: Config) -> Model:
    if header["kind"] == "residual":
        return residual.restore(header, arrays)
    return window.restore(header, arrays, config)


def _plain(name: Any) -> Any:
    return name.item() if isinstance(name, np.generic) else name
