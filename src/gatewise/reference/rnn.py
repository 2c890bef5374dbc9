"""The plain tanh RNN of Elman (1990) in NumPy float64, as `torch.nn.RNN` computes it.

    h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)

It has no carousel: every step back in time goes through W_hh and tanh'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatewise.errors import ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RNNForward:
    """What `rnn_forward` leaves.

    Attributes:
        y: [T, B, H] hidden state at every step.
        h0: [B, H] that it started from.
        w_hh: [H, H] recurrent weights.
    """

    y: Array
    h0: Array
    w_hh: Array


def rnn_forward(
    x: Float[ArrayLike, "T B I"],
    w_ih: Float[ArrayLike, "H I"],
    w_hh: Float[ArrayLike, "H H"],
    b: Float[ArrayLike, " H"] | None = None,
    h0: Float[ArrayLike, "B H"] | None = None,
) -> RNNForward:
    """Run one layer in one direction.

    Args:
        x: [T, B, I] input.
        w_ih, w_hh: [H, I] and [H, H] weights.
        b: [H] bias (the sum of PyTorch's two), default 0.
        h0: [B, H] initial state, default 0.

    Raises:
        ShapeError: the weights do not fit x or each other.

    >>> rnn_forward(np.ones((3, 1, 1)), [[1.0]], [[0.0]]).y.ravel().round(3)
    array([0.762, 0.762, 0.762])
    """
    x, w_ih, w_hh = (np.asarray(a, np.float64) for a in (x, w_ih, w_hh))
    if x.ndim != 3 or w_ih.shape[1:] != x.shape[2:] or w_hh.shape != (len(w_ih),) * 2:
        raise ShapeError(
            f"x has shape {x.shape}, w_ih {w_ih.shape} and w_hh {w_hh.shape}: expected [T, B, I], "
            "[H, I] and [H, H]. Make x time-major."
        )
    T, B, _ = x.shape
    bias = np.zeros(len(w_ih)) if b is None else np.asarray(b, np.float64)
    start = np.zeros((B, len(w_ih))) if h0 is None else np.asarray(h0, np.float64)
    y, h = np.empty((T, B, len(w_ih))), start
    for t in range(T):
        y[t] = h = np.tanh(x[t] @ w_ih.T + h @ w_hh.T + bias)
    return RNNForward(y, start, w_hh)


def rnn_backward(run: RNNForward, dy: Float[ArrayLike, "T B H"]) -> Array:
    """Return dL/dh_t [T, B, H] for the loss L = Σ dy ⊙ y, through all later steps.

    >>> run = rnn_forward(np.zeros((3, 1, 1)), [[1.0]], [[0.5]])
    >>> rnn_backward(run, np.array([0.0, 0.0, 1.0]).reshape(3, 1, 1)).ravel()
    array([0.25, 0.5 , 1.  ])
    """
    dh = np.array(dy, np.float64)
    for t in reversed(range(len(dh) - 1)):
        dh[t] += (dh[t + 1] * (1 - run.y[t + 1] ** 2)) @ run.w_hh
    return dh
