"""What a cell does, step by step: record every gate, measure it, draw it.

    recording.py  record(lstm, x) -> Trace: labelled arrays of every gate and state
    measures.py   numbers on a trace: saturation, memory, the forget path
    plots.py      pictures of a trace

NumPy, xarray and matplotlib; never torch (modules are read through `gatewise.weights`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gatewise.trace.measures import forget_path, memory, saturation
    from gatewise.trace.plots import plot_gates, plot_operating_points
    from gatewise.trace.recording import Trace, record

_HOME: Final = {
    "Trace": "recording",
    "record": "recording",
    "forget_path": "measures",
    "memory": "measures",
    "plot_gates": "plots",
    "plot_operating_points": "plots",
    "saturation": "measures",
}

__all__ = [
    "Trace",
    "forget_path",
    "memory",
    "plot_gates",
    "plot_operating_points",
    "record",
    "saturation",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"gatewise.trace.{_HOME[name]}"), name)
    raise AttributeError(f"module 'gatewise.trace' has no attribute {name!r}")
