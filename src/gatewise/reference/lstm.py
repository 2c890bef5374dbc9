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

from gatewise.cell import SITES, Cell
from gatewise.errors import ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float

Array = NDArray[np.float64]

EPSILON: Final = 1e-5
"""Added to the variance in layer normalisation (PyTorch's default)."""


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
class Forward:
    """What a forward pass leaves: outputs, and everything that `backward` and a trace need.

    Entry t of every array belongs to the step that reads x_t. Beyond a row's end the gates mean
    nothing.

    Attributes:
        y: [T, B, P] hidden state at every step, 0 beyond a row's end.
        h, c: [B, P] and [B, H] final states.
        gates_pre: [T, B, 4, H] before the nonlinearity, order i, f, g, o.
        gates: [T, B, 4, H] after it.
        cell_state: [T, B, H] c_t.
        cell_output: [T, B, H] ψ(c_t), with zoneout ψ(c̃_t).
    """

    y: Array
    h: Array
    c: Array
    gates_pre: Array
    gates: Array
    cell_state: Array
    cell_output: Array
    inputs: _Inputs = field(repr=False)
    states_before: list[tuple[Array, Array]] = field(repr=False)
    norms: list[tuple[_Norm | None, _Norm | None, _Norm | None]] = field(repr=False)


@dataclass(frozen=True, eq=False)
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
    *,
    recurrent_mask: Float[ArrayLike, "B P"] | None = None,
    zoneout: tuple[ArrayLike, ArrayLike] | None = None,
    lengths: ArrayLike | None = None,
    reverse: bool = False,
) -> Forward:
    """Run one layer in one direction.

    Zoneout (Krueger et al. 2017, arXiv 1606.01305) keeps part of the state as it was.
    As in the paper, the new hidden state h̃_t is computed from the new cell state c̃_t, not from c_t:

        c̃_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t         c_t = (1 - z_c) ⊙ c̃_t + z_c ⊙ c_{t-1}
        h̃_t = o_t ⊙ ψ(c̃_t)                      h_t = (1 - z_h) ⊙ h̃_t + z_h ⊙ h_{t-1}

    Peepholes of o and the layer norm of c see c̃_t, too; the projection is part of h̃_t.

    Args:
        x: [T, B, I] input.
        w: parameters, see `weights`.
        h0, c0: initial states, default 0.
        cell: which LSTM, default the one of PyTorch.
        recurrent_mask: multiplies h_{t-1} in W_hh h_{t-1}, the same at all steps, h0 included: 0 or
            1/(1-p) each for variational dropout (Gal & Ghahramani 2016, arXiv 1512.05287).
            Default: all 1.
        zoneout: (z_h, z_c), to be broadcast to [T, B, P] and [T, B, H]: 1 keeps the old state. In
            training 0 or 1 each, else the rates. Default: all 0.
        lengths: [B] valid steps of each row, counted from step 0 in either direction. Steps beyond
            leave the state alone. Default: all T.
        reverse: run from the last step to the first. Default False.

    Returns:
        A `Forward`; all its arrays are float64.

    Raises:
        ShapeError: x does not fit w_ih, or lengths does not fit x.
        ConfigError: the cell holds a Python function.

    >>> w = weights(np.zeros((4, 1)), np.zeros((4, 1)), b_ih=[9, 9, 9, 9])
    >>> forward(np.zeros((3, 1, 1)), w).cell_state.ravel().round(2)  # it counts the steps
    array([1., 2., 3.])
    """
    H, P = len(w.w_ih) // 4, w.w_hh.shape[1]
    x = _f64(x)
    if x.ndim != 3 or x.shape[2] != w.w_ih.shape[1]:
        raise ShapeError(
            f"x has shape {x.shape}: expected [T, B, I={w.w_ih.shape[1]}]. "
            "Make it time-major and match w_ih."
        )
    T, B, _ = x.shape
    h0 = np.zeros((B, P)) if h0 is None else _f64(h0)
    c0 = np.zeros((B, H)) if c0 is None else _f64(c0)
    ended = _ended(lengths, T, B)
    x = x if ended is None else np.where(ended, 0, x)  # whatever the padding holds
    mask = None if recurrent_mask is None else _f64(recurrent_mask)
    keep_h, keep_c = _kept(zoneout, ended, (T, B, P), (T, B, H))
    steps = tuple(reversed(range(T)) if reverse else range(T))
    sigma_i, sigma_f, phi, sigma_o, psi = (cell.activation(site).function for site in SITES)
    used = np.repeat(cell.used_gates, H)

    y = np.empty((T, B, P))
    gates_pre, gates = np.empty((T, B, 4, H)), np.empty((T, B, 4, H))
    cell_state, cell_output = np.empty((T, B, H)), np.empty((T, B, H))
    states_before, norms = [(h0, c0)] * T, [(None, None, None)] * T
    h, c = h0, c0
    for t in steps:
        states_before[t] = h, c
        from_x, norm_x = _normalise(x[t] @ w.w_ih.T, w.norm_ih, used)
        from_h, norm_h = _normalise((h if mask is None else h * mask) @ w.w_hh.T, w.norm_hh, used)
        pre = (from_x + from_h + w.b_ih + w.b_hh).reshape(B, 4, H)
        if w.peephole is not None:  # 0 times an infinite c would be NaN
            pre[:, :2] += w.peephole[:2] * c[:, None]
        i, g = sigma_i(pre[:, 0]), phi(pre[:, 2])
        f = 1 - i if cell.coupled else sigma_f(pre[:, 1])
        c_new = f * c + i * g
        if w.peephole is not None:
            pre[:, 3] += w.peephole[2] * c_new
        o = sigma_o(pre[:, 3])
        seen, norm_c = _normalise(c_new, w.norm_c)
        m = psi(seen)
        h_new = o * m if w.w_hr is None else (o * m) @ w.w_hr.T
        h, c = _hold(h_new, h, keep_h, t), _hold(c_new, c, keep_c, t)
        y[t], cell_state[t], cell_output[t], gates_pre[t] = h, c, m, pre
        gates[t] = np.stack([i, f, g, o], axis=1)
        norms[t] = norm_x, norm_h, norm_c
    if ended is not None:
        y = np.where(ended, 0, y)
    inputs = _Inputs(x, h0, c0, w, cell, mask, keep_h, keep_c, ended, steps)
    return Forward(y, h, c, gates_pre, gates, cell_state, cell_output, inputs, states_before, norms)


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
    at = run.inputs
    x, w, cell, mask = at.x, at.w, at.cell, at.recurrent_mask
    T, B, P = run.y.shape
    H = at.c0.shape[1]
    slope_i, slope_f, slope_g, slope_o, slope_psi = (cell.activation(s).derivative for s in SITES)
    p_i, p_f, p_o = np.zeros((3, H)) if w.peephole is None else w.peephole

    from_y = np.zeros((T, B, P)) if dy is None else _f64(dy)
    from_y = from_y if at.ended is None else np.where(at.ended, 0, from_y)
    dh_t = np.zeros((B, P)) if dh is None else _f64(dh)
    dc_t = np.zeros((B, H)) if dc is None else _f64(dc)
    dx = np.zeros_like(x)
    dw = {k: np.zeros_like(v) for k, v in vars(w).items() if v is not None}
    for t in reversed(at.steps):
        h_prev, c_prev = run.states_before[t]
        i, f, g, o = run.gates[t].transpose(1, 0, 2)
        pre, m = run.gates_pre[t], run.cell_output[t]
        norm_x, norm_h, norm_c = run.norms[t]
        c_new = f * c_prev + i * g

        dh_new, dh_prev = _unhold(dh_t + from_y[t], at.keep_h, t)
        dc_new, dc_prev = _unhold(dc_t, at.keep_c, t)
        if w.w_hr is not None:
            dw["w_hr"] += dh_new.T @ (o * m)
            dh_new = dh_new @ w.w_hr
        do = dh_new * m * slope_o(pre[:, 3], o)
        seen = c_new if norm_c is None else norm_c.output(w.norm_c)
        through_psi = dh_new * o * slope_psi(seen, m)
        dc_new = dc_new + do * p_o
        dc_new = dc_new + _unnormalise(through_psi, norm_c, w.norm_c, dw.get("norm_c"))
        di, df = dc_new * g, dc_new * c_prev
        if cell.coupled:
            di, df = di - df, np.zeros_like(df)
        di, df = di * slope_i(pre[:, 0], i), df * slope_f(pre[:, 1], f)
        dg = dc_new * i * slope_g(pre[:, 2], g)
        if w.peephole is not None:
            dw["peephole"] += np.stack([(a * b).sum(0) for a, b in
                                        ((di, c_prev), (df, c_prev), (do, c_new))])  # fmt: skip

        dgates_pre: Array = np.stack([di, df, dg, do], axis=1).reshape(B, 4 * H)
        dw["b_ih"] += dgates_pre.sum(0)
        dw["b_hh"] += dgates_pre.sum(0)
        from_x = _unnormalise(dgates_pre, norm_x, w.norm_ih, dw.get("norm_ih"))
        from_h = _unnormalise(dgates_pre, norm_h, w.norm_hh, dw.get("norm_hh"))
        dw["w_ih"] += from_x.T @ x[t]
        dw["w_hh"] += from_h.T @ (h_prev if mask is None else h_prev * mask)
        dx[t] = from_x @ w.w_ih
        through_w_hh = from_h @ w.w_hh
        dh_t = dh_prev + (through_w_hh if mask is None else through_w_hh * mask)
        dc_t = dc_prev + dc_new * f + di * p_i + df * p_f
    return Gradients(dx, dh_t, dc_t, Weights(**dw))


