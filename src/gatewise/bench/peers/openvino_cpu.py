"""openvino: the ONNX model compiled for the CPU, in float32."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Any

from gatewise.bench.peers.interface import Prepared
from gatewise.bench.peers.onnx_arrays import Arrays, Bind, prepared
from gatewise.bench.problem import Problem


def load(name: str, threads: int) -> OpenVinoPeer:
    """Load openvino, and onnx, with which the model is built."""
    import_module("onnx")
    return OpenVinoPeer(import_module("openvino"), threads)


class OpenVinoPeer:
    """Runs requests whose tensors are fixed arrays, the quickest of its ways."""

    tolerance = 1e-3

    def __init__(self, openvino: Any, threads: int) -> None:
        self.version = f"openvino {version('openvino')}, onnx {version('onnx')}"
        self._openvino = openvino
        self._core = openvino.Core()
        self._options = {
            # By itself it takes bfloat16 on processors that have it.
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
        }

    def prepare(self, problem: Problem) -> Prepared | None:
        """Compile the model and make its requests."""
        return prepared(problem, self._compiled)

    def _compiled(self, model: bytes) -> Bind:
        compiled = self._core.compile_model(self._core.read_model(model), "CPU", self._options)

        def bind(inputs: Arrays, outputs: Arrays) -> Callable[[], object]:
            request = compiled.create_infer_request()
            for name, array in {**inputs, **outputs}.items():
                request.set_tensor(name, self._openvino.Tensor(array, shared_memory=True))
            return request.infer

        return bind
