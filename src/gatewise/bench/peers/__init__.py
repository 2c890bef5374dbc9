"""How each peer runs a case: the same numbers in, the same numbers out.

    interface.py      what a peer is
    registry.py       their names, and loading one in the process that runs it
    torch_modules.py  gatewise, gatewise-bfloat16, torch, torch-no-mkldnn, torch-lstmcell
    torch_cells.py    torch-loop, torch-tuned-loop, torch-compiled
    torch_loops.py    the loops of these
    runtime.py        gatewise-runtime
    onnx_graph.py     the LSTM as an ONNX model, for the two that follow
    onnx_session.py   onnxruntime
    openvino_cpu.py   openvino
    jax_scan.py       jax

Each peer gets the fastest path that its users have; only `torch-lstmcell` and `torch-loop` are
loops as people write them, and `torch-tuned-loop` stands beside the latter. Nothing here imports a
peer's package at import time but the `torch_` modules, which are imported by the processes alone.
"""

from gatewise.bench.peers.interface import Peer, Prepared, UnavailableError
from gatewise.bench.peers.registry import (
    CELL_PEERS,
    CELL_REFERENCE,
    OURS,
    PEERS,
    REFERENCE,
    YARDSTICK,
    load,
)

__all__ = [
    "CELL_PEERS",
    "CELL_REFERENCE",
    "OURS",
    "PEERS",
    "REFERENCE",
    "YARDSTICK",
    "Peer",
    "Prepared",
    "UnavailableError",
    "load",
]
