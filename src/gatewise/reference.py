"""The equations in NumPy float64, forward and backward: the oracle that every kernel answers to.

Read this first. One direction of one layer, time-major, no tricks; `tests/parity` holds it against
PyTorch, and the native core against it. Sizes: `T` time, `B` batch, `I` input, `H` hidden, `P` the
size of h (H, or proj_size).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatewise.cell import Cell
from gatewise.errors import ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float

Array = NDArray[np.float64]

EPSILON: Final = 1e-5
"""Added to the variance in layer normalisation (PyTorch's default)."""


@dataclass(frozen=True)
class Weights:
    """Parameters of one layer and direction; gates are stacked in the order i, f, g, o.

    Args:
        w_ih: [4H, I] input weights.
        w_hh: [4H, P] recurrent weights.
        b_ih: [4H] bias, default 0.
        b_hh: [4H] second bias (PyTorch has two), default 0.
        w_hr: [P, H] projection of h, or None.
        peephole: [3, H] weights from the cell state to i, f and o, if the cell has peepholes.
        norm_ih, norm_hh: [2, 4H] gain and shift of the layer norms of W_ih x and W_hh h.
        norm_c: [2, H] gain and shift of the layer norm of c.
    """

    w_ih: Array
    w_hh: Array
    b_ih: Array
    b_hh: Array
    w_hr: Array | None = None
    peephole: Array | None = None
    norm_ih: Array | None = None
    norm_hh: Array | None = None
    norm_c: Array | None = None


def weights(w_ih: ArrayLike, w_hh: ArrayLike, b_ih: ArrayLike | None = None,
            b_hh: ArrayLike | None = None, **others: ArrayLike | None) -> Weights:  # fmt: skip
    """Build `Weights` from anything array-like; missing biases are zero.

    Raises:
        ShapeError: a matrix does not have 4H rows.
    """
    w_ih, w_hh = _f64(w_ih), _f64(w_hh)
    if w_ih.ndim != 2 or w_hh.ndim != 2 or len(w_ih) != len(w_hh) or len(w_ih) % 4:
        raise ShapeError(
            f"w_ih has shape {w_ih.shape} and w_hh {w_hh.shape}: expected [4H, I] and [4H, P]. "
            "Stack the four gates in the order i, f, g, o."
        )
    zero = np.zeros(len(w_ih))
    return Weights(
        w_ih,
        w_hh,
        zero if b_ih is None else _f64(b_ih),
        zero if b_hh is None else _f64(b_hh),
        **{k: None if v is None else _f64(v) for k, v in others.items()},
    )


@dataclass(frozen=True)
class Forward:
    """What a forward pass leaves: outputs, and everything that `backward` and a trace need.

    Attributes:
        y: [T, B, P] hidden state at every step.
        h, c: [B, P] and [B, H] final states.
        gates_pre: [T, B, 4, H] before the nonlinearity, order i, f, g, o.
        gates: [T, B, 4, H] after it.
        cell_state: [T, B, H] c_t.
        cell_output: [T, B, H] ψ(c_t).
    """

    y: Array
    h: Array
    c: Array
    gates_pre: Array
    gates: Array
    cell_state: Array
    cell_output: Array
    inputs: tuple[Array, Array, Array, Weights, Cell] = field(repr=False)
    norms: list[tuple[_Norm | None, _Norm | None, _Norm | None]] = field(repr=False)


@dataclass(frozen=True)
class Gradients:
    """Gradients of a scalar loss, each of the shape of what it belongs to."""

    x: Array
    h0: Array
    c0: Array
    weights: Weights


def forward(
    x: Float[ArrayLike, "T B I"],
    w: Weights,
    h0: Float[ArrayLike, "B P"] | None = None,
    c0: Float[ArrayLike, "B H"] | None = None,
    cell: Cell = Cell(),
) -> Forward:
    """Run one layer in one direction.

    Args:
        x: [T, B, I] input.
        w: parameters, see `weights`.
        h0, c0: initial states, default 0.
        cell: which LSTM, default the one of PyTorch.

    Returns:
        A `Forward`; all its arrays are float64.

    Raises:
        ShapeError: x does not fit w_ih.

    >>> w = weights(np.zeros((4, 1)), np.zeros((4, 1)), b_ih=[9, 9, 9, 9])
    >>> forward(np.zeros((3, 1, 1)), w).cell_state.ravel().round(2)  # it counts the steps
    array([1., 2., 3.])
    """
    x = _f64(x)
    H, P = len(w.w_ih) // 4, w.w_hh.shape[1]
    if x.ndim != 3 or x.shape[2] != w.w_ih.shape[1]:
        raise ShapeError(
            f"x has shape {x.shape}: expected [T, B, I={w.w_ih.shape[1]}]. "
            "Make it time-major and match w_ih."
        )
    T, B, _ = x.shape
    h0 = np.zeros((B, P)) if h0 is None else _f64(h0)
    c0 = np.zeros((B, H)) if c0 is None else _f64(c0)
    sigma_i, sigma_f, phi, sigma_o = (
        cell.activation(s).function
        for s in ("input_gate", "forget_gate", "candidate", "output_gate")
    )
    psi = cell.activation("cell_output").function
    p_i, p_f, p_o = np.zeros((3, H)) if w.peephole is None else w.peephole

    y = np.empty((T, B, P))
    gates_pre, gates = np.empty((T, B, 4, H)), np.empty((T, B, 4, H))
    cell_state, cell_output = np.empty((T, B, H)), np.empty((T, B, H))
    norms = []
    h, c = h0, c0
    for t in range(T):
        from_x, norm_x = _normalise(x[t] @ w.w_ih.T, w.norm_ih)
        from_h, norm_h = _normalise(h @ w.w_hh.T, w.norm_hh)
        pre = (from_x + from_h + w.b_ih + w.b_hh).reshape(B, 4, H)
        pre[:, 0] += p_i * c
        pre[:, 1] += p_f * c
        i, g = sigma_i(pre[:, 0]), phi(pre[:, 2])
        f = 1 - i if cell.coupled else sigma_f(pre[:, 1])
        c = f * c + i * g
        pre[:, 3] += p_o * c
        o = sigma_o(pre[:, 3])
        seen, norm_c = _normalise(c, w.norm_c)
        m = psi(seen)
        h = o * m
        if w.w_hr is not None:
            h = h @ w.w_hr.T
        y[t], cell_state[t], cell_output[t], gates_pre[t] = h, c, m, pre
        gates[t] = np.stack([i, f, g, o], axis=1)
        norms.append((norm_x, norm_h, norm_c))
    return Forward(y, h, c, gates_pre, gates, cell_state, cell_output, (x, h0, c0, w, cell), norms)


def backward(
    run: Forward,
    dy: Float[ArrayLike, "T B P"] | None = None,
    dh: Float[ArrayLike, "B P"] | None = None,
    dc: Float[ArrayLike, "B H"] | None = None,
) -> Gradients:
    """Back-propagate through time.

    Args:
        run: what `forward` returned.
        dy: [T, B, P] gradient of the loss with respect to y, default 0.
        dh, dc: gradients with respect to the final states, default 0.

    Returns:
        Gradients with respect to x, h0, c0 and each parameter.
    """
    x, h0, c0, w, cell = run.inputs
    T, B, P = run.y.shape
    H = c0.shape[1]
    slope_i, slope_f, slope_g, slope_o = (
        cell.activation(s).derivative
        for s in ("input_gate", "forget_gate", "candidate", "output_gate")
    )
    slope_psi = cell.activation("cell_output").derivative
    p_i, p_f, p_o = np.zeros((3, H)) if w.peephole is None else w.peephole

    from_y = np.zeros((T, B, P)) if dy is None else _f64(dy)
    dh_t = np.zeros((B, P)) if dh is None else _f64(dh)
    dc_t = np.zeros((B, H)) if dc is None else _f64(dc)
    dx = np.zeros_like(x)
    dw = {k: np.zeros_like(v) for k, v in vars(w).items() if v is not None}
    for t in reversed(range(T)):
        h_prev, c_prev = (run.y[t - 1], run.cell_state[t - 1]) if t else (h0, c0)
        i, f, g, o = run.gates[t].transpose(1, 0, 2)
        pre = run.gates_pre[t]
        m, c = run.cell_output[t], run.cell_state[t]
        norm_x, norm_h, norm_c = run.norms[t]

        dh_t = dh_t + from_y[t]
        if w.w_hr is not None:
            dw["w_hr"] += dh_t.T @ (o * m)
            dh_t = dh_t @ w.w_hr
        do = dh_t * m * slope_o(pre[:, 3], o)
        seen = c if norm_c is None else norm_c.output(w.norm_c)
        through_psi = dh_t * o * slope_psi(seen, m)
        dc_t = dc_t + _unnormalise(through_psi, norm_c, w.norm_c, dw.get("norm_c")) + do * p_o
        di = dc_t * g
        df = dc_t * c_prev
        if cell.coupled:
            di, df = di - df, np.zeros_like(df)
        di, df = di * slope_i(pre[:, 0], i), df * slope_f(pre[:, 1], f)
        dg = dc_t * i * slope_g(pre[:, 2], g)
        if w.peephole is not None:
            dw["peephole"] += np.stack([(a * b).sum(0) for a, b in
                                        ((di, c_prev), (df, c_prev), (do, c))])  # fmt: skip
        dc_t = dc_t * f + di * p_i + df * p_f

        dgates_pre: Array = np.stack([di, df, dg, do], axis=1).reshape(B, 4 * H)
        dw["b_ih"] += dgates_pre.sum(0)
        dw["b_hh"] += dgates_pre.sum(0)
        from_x = _unnormalise(dgates_pre, norm_x, w.norm_ih, dw.get("norm_ih"))
        from_h = _unnormalise(dgates_pre, norm_h, w.norm_hh, dw.get("norm_hh"))
        dw["w_ih"] += from_x.T @ x[t]
        dw["w_hh"] += from_h.T @ h_prev
        dx[t] = from_x @ w.w_ih
        dh_t = from_h @ w.w_hh
    return Gradients(dx, dh_t, dc_t, Weights(**dw))


@dataclass(frozen=True)
class _Norm:
    """The normalised value and the inverse standard deviation of one layer norm."""

    normal: Array
    inverse_std: Array

    def output(self, gain_shift: Array | None) -> Array:
        assert gain_shift is not None  # a _Norm exists only where its parameters do
        return self.normal * gain_shift[0] + gain_shift[1]


def _normalise(v: Array, gain_shift: Array | None) -> tuple[Array, _Norm | None]:
    """Layer norm over the last axis (Ba et al. 2016, eq. 4), or v itself without parameters."""
    if gain_shift is None:
        return v, None
    inverse_std = 1 / np.sqrt(v.var(axis=-1, keepdims=True) + EPSILON)
    norm = _Norm((v - v.mean(axis=-1, keepdims=True)) * inverse_std, inverse_std)
    return norm.output(gain_shift), norm


def _unnormalise(
    d: Array, norm: _Norm | None, gain_shift: Array | None, into: Array | None
) -> Array:
    """Gradient of `_normalise`; adds those of gain and shift to `into`."""
    if norm is None or gain_shift is None or into is None:
        return d
    into += np.stack([(d * norm.normal).sum(0), d.sum(0)])
    d = d * gain_shift[0]
    centred = d - d.mean(axis=-1, keepdims=True)
    return norm.inverse_std * (
        centred - norm.normal * (d * norm.normal).mean(axis=-1, keepdims=True)
    )


def _f64(a: ArrayLike) -> Array:
    return np.asarray(a, dtype=np.float64)
