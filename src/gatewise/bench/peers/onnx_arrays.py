"""How both runners of the ONNX model are called: with arrays that stay where they are."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle

import numpy as np

from gatewise.bench.peers.interface import Prepared
from gatewise.bench.peers.onnx_graph import sequence_model, step_model
from gatewise.bench.problem import Array, Problem

Arrays = dict[str, Array]
Bind = Callable[[Arrays, Arrays], Callable[[], object]]
"""Inputs and outputs by name to a call that reads and fills them; they must outlive it."""


def prepared(problem: Problem, load: Callable[[bytes], Bind]) -> Prepared | None:
    """Prepare a problem in the modes that the model runs in; `load` makes a model ready."""
    shape = problem.case.shape
    if problem.case.mode == "inference":
        return _sequences(problem, load(sequence_model(problem)))
    if problem.case.mode == "streaming" and shape.layers == 1:
        return _steps(problem, load(step_model(problem)))
    return None


def _sequences(problem: Problem, bind: Bind) -> Prepared:
    shape = problem.case.shape
    y = np.empty((shape.T, shape.B, shape.directions * shape.H), np.float32)
    call = bind({"x": problem.x}, {"y": y})
    call()
    return Prepared(call, {"y": y.copy()}, arrays=(problem.x, y))


def _steps(problem: Problem, bind: Bind) -> Prepared:
    """Two bindings by turns: each reads the state that the other wrote, and nothing is copied."""
    shape = problem.case.shape
    x = problem.x[:1].copy()
    states = np.zeros((2, 2, 1, shape.B, shape.H), np.float32)
    calls = []
    for k in (0, 1):
        (h, c), (h_next, c_next) = states[k], states[1 - k]
        calls.append(bind({"x": x, "h": h, "c": c}, {"h_next": h_next, "c_next": c_next}))
    following = cycle(calls).__next__

    def call() -> None:
        following()()

    y = []
    for k, row in enumerate(problem.x):
        x[0] = row
        call()
        y.append(states[1 - k % 2, 0, 0].copy())
    return Prepared(call, {"y": np.array(y)}, arrays=(x, states))
