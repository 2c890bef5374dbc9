"""How the gradient flows back: dL/dc_t and dL/dh_t at every step, and what they are made of.

With L = Σ dy ⊙ y, δ_k,t the gradient of gate k before its activation, which the core's own backward
gives, and R_t(v) what a gradient v of h_t brings to c_t by way of ψ,

    dL/dh_t = dy_t + Σ_k W_hk' δ_k,t+1
    dL/dc_t = R_t(dy_t)                              read_out: this step's own output
            + f_{t+1} ⊙ dL/dc_{t+1}                  carried: the carousel, past both squashes
            + R_t(W_hk' δ_k,t+1)                     for each gate k: its own recurrence
            + the peepholes, each with the gate that it leads to
    R_t(v) = o_t ⊙ ψ'(c_t) ⊙ v

    with a projection h_t = W_hr (o_t ⊙ ψ(c_t)):     R_t(v) = o_t ⊙ ψ'(c_t) ⊙ W_hr' v
    with layer norms N_c of c_t, N_h of W_h h_t:     R_t(v) = N_c'(o_t ⊙ ψ'(N_c(c_t)) ⊙ W_hr' v),
                                                     and W_h' N_h'(δ_k,t+1) stands for W_hk' δ_k,t+1

where N' is the transposed Jacobian of a norm; without a projection W_hr is left out. N_h is one
norm over all used gates, so W_h' N_h'(δ_k) takes the rows of all of them.

`carried` takes over all of the next step's gradient, whichever way that came. What never went
through h or a peephole on its way is the carousel,

    e_t = R_t(dy_t) + f_{t+1} ⊙ e_{t+1},   so Σ_{k≥t} Π_{t<j≤k} f_j ⊙ R_k(dy_k).

Hochreiter & Schmidhuber 1997, appendix A.1, for the cell without forget gates: they train with the
carousel alone; Gers, Schmidhuber & Cummins 2000, section 3.2, with forget gates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise import _native, reference
from gatewise.arguments import numbers
from gatewise.errors import ConfigError, ShapeError
from gatewise.trace.given import Given, checked, weights_of
from gatewise.trace.keep import check_memory
from gatewise.trace.running import GATES, Ran, direction_of, normalised, run_chunk
from gatewise.trace.trace import need_xarray

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]

PARTS: Final = ("carried", "read_out", *GATES)
"""What dL/dc_t is the sum of."""


def gradient_flow(lstm: Any, x: Any, dy: Any, state: Any = None) -> xr.Dataset:
    """Return the gradients of every state at every step, and the parts of those of the cell states.

    Args:
        lstm: as in `gatewise.trace.record`; of built-in activations, without zoneout.
        x: [T, B, I], or [B, T, I] if the LSTM is batch-first, or [T, I].
        dy: dL/dy for the output y, laid out like it: L = Σ dy ⊙ y.
        state: (h0, c0) as in `record`.

    Returns:
        Over layer, direction, time, batch and hidden: cell_state, dL/dc_t; its parts carried,
        read_out, input_gate, forget_gate, candidate and output_gate, which add up to it; carousel,
        what of it came through forget gates alone; and hidden_state, dL/dh_t (with a projection
        over projected).

    Raises:
        ShapeError, DtypeError: x, dy or state does not fit the LSTM.
        ConfigError: the LSTM has zoneout, or a Python function as an activation; or the gradients
            do not fit into the memory that is free.
        MissingExtraError: xarray is not installed.

    >>> import torch
    >>> lstm, x, dy = torch.nn.LSTM(3, 4), torch.randn(6, 1, 3), np.zeros((6, 1, 4))
    >>> dy[-1] = 1.0  # a loss of the last output alone
    >>> flow = gradient_flow(lstm, x, dy)
    >>> whole = sum(flow[part] for part in PARTS)
    >>> bool(np.allclose(whole, flow["cell_state"], atol=1e-6))
    True
    """
    xr = need_xarray()
    weights = weights_of(lstm)
    config = weights.config
    if any(config.zoneout) or config.cell.has_callables:
        raise ConfigError(
            f"The LSTM has zoneout {config.zoneout} and the cell {config.cell}: expected no "
            "zoneout, and built-in activations."
        )
    given = checked(weights, x, state)
    (T, B, _), D, H = given.x.shape, config.directions, config.hidden_size
    P = config.proj_size or H
    # 8 variables of H numbers and one of P are returned; y and 5 H are kept of each run till then.
    numbers_per_step = 13 * H + 2 * P
    check_memory(
        config.num_layers * D * T * B * numbers_per_step * given.x.itemsize,
        "The flow of gradients takes",
        "Take fewer steps or rows at a time.",
    )
    dy_rows = _time_first(given, numbers(dy, "dy", given.x.dtype), (T, B, D * P))
    runs, rows = [], given.x
    for layer in range(config.num_layers):
        runs.append([_forward(given, layer, d, rows) for d in range(D)])
        rows = np.concatenate([given.turned(r.y) if d else r.y for d, r in enumerate(runs[-1])], 2)
    shape = (config.num_layers, D, T, B)
    out = {name: np.empty((*shape, H), rows.dtype) for name in ("cell_state", *PARTS, "carousel")}
    out["hidden_state"] = np.empty((*shape, P), rows.dtype)
    for layer in reversed(range(config.num_layers)):
        below = None
        for d in range(D):
            own = dy_rows[..., d * P :][..., :P]
            own = np.ascontiguousarray(given.turned(own) if d else own)
            dx, found = _backward(runs[layer][d], own)
            for name, value in found.items():
                out[name][layer, d] = given.turned(value) if d else value
            dx = given.turned(dx) if d else dx
            below = dx if below is None else below + dx
        assert below is not None
        dy_rows = below
    dims = ("layer", "direction", "time", "batch")
    last = {name: "projected" if name == "hidden_state" and config.proj_size else "hidden"
            for name in out}  # fmt: skip
    coordinates = {
        "layer": np.arange(config.num_layers),
        "direction": ["forward", "reverse"][:D],
        "time": np.arange(T),
    }
    return xr.Dataset({k: ((*dims, last[k]), v) for k, v in out.items()}, coordinates)


def _forward(given: Given, layer: int, d: int, rows: Array) -> Ran:
    """A forward of one layer and direction, in the order of running."""
    own = direction_of(given.weights, layer, d, given.x.dtype)
    k = layer * given.weights.config.directions + d
    x = np.ascontiguousarray(given.turned(rows) if d else rows)
    return run_chunk(own, own.network(), x, given.h[k], given.c[k])


def _backward(run: Ran, dy: Array) -> tuple[Array, dict[str, Array]]:
    """The gradient of x; and of the states, with parts."""
    (T, B, _P), H, own = run.y.shape, run.network.H, run.direction
    cell = own.cell
    names = _native.parameter_names(cell, own.projection)
    dx, delta = np.empty_like(run.x), np.zeros((1, T, B, 4, H), run.x.dtype)
    run.network.backward(
        run.x, run.h[None], run.c[None], run.y, run.tape, dy, None, None, dx, None, None,
        [(None,) * (len(names) - 1)], _native.thread_count(), gate_gradients=delta,
    )  # fmt: skip
    d = delta[0]
    through = {gate: _through_gate(run, d, k) for k, gate in enumerate(GATES)}
    found = {"hidden_state": dy + sum(through.values())}
    done = run.variables(frozenset({"cell_state", "forget_gate", "output_gate"}))
    read = _Reading(run, done)
    found["read_out"] = read.of(dy)
    for gate, dh in through.items():
        found[gate] = read.of(dh)
    if cell.peephole:
        see = own.own["peephole"]
        for k, gate in enumerate(("input_gate", "forget_gate")):
            found[gate][:-1] += see[k] * d[1:, :, k]
        found["output_gate"] += see[2] * d[:, :, 3]
    whole = found["read_out"] + sum(found[gate] for gate in GATES)
    carried, carousel = np.zeros_like(whole), found["read_out"].copy()
    forget = done["forget_gate"]
    for t in reversed(range(T - 1)):
        np.multiply(forget[t + 1], whole[t + 1], out=carried[t])
        whole[t] += carried[t]
        carousel[t] += forget[t + 1] * carousel[t + 1]
    return dx, found | {"carried": carried, "carousel": carousel, "cell_state": whole}


def _through_gate(run: Ran, d: Array, k: int) -> Array:
    """[T, B, P]: what comes to h_t by way of gate k of the next step."""
    T, B, P = run.y.shape
    H, own = run.network.H, run.direction.own
    found = np.zeros_like(run.y)
    if T < 2:
        return found
    if not run.direction.cell.layer_norm:
        found[:-1] = d[1:, :, k] @ own["w_hh"][k * H : (k + 1) * H]
        return found
    alone = np.zeros_like(d[1:])
    alone[:, :, k] = d[1:, :, k]
    products = (run.y[:-1].reshape(-1, P) @ own["w_hh"].T).reshape(T - 1, B, 4 * H)
    used = np.repeat(run.direction.cell.used_gates, H)
    back = _through_norm(alone.reshape(T - 1, B, 4 * H), products, own["norm_hh"], used)
    found[:-1] = back @ own["w_hh"]
    return found


class _Reading:
    """From a gradient of h_t to that of c_t at the same step: through o and ψ'."""

    def __init__(self, run: Ran, done: dict[str, Array]) -> None:
        self.direction, self.cell_state = run.direction, done["cell_state"]
        cell, c = run.direction.cell, self.cell_state
        seen = normalised(c, self.direction.own["norm_c"]) if cell.layer_norm else c
        psi = cell.activation("cell_output")
        slope = psi.derivative(seen, psi.function(seen)).astype(c.dtype)
        self.factor = done["output_gate"] * slope

    def of(self, dh: Array) -> Array:
        """[T, B, P] to [T, B, H]."""
        own = self.direction
        through = (dh @ own.own["w_hr"] if own.projection else dh) * self.factor
        if not own.cell.layer_norm:
            return through
        return _through_norm(through, self.cell_state, own.own["norm_c"])


def _through_norm(
    d: Array, v: Array, gain_shift: Array, used: NDArray[np.bool_] | None = None
) -> Array:
    """The gradient of `normalised(v)`, of its output's d, over the last axis."""
    used = np.ones(v.shape[-1], np.bool_) if used is None else used
    seen = v[..., used]
    inverse = 1 / np.sqrt(seen.var(axis=-1, keepdims=True) + reference.EPSILON)
    normal = (seen - seen.mean(axis=-1, keepdims=True)) * inverse
    own = (d * gain_shift[0])[..., used]
    found = np.zeros_like(d)
    centred = own - own.mean(axis=-1, keepdims=True)
    found[..., used] = inverse * (centred - normal * (own * normal).mean(axis=-1, keepdims=True))
    return found


def _time_first(given: Given, dy: Array, shape: tuple[int, ...]) -> Array:
    rows = dy
    if not given.batched:
        rows = dy[:, None] if dy.ndim == 2 else dy
    elif given.weights.config.batch_first and dy.ndim == 3:
        rows = dy.swapaxes(0, 1)
    if rows.shape != shape:
        raise ShapeError(
            f"dy has shape {dy.shape}: expected that of the output, {shape} time-major."
        )
    return rows
