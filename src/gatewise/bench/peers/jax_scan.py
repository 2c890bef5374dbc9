"""jax: `jax.lax.scan` over the cell, compiled."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.metadata import version
from typing import Any, Final

import numpy as np

from gatewise.bench.peers.interface import Prepared, UnavailableError
from gatewise.bench.problem import Array, Problem
from gatewise.weights import parameter_suffix

PROJECTED_AHEAD: Final = 8
"""Up to this batch it is quicker to project all inputs before the scan; beyond, inside it."""


def load(name: str, threads: int) -> JaxPeer:
    """Load jax in a process that may run on so many cores: it has no option for threads.

    Raises:
        UnavailableError: this system does not bind processes to cores.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise UnavailableError("its threads cannot be limited on this system")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    os.environ["JAX_PLATFORMS"] = "cpu"
    return JaxPeer(import_module("jax"))


class JaxPeer:
    """Runs jitted functions of the problem's weights."""

    tolerance = 1e-3

    def __init__(self, jax: Any) -> None:
        self.version = f"jax {version('jax')}, jaxlib {version('jaxlib')}"
        self._jax, self._np = jax, jax.numpy

    def prepare(self, problem: Problem) -> Prepared | None:
        """Compile the function of the mode, and run it."""
        match problem.case.mode:
            case "inference":
                return self._inference(problem)
            case "training":
                return self._training(problem)
            case "streaming" if problem.case.shape.layers == 1:
                return self._streaming(problem)
            case _:
                return None

    def _inference(self, problem: Problem) -> Prepared:
        weights, x = self._moved(problem.weights), self._np.asarray(problem.x)
        compiled = self._jax.jit(lambda weights, x: self._lstm(problem, weights, x))

        def call() -> Any:
            return compiled(weights, x).block_until_ready()

        return Prepared(call, {"y": np.array(call())})

    def _training(self, problem: Problem) -> Prepared:
        weights, x = self._moved(problem.weights), self._np.asarray(problem.x)
        dy = self._np.asarray(problem.dy)

        def loss(weights: Any, x: Any, dy: Any) -> Any:
            return (self._lstm(problem, weights, x) * dy).sum()

        compiled = self._jax.jit(self._jax.value_and_grad(loss, argnums=(0, 1)))

        def call() -> Any:
            return self._jax.block_until_ready(compiled(weights, x, dy))

        _, (gradients, dx) = call()
        named = {f"d{name}": value for name, value in gradients.items()} | {"dx": dx}
        return Prepared(call, {name: np.array(value) for name, value in named.items()})

    def _streaming(self, problem: Problem) -> Prepared:
        weights, shape = self._moved(problem.weights), problem.case.shape

        def step(weights: Any, x: Any, state: Any) -> Any:
            w, u, b = _layer(weights, "_l0")
            return self._cell(state, x @ w.T + b, u)

        compiled = self._jax.jit(step)
        rows = [self._np.asarray(row) for row in problem.x]
        state = (self._np.zeros((shape.B, shape.H)),) * 2

        def call() -> None:
            nonlocal state
            state = compiled(weights, rows[0], state)
            state[0].block_until_ready()

        y = []
        for row in rows:
            state = compiled(weights, row, state)
            y.append(np.array(state[0]))
        return Prepared(call, {"y": np.array(y)})

    def _lstm(self, problem: Problem, weights: dict[str, Any], x: Any) -> Any:
        shape = problem.case.shape
        for layer in range(shape.layers):
            outputs = []
            for direction in range(shape.directions):
                own = _layer(weights, parameter_suffix(layer, direction))
                outputs.append(self._scan(own, x, reverse=direction == 1))
            x = self._np.concatenate(outputs, axis=-1) if len(outputs) > 1 else outputs[0]
        return x

    def _scan(self, own: tuple[Any, Any, Any], x: Any, reverse: bool) -> Any:
        w, u, b = own
        ahead = x.shape[1] <= PROJECTED_AHEAD
        zero = self._np.zeros((x.shape[1], u.shape[1]), x.dtype)

        def advance(state: Any, row: Any) -> Any:
            state = self._cell(state, row if ahead else row @ w.T + b, u)
            return state, state[0]

        rows = x @ w.T + b if ahead else x
        return self._jax.lax.scan(advance, (zero, zero), rows, reverse=reverse)[1]

    def _cell(self, state: Any, projected: Any, u: Any) -> Any:
        h, c = state
        sigmoid, tanh = self._jax.nn.sigmoid, self._np.tanh
        i, f, g, o = self._np.split(projected + h @ u.T, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c

    def _moved(self, weights: dict[str, Array]) -> dict[str, Any]:
        return {name: self._np.asarray(value) for name, value in weights.items()}


def _layer(weights: dict[str, Any], suffix: str) -> tuple[Any, Any, Any]:
    """W, U and the sum of the biases of one layer and direction."""
    bias = weights["bias_ih" + suffix] + weights["bias_hh" + suffix]
    return weights["weight_ih" + suffix], weights["weight_hh" + suffix], bias
