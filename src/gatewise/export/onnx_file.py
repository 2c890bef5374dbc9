"""`to_onnx`: an LSTM's file for ONNX Runtime and its like."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import numpy as np

from gatewise.errors import ConfigError, DtypeError, MissingExtraError, shown
from gatewise.export import operator
from gatewise.export.graph import Graph
from gatewise.files import write_atomically
from gatewise.weights import LSTMWeights, from_module

Axes = tuple[int | str, ...]

DEFAULT_OPSET: Final = 17
_OLDEST_OPSET: Final = 14


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives.

    Attributes:
        inputs, outputs: the axes of each, by name and in order; "T" and "B" are free.
        dtype: of all but `lengths`, which is int32.
        opset: of the model.
    """

    inputs: dict[str, Axes]
    outputs: dict[str, Axes]
    dtype: str
    opset: int


def to_onnx(
    lstm: Any,
    path: str | os.PathLike[str],
    *,
    opset: int = DEFAULT_OPSET,
    lengths: bool = False,
    state: bool = True,
    float32: bool = False,
) -> Signature:
    """Write an LSTM as an ONNX model: one LSTM operator for each layer, T and B free.

    Inputs: ``x`` [T, B, I] ([B, T, I] if the LSTM is batch-first); with `lengths`, ``lengths`` [B],
    int32, the valid steps of each row, 1 to T; with `state`, ``h0`` and ``c0`` [L*D, B, H].
    Outputs: ``y`` [T, B, D*H], laid out like x and zero beyond a row's end; ``h_n`` and ``c_n``
    [L*D, B, H], after each row's last valid step.

    The operator has one activation for all three gates; a gate that is `one` is expressed in it by
    a constant input. The operator has no hard_tanh, layer norm, projection or zoneout.

    Args:
        lstm: a `torch.nn.LSTM`, a `gatewise.nn.LSTM`, or the `gatewise.weights.LSTMWeights` of one.
        path: the file; written whole or not at all.
        opset: version of ONNX's operators, 14 or later. Default 17.
        lengths: whether the model takes the rows' lengths. Default False: all steps are valid.
        state: whether the model takes the initial state. Default True; else it starts from zeros,
            or from the learnt state of an LSTM that has one.
        float32: round float64 parameters to float32. Default False: keep the dtype. ONNX allows
            float64, but ONNX Runtime (1.32) computes this operator in float32 only; and an
            activation's parameters, as the 1/6 of `hard_sigmoid`, are float32 in any model.

    Returns:
        What the model takes and gives.

    Raises:
        ConfigError: ONNX's LSTM operator cannot compute this LSTM, or `opset` is not known.
        DtypeError: the parameters are neither float32 nor float64.
        MissingExtraError: the package onnx is not installed.
        OSError: the folder does not exist or is not writable, or the disk is full.

    >>> import tempfile
    >>> from gatewise.nn import LSTM
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_onnx(LSTM(3, 8), f"{folder}/lstm.onnx").inputs
    {'x': ('T', 'B', 3), 'h0': (1, 'B', 8), 'c0': (1, 'B', 8)}
    """
    onnx = _imported()
    weights = lstm if isinstance(lstm, LSTMWeights) else from_module(lstm)
    _check(weights, opset, onnx.defs.onnx_opset_version())
    if float32:
        rounded = {k: v.astype(np.float32) for k, v in weights.arrays.items()}
        weights = LSTMWeights(weights.config, rounded)
    signature = _signature(weights, opset, lengths, state)
    write_atomically(path, _serialised(onnx, weights, signature))
    return signature


def _imported() -> Any:
    try:
        return import_module("onnx")
    except ImportError:
        raise MissingExtraError("gatewise.export", "onnx") from None


def _check(weights: LSTMWeights, opset: int, newest: int) -> None:
    if type(opset) is not int or not _OLDEST_OPSET <= opset <= newest:
        raise ConfigError(
            f"opset is {shown(opset)}: expected {_OLDEST_OPSET} to {newest}, the newest that the "
            "installed onnx knows."
        )
    dtypes = {a.dtype for a in weights.arrays.values()}
    if len(dtypes) != 1 or not dtypes <= {np.dtype(np.float32), np.dtype(np.float64)}:
        raise DtypeError(
            f"The parameters have dtype {', '.join(sorted(map(str, dtypes)))}: expected float32 or "
            "float64 throughout. Convert the module first, as with module.float()."
        )
    lacking = operator.missing(weights)
    if lacking:
        raise ConfigError(
            f"ONNX's LSTM operator has no {lacking}. gatewise.runtime.load runs any cell of "
            "built-in activations without PyTorch, from what gatewise.weights.save_lstm wrote."
        )


def _signature(weights: LSTMWeights, opset: int, lengths: bool, state: bool) -> Signature:
    config = weights.config
    D, H = config.directions, config.hidden_size
    rows: Axes = ("B", "T") if config.batch_first else ("T", "B")
    states: Axes = (config.num_layers * D, "B", H)
    inputs: dict[str, Axes] = {"x": (*rows, config.input_size)}
    if lengths:
        inputs["lengths"] = ("B",)
    if state:
        inputs |= {"h0": states, "c0": states}
    outputs: dict[str, Axes] = {"y": (*rows, D * H), "h_n": states, "c_n": states}
    return Signature(inputs, outputs, str(weights.arrays["weight_ih_l0"].dtype), opset)


def _serialised(onnx: Any, weights: LSTMWeights, signature: Signature) -> bytes:
    helper = onnx.helper

    def described(values: dict[str, Axes]) -> list[Any]:
        real = np.dtype(signature.dtype)
        kinds = {name: np.dtype(np.int32) if name == "lengths" else real for name in values}
        return [
            helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(kinds[k]), axes)
            for k, axes in values.items()
        ]

    graph = Graph(onnx)
    graph.add_layers(weights, {*signature.inputs})
    opsets = [helper.make_opsetid("", signature.opset)]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "lstm",
            described(signature.inputs),
            described(signature.outputs),
            graph.constants,
            doc_string=str(weights.config),
        ),
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="gatewise",
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()
