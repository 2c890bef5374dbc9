"""The LSTM as an ONNX model: one LSTM node for each layer, nothing else that costs."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import numpy as np

from gatewise.bench.problem import Array, Problem
from gatewise.weights import parameter_suffix

OPSET: Final = 17
IR_VERSION: Final = 8
_GATES: Final = (0, 3, 1, 2)
"""ONNX orders the gates i, o, f, c."""


def sequence_model(problem: Problem) -> bytes:
    """Return a model from ``x`` [T, B, I] to ``y`` [T, B, D*H], from zero states."""
    shape = problem.case.shape
    T, B, H, D = shape.T, shape.B, shape.H, shape.directions
    helper = import_module("onnx.helper")
    nodes, parts = [], [_constant("flat", np.array([T, B, D * H]))]
    x = "x"
    for layer in range(shape.layers):
        names, arrays = _parameters(problem, layer)
        parts += arrays
        y4 = f"y4_{layer}"
        options = {"hidden_size": H, "direction": "bidirectional" if D == 2 else "forward"}
        nodes.append(helper.make_node("LSTM", [x, *names], [y4], **options))
        x = "y" if layer == shape.layers - 1 else f"y_{layer}"
        if D == 2:  # [T, D, B, H] -> [T, B, D, H]
            nodes.append(helper.make_node("Transpose", [y4], [f"rows_{layer}"], perm=[0, 2, 1, 3]))
            y4 = f"rows_{layer}"
        nodes.append(helper.make_node("Reshape", [y4, "flat"], [x]))
    return _serialised(nodes, parts, {"x": (T, B, shape.I)}, {"y": (T, B, D * H)})


def step_model(problem: Problem) -> bytes:
    """Return a model of one step of one layer: ``x``, ``h``, ``c`` to ``h_next``, ``c_next``."""
    shape = problem.case.shape
    helper = import_module("onnx.helper")
    names, parts = _parameters(problem, 0)
    node = helper.make_node(
        "LSTM", ["x", *names, "", "h", "c"], ["", "h_next", "c_next"], hidden_size=shape.H
    )
    state = (1, shape.B, shape.H)
    inputs = {"x": (1, shape.B, shape.I), "h": state, "c": state}
    return _serialised([node], parts, inputs, {"h_next": state, "c_next": state})


def _parameters(problem: Problem, layer: int) -> tuple[list[str], list[Any]]:
    """Names and constants of W [D, 4H, I], R [D, 4H, H] and B [D, 8H] of one layer."""
    found: dict[str, list[Array]] = {"W": [], "R": [], "B": []}
    for direction in range(problem.case.shape.directions):
        own = {
            name: _reordered(problem.weights[name + parameter_suffix(layer, direction)])
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        found["W"].append(own["weight_ih"])
        found["R"].append(own["weight_hh"])
        found["B"].append(np.concatenate([own["bias_ih"], own["bias_hh"]]))
    named = {f"{name}{layer}": np.stack(arrays) for name, arrays in found.items()}
    return list(named), [_constant(name, array) for name, array in named.items()]


def _reordered(parameter: Array) -> Array:
    gates = np.split(parameter, 4)
    return np.concatenate([gates[k] for k in _GATES])


def _constant(name: str, array: np.ndarray[Any, Any]) -> Any:
    return import_module("onnx.numpy_helper").from_array(array, name)


def _serialised(
    nodes: list[Any],
    constants: list[Any],
    inputs: dict[str, tuple[int, ...]],
    outputs: dict[str, tuple[int, ...]],
) -> bytes:
    onnx, helper = import_module("onnx"), import_module("onnx.helper")

    def described(values: dict[str, tuple[int, ...]]) -> list[Any]:
        kind = onnx.TensorProto.FLOAT
        return [helper.make_tensor_value_info(k, kind, shape) for k, shape in values.items()]

    graph = helper.make_graph(nodes, "lstm", described(inputs), described(outputs), constants)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model.SerializeToString()