@dataclass(frozen=True, eq=False)
class _Inputs:
    """What `forward` was given, as arrays; None stands for what changes nothing."""

    x: Array
    h0: Array
    c0: Array
    w: Weights
    cell: Cell
    recurrent_mask: Array | None
    keep_h: Array | None
    keep_c: Array | None
    ended: NDArray[np.bool_] | None
    steps: tuple[int, ...]


def _ended(lengths: ArrayLike | None, T: int, B: int) -> NDArray[np.bool_] | None:
    """[T, B, 1]: whether a step lies beyond the end of its row."""
    if lengths is None:
        return None
    ends = np.asarray(lengths)
    if ends.shape != (B,):
        raise ShapeError(f"lengths has shape {ends.shape}: expected ({B},), one for each row.")
    return np.arange(T)[:, None, None] >= ends[:, None]


def _kept(
    zoneout: tuple[ArrayLike, ArrayLike] | None,
    ended: NDArray[np.bool_] | None,
    *shapes: tuple[int, ...],
) -> tuple[Array | None, ...]:
    """How much of h and of c is kept at each step; all of it beyond a row's end."""
    if zoneout is None and ended is None:
        return (None,) * len(shapes)
    rates = (0.0,) * len(shapes) if zoneout is None else zoneout
    kept = (np.broadcast_to(_f64(r), s) for r, s in zip(rates, shapes, strict=True))
    return tuple(k if ended is None else np.where(ended, 1.0, k) for k in kept)


