"""gatewise: an LSTM you can see into.

Submodules are imported on first use, so `import gatewise` is quick and never pulls in torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gatewise import export, forecast, nn, reference, runtime, trace, weights
    from gatewise._native import native_info, release_memory
    from gatewise.cell import ACTIVATIONS, GATE_ORDER, SITES, Activation, Cell
    from gatewise.errors import GatewiseError
    from gatewise.explorer.page import explore

_SUBMODULES: Final = ("export", "forecast", "nn", "reference", "runtime", "trace", "weights")
_HOME: Final = {
    "ACTIVATIONS": "gatewise.cell",
    "Activation": "gatewise.cell",
    "Cell": "gatewise.cell",
    "GATE_ORDER": "gatewise.cell",
    "SITES": "gatewise.cell",
    "GatewiseError": "gatewise.errors",
    "explore": "gatewise.explorer.page",
    "native_info": "gatewise._native",
    "release_memory": "gatewise._native",
}

__all__ = [
    "ACTIVATIONS",
    "GATE_ORDER",
    "SITES",
    "Activation",
    "Cell",
    "GatewiseError",
    "explore",
    "export",
    "forecast",
    "native_info",
    "nn",
    "reference",
    "release_memory",
    "runtime",
    "trace",
    "weights",
]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"gatewise.{name}")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("gatewise")
    raise AttributeError(f"module 'gatewise' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
