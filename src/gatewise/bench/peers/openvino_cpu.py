"""openvino: the ONNX model compiled for the CPU, in float32."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from itertools import cycle
from typing import Any

import numpy as np

from gatewise.bench.peers.interface import Prepared
from gatewise.bench.peers.onnx_graph import sequence_model, step_model
from gatewise.bench.problem import Array, Problem


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
        """Compile the model and make its request."""
        shape = problem.case.shape
        if problem.case.mode == "inference":
            y = np.empty((shape.T, shape.B, shape.directions * shape.H), np.float32)
            compiled = self._compiled(sequence_model(problem))
            request = self._request(compiled, {"x": problem.x, "y": y})
            request.infer()
            return Prepared(request.infer, {"y": y.copy()}, arrays=(problem.x, y))
        if problem.case.mode == "streaming" and shape.layers == 1:
            return self._streaming(problem)
        return None

    def _streaming(self, problem: Problem) -> Prepared:
        """Two requests by turns: each reads the state that the other wrote."""
        shape, compiled = problem.case.shape, self._compiled(step_model(problem))
        x = problem.x[:1].copy()
        states = np.zeros((2, 2, 1, shape.B, shape.H), np.float32)
        requests = []
        for k in (0, 1):
            (h, c), (h_next, c_next) = states[k], states[1 - k]
            arrays = {"x": x, "h": h, "c": c, "h_next": h_next, "c_next": c_next}
            requests.append(self._request(compiled, arrays))
        following = cycle(requests).__next__

        def call() -> None:
            following().infer()

        y = []
        for k, row in enumerate(problem.x):
            x[0] = row
            call()
            y.append(states[1 - k % 2, 0, 0].copy())
        return Prepared(call, {"y": np.array(y)}, arrays=(x, states))

    def _compiled(self, model: bytes) -> Any:
        return self._core.compile_model(self._core.read_model(model), "CPU", self._options)

    def _request(self, compiled: Any, arrays: dict[str, Array]) -> Any:
        request = compiled.create_infer_request()
        for name, array in arrays.items():
            request.set_tensor(name, self._openvino.Tensor(array, shared_memory=True))
        return request