def _hold(new: Array, old: Array, keep: Array | None, t: int) -> Array:
    return new if keep is None else (1 - keep[t]) * new + keep[t] * old


def _unhold(d: Array, keep: Array | None, t: int) -> tuple[Array, Array]:
    """Gradients of `_hold` with respect to new and old."""
    return (d, np.zeros_like(d)) if keep is None else ((1 - keep[t]) * d, keep[t] * d)


@dataclass(frozen=True, eq=False)
class _Norm:
    """One layer norm: the normalised value, the inverse standard deviation, which columns count."""

    normal: Array
    inverse_std: Array
    used: NDArray[np.bool_]

    def output(self, gain_shift: Array | None) -> Array:
        assert gain_shift is not None  # a _Norm exists only where its parameters do
        return self.normal * gain_shift[0] + gain_shift[1]


def _normalise(
    v: Array, gain_shift: Array | None, used: NDArray[np.bool_] | None = None
) -> tuple[Array, _Norm | None]:
    """Layer norm over the used columns (Ba et al. 2016, eq. 4); v itself without parameters."""
    used = np.ones(v.shape[-1], np.bool_) if used is None else used
    if gain_shift is None or not used.any():
        return v, None
    seen = v[:, used]
    inverse_std = 1 / np.sqrt(seen.var(axis=-1, keepdims=True) + EPSILON)
    norm = _Norm((v - seen.mean(axis=-1, keepdims=True)) * inverse_std, inverse_std, used)
    return norm.output(gain_shift), norm


def _unnormalise(
    d: Array, norm: _Norm | None, gain_shift: Array | None, into: Array | None
) -> Array:
    """Gradient of `_normalise`; adds those of gain and shift to `into`.

    Nothing comes from columns that are not used, so that d is 0 there.
    """
    if norm is None or gain_shift is None or into is None:
        return d
    into += np.stack([(d * norm.normal).sum(0), d.sum(0)])
    found, normal = np.zeros_like(d), norm.normal[:, norm.used]
    d = (d * gain_shift[0])[:, norm.used]
    centred = d - d.mean(axis=-1, keepdims=True)
    found[:, norm.used] = norm.inverse_std * (
        centred - normal * (d * normal).mean(axis=-1, keepdims=True)
    )
    return found


def _f64(a: ArrayLike) -> Array:
    return np.asarray(a, dtype=np.float64)
