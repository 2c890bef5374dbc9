"""The equations in NumPy float64: the oracles that everything else answers to.

lstm.py   every cell, forward and backward; read it first
rnn.py    the plain tanh RNN, for contrast
"""

from gatewise.reference.lstm import EPSILON, Forward, Gradients, Weights, backward, forward, weights
from gatewise.reference.rnn import RNNForward, rnn_backward, rnn_forward

__all__ = [
    "EPSILON",
    "Forward",
    "Gradients",
    "RNNForward",
    "Weights",
    "backward",
    "forward",
    "rnn_backward",
    "rnn_forward",
    "weights",
]
