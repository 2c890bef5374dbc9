"""The built page with data put into it."""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from inspect import signature
from pathlib import Path
from typing import Any, Final

from gatewise.errors import ConfigError, nearest, shown
from gatewise.explorer.claims import claims
from gatewise.explorer.model import model_data
from gatewise.files import write_atomically

FORMAT: Final = 1
VIEWS: Final = ("cell", "time", "gradient", "swap", "forecast", "lab", "train")

_CORE: Final = '<script type="application/octet-stream" id="gatewise-module"></script>'
_PLACE: Final = '<script type="application/json" id="gatewise-data">null</script>'


def explore(
    model: Any = None,
    x: Any = None,
    out: str | os.PathLike[str] | None = None,
    **about: Any,
) -> Path:
    """Write one self-contained page in which a trained cell is seen at work, and return its path.

    The page holds the core as WebAssembly, the weights, the inputs and the lab's results. It makes
    no request, and computes every trace, gradient, edit and training step itself.

    Args:
        model: a torch.nn.LSTM, a gatewise.nn.LSTM, a `runtime.Model`, `LSTMWeights`, or a fitted
            `gatewise.forecast.Forecaster`. Default: none; the page then trains one of its own.
        x: what an LSTM reads: [T, B, I] or [T, I] ([B, T, I] with batch_first), each row a series.
            Default: noise. Of a forecaster: the table to forecast from, if not its own.
        out: file to write. Default: explore.html in the working folder.
        **about: of an LSTM name, about, inputs, time, readout, outputs, as in
            `gatewise.explorer.model.model_data`; of a forecaster name, future, forecast, result,
            effects, as in `gatewise.explorer.forecast.forecaster_data`.

    Raises:
        ModuleError: model is none of these.
        ShapeError, DtypeError, ConfigError: an argument does not fit it, or a page cannot hold it.
        OSError: the file cannot be written.

    >>> import tempfile
    >>> from gatewise.weights import LSTMConfig, LSTMWeights, expected_shapes
    >>> import numpy as np
    >>> config = LSTMConfig(2, 3)
    >>> zeros = {k: np.zeros(v, np.float32) for k, v in expected_shapes(config).items()}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = explore(LSTMWeights(config, zeros), out=folder + "/page.html")
    ...     page.read_text("utf-8").startswith("<!doctype html>")
    True
    """
    path = Path("explore.html" if out is None else out)
    if "\0" in str(path) or path.is_dir() or not path.parent.is_dir():
        raise ConfigError(
            f"out is {shown(str(path))}: expected a file's name in a folder that is there."
        )
    models = described(model, x, about)
    write_atomically(path, page_of(models, command=f"gatewise.explore(..., out={path.name!r})"))
    return path


def described(model: Any, x: Any, about: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the model as the page takes it, or nothing where there is none.

    Raises:
        ConfigError: about holds an argument that there is not, or there is no model to describe.
    """
    if model is None:
        if x is not None or about:
            raise ConfigError("There is no model to describe: expected one with the arguments.")
        return []
    if hasattr(model, "lstm_input"):  # a forecaster; its package is loaded, or it would not be one
        from gatewise.explorer.forecast import forecaster_data

        describe, given = forecaster_data, {"history": x}
    else:
        describe, given = model_data, {"x": x}
    known = [name for name in signature(describe).parameters if name not in given]
    for name in about:
        if name not in known[1:]:  # the first is the model
            raise ConfigError(f"There is no argument {shown(name)}. {nearest(name, known[1:])}")
    return [describe(model, **given, **about)]


def page_of(
    models: Iterable[Mapping[str, Any]],
    *,
    title: str = "gatewise explorer",
    command: str = "gatewise explore",
    lab: bool = True,
    views: Sequence[str] | None = None,
) -> str:
    """Return the page.

    Args:
        models: what `model_data` and `forecaster_data` returned.
        title: of the page.
        command: that makes it again.
        lab: whether the lab's results go in.
        views: which of `VIEWS` it shows. Default: all.
    """
    for view in views or ():
        if view not in VIEWS:
            raise ConfigError(f"There is no view {shown(view)}: expected some of {VIEWS}.")
    data: dict[str, Any] = {
        "format": FORMAT,
        "title": title,
        "command": command,
        "models": list(models),
        "lab": claims() if lab else [],
    }
    if views is not None:
        data["views"] = list(views)
    static = files("gatewise.explorer").joinpath("static")
    page = static.joinpath("page.html").read_text("utf-8")
    if page.count(_PLACE) != 1 or page.count(_CORE) != 1:
        raise RuntimeError("static/page.html has no place for data. Build it anew: make web.")
    core = gzip.compress(static.joinpath("gatewise.wasm").read_bytes(), 9, mtime=0)
    page = page.replace(_CORE, _CORE.replace("><", f">{base64.b64encode(core).decode()}<"))
    return page.replace(_PLACE, _PLACE.replace("null", as_script(data)))


def as_script(data: Any) -> str:
    r"""JSON that can stand in a page's script element, whatever names it holds.

    >>> as_script({"name": "</script><b>"})
    '{"name":"\\u003c/script>\\u003cb>"}'
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")
