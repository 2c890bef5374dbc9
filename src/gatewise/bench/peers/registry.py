"""The peers' names, and loading one in the process that runs it."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from gatewise.bench.peers.interface import Peer, UnavailableError

PEERS: Final = {
    "gatewise": "torch_modules",
    "gatewise-runtime": "runtime",
    "gatewise-bfloat16": "torch_modules",
    "torch": "torch_modules",
    "torch-no-mkldnn": "torch_modules",
    "torch-lstmcell": "torch_modules",
    "onnxruntime": "onnx_session",
    "openvino": "openvino_cpu",
    "jax": "jax_scan",
}
"""Every peer of the speed tables, and the module that runs it."""

CELL_PEERS: Final = {
    "torch-loop": "torch_cells",
    "torch-tuned-loop": "torch_cells",
    "torch-compiled": "torch_cells",
}
"""Those that only stand beside cells that PyTorch does not have."""

OURS: Final = ("gatewise", "gatewise-runtime", "gatewise-bfloat16")
REFERENCE: Final = "torch"
"""The peer whose numbers all others must compute."""

CELL_REFERENCE: Final = "torch-loop"
"""The same for cells that `REFERENCE` does not have: as plain as the equations."""

YARDSTICK: Final = "gatewise-plain"
"""Ours on the plain case of the same sizes: no peer, but times that stand among theirs."""


def load(name: str, threads: int) -> Peer:
    """Load a peer for so many threads; once in a process.

    Raises:
        UnavailableError: a package is missing, or cannot be used here.
    """
    module = (PEERS | CELL_PEERS)[name]
    try:
        return import_module(f"gatewise.bench.peers.{module}").load(name, threads)
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise UnavailableError(f"not installed ({reason})") from None
