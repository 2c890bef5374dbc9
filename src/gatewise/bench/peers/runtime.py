"""gatewise-runtime: NumPy in and out, no PyTorch in the process."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from gatewise import runtime
from gatewise.bench.peers.interface import Prepared
from gatewise.bench.problem import Array, Problem
from gatewise.weights import LSTMWeights, save_lstm


def load(name: str, threads: int) -> RuntimePeer:
    """Load the peer; its threads are those of OMP_NUM_THREADS, which the process was given."""
    return RuntimePeer()


class RuntimePeer:
    """`gatewise.runtime`: `Model.run` for sequences, `Stream.step` for single steps."""

    version = f"gatewise {version('gatewise')}, numpy {np.__version__}"
    tolerance = 1e-3

    def prepare(self, problem: Problem) -> Prepared | None:
        """Save and load the LSTM as one that deploys it would."""
        mode, shape = problem.case.mode, problem.case.shape
        if mode not in ("inference", "streaming"):
            return None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "lstm.safetensors"
            save_lstm(LSTMWeights(problem.config, problem.weights), path)
            model = runtime.load(path)
        if mode == "inference":
            y = np.empty((shape.T, shape.B, shape.directions * shape.H), np.float32)
            call = _filling(model.run, problem.x, y)
            return Prepared(call, {"y": np.array(_first(call()))})
        stream = model.stream(batch=shape.B)
        y = np.empty((shape.B, shape.H), np.float32)
        steps = [np.array(_filling(stream.step, x, y)()) for x in problem.x]
        return Prepared(_filling(stream.step, problem.x[0], y), {"y": np.array(steps)})


def _filling(function: Callable[..., Any], x: Array, out: Array) -> Callable[[], Any]:
    """Bind the input, and an array for the result where the function takes one."""
    if "out" in inspect.signature(function).parameters:
        return partial(function, x, out=out)
    return partial(function, x)


def _first(result: Any) -> Any:
    return result[0] if isinstance(result, tuple) else result
