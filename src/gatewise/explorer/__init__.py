"""Weights, inputs and the lab's results put into the explorer's page; nothing is computed here.

    page.py       explore: one self-contained page of an LSTM or a forecaster
    model.py      an LSTM and its inputs as the page takes them
    forecast.py   a forecaster and what it forecasts, likewise
    adding.py     a network to look at
    claims.py     the lab's verdicts, likewise
    widget.py     the page in a notebook
    static/       the page and the core as built from web/ and native/wasm/, with a manifest of
                  their sources; and the lab's results

The page holds the core as WebAssembly and computes every trace, gradient, edit and training step
itself: it can be mailed, opened from a file, put on any host. It makes no request.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gatewise.explorer.page import explore
    from gatewise.explorer.widget import Widget

_HOME: Final = {"Widget": "widget", "explore": "page"}

__all__ = ["Widget", "explore"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'gatewise.explorer' has no attribute {name!r}")
    return getattr(import_module(f"gatewise.explorer.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
