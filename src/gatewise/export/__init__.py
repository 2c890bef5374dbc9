"""LSTMs as ONNX models, from the parameters alone.

    onnx_file.py  to_onnx: checks, then a file, whole or not at all
    operator.py   a cell in the words of ONNX's LSTM operator, or why it cannot be said
    graph.py      the nodes and constants of a whole LSTM

Knows weights and cells; neither torch nor the native core. The package onnx is imported when a
model is written.
"""

from gatewise.export.onnx_file import Signature, to_onnx

__all__ = ["Signature", "to_onnx"]
