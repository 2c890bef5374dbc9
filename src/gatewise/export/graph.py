"""The nodes and constants of a whole LSTM: all layers, both directions, PyTorch's shapes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gatewise.export import operator
from gatewise.export.operator import Array
from gatewise.weights import INITIAL_STATE_NAMES, LSTMConfig, LSTMWeights

_STATES = ("h0", "c0")


@dataclass(eq=False)
class Graph:
    """Nodes in the order in which they run, and the constants that they read.

    Args:
        onnx: the package.
    """

    onnx: Any
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def add_layers(self, weights: LSTMWeights, inputs: set[str]) -> None:
        """Add an LSTM from ``x`` to ``y``, ``h_n`` and ``c_n``.

        Args:
            weights: of the LSTM.
            inputs: which of "lengths", "h0" and "c0" the model has.
        """
        config = weights.config
        L = config.num_layers
        initial = {name: self._states(name, weights, name in inputs) for name in _STATES}
        final = {name: _numbered(name, L) for name in ("h_n", "c_n")}
        x = "x"
        if config.batch_first:
            x = self._add("Transpose", [x], ["steps"], perm=[1, 0, 2])
        for layer in range(L):
            h = f"hidden{layer}"
            own = operator.parameters(weights, layer)
            names = {k: self._constant(f"{k}{layer}", v) for k, v in own.items()}
            lengths = "lengths" if "lengths" in inputs else ""
            given = [x, names["W"], names["R"], names["B"], lengths]
            given += [initial["h0"][layer], initial["c0"][layer], names.get("P", "")]
            found = [h, final["h_n"][layer], final["c_n"][layer]]
            self._add("LSTM", given, found, **operator.attributes(config))
            x = self._rows(h, layer, config)
        for name, parts in final.items():
            if L > 1:
                self._add("Concat", parts, [name], axis=0)

    def _states(self, name: str, weights: LSTMWeights, given: bool) -> list[str]:
        """Name each layer's part [D, B, H] of an initial state; "" where it is zero."""
        config = weights.config
        L = config.num_layers
        if not given:
            if not config.learn_initial_state:
                return [""] * L
            self._add_learnt_state(name, weights)
        if L == 1:
            return [name]
        parts = _numbered(name, L)
        sizes = self._constant(f"{name}_sizes", np.full(L, config.directions, np.int64))
        self._add("Split", [name, sizes], parts, axis=0)
        return parts

    def _add_learnt_state(self, name: str, weights: LSTMWeights) -> None:
        """Repeat a learnt state [L*D, 1, H] for each row of x."""
        learnt = INITIAL_STATE_NAMES[_STATES.index(name)]
        state = self._constant(learnt, weights.arrays[learnt])
        axis = self._constant(f"{name}_axis", np.array([0 if weights.config.batch_first else 1]))
        one = self._constant(f"{name}_one", np.array([1]))
        sizes = self._add("Shape", ["x"], [f"{name}_x_shape"])
        rows = self._add("Gather", [sizes, axis], [f"{name}_rows"])
        shape = self._add("Concat", [one, rows, one], [f"{name}_shape"], axis=0)
        self._add("Expand", [state, shape], [name])

    def _rows(self, h: str, layer: int, config: LSTMConfig) -> str:
        """Lay out a layer's output [T, D, B, H] as [T, B, D*H]; the last's as y."""
        last = layer == config.num_layers - 1
        perm = [2, 0, 1, 3] if last and config.batch_first else [0, 2, 1, 3]
        by_row = self._add("Transpose", [h], [f"{h}_by_row"], perm=perm)
        shape = np.array([0, 0, config.directions * config.hidden_size], np.int64)  # 0: as it is
        shape_name = self._constant(f"{h}_shape", shape)
        return self._add("Reshape", [by_row, shape_name], ["y" if last else f"y{layer}"])

    def _add(self, operation: str, inputs: list[str], outputs: list[str], **attributes: Any) -> str:
        self.nodes.append(self.onnx.helper.make_node(operation, inputs, outputs, **attributes))
        return outputs[0]

    def _constant(self, name: str, array: Array) -> str:
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name


def _numbered(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}_{k}" for k in range(count)]
