"""How each peer runs a case: the same numbers in, the same numbers out.

    interface.py      what a peer is
    registry.py       their names, and loading one in the process that runs it
    torch_modules.py  gatewise, gatewise-bfloat16, torch, torch-no-mkldnn, torch-lstmcell
    runtime.py        gatewise-runtime
    onnx_graph.py     the LSTM as an ONNX model, for the two that follow
    onnx_session.py   onnxruntime
    openvino_cpu.py   openvino
    jax_scan.py       jax

Each peer gets the fastest path that its users have. Nothing here imports a peer's package at import
time but `torch_modules`, which is imported by the processes alone.
"""

from gatewise.bench.peers.interface import Peer, Prepared, UnavailableError
from gatewise.bench.peers.registry import OURS, PEERS, REFERENCE, load

__all__ = ["OURS", "PEERS", "REFERENCE", "Peer", "Prepared", "UnavailableError", "load"]
