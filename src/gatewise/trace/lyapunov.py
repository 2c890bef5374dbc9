"""How fast neighbouring states part or meet along a run: Lyapunov exponents of the cell.

The state (h, c) moves by a map with Jacobian J_t. Tangent vectors are pushed through J_t and made
orthonormal again by QR at each step; the mean of ln |R_kk| is the k-th exponent (Benettin et al.
1980; for RNNs, Engelken, Wolf & Abbott 2023, arXiv 2006.02427). Above 0 neighbouring states part:
chaos, and gradients that explode; far below 0 the past is forgotten; near 0 it is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gatewise.arguments import index, whole
from gatewise.errors import ConfigError, shown
from gatewise.trace.given import checked, weights_of
from gatewise.trace.keep import kept
from gatewise.trace.recorder import run_all
from gatewise.trace.running import GATES, PRE
from gatewise.trace.trace import need_xarray

if TYPE_CHECKING:
    import xarray as xr


def lyapunov_exponents(
    lstm: Any,
    x: Any,
    count: int = 4,
    *,
    layer: int = 0,
    direction: int = 0,
    state: Any = None,
    warm_up: int = 0,
    seed: int = 0,
) -> xr.DataArray:
    """Return the largest Lyapunov exponents of one layer along a run, per step.

    Args:
        lstm, x, state: as in `gatewise.trace.record`; one row, without layer norm and zoneout.
        count: how many exponents, at most P + H. Default 4.
        layer, direction: which.
        warm_up: steps that are run before the mean begins. Default 0.
        seed: of the first tangent vectors.

    Returns:
        The exponents, falling.

    Raises:
        ConfigError: the cell has layer norm, zoneout or a Python function; x has several rows, or
            not more steps than `warm_up`; or `count` is out of its range.

    >>> import torch
    >>> lstm = torch.nn.LSTM(1, 2, dtype=torch.float64)
    >>> _ = [torch.nn.init.zeros_(p) for p in lstm.parameters()]  # c halves at each step
    >>> lyapunov_exponents(lstm, torch.zeros(50, 1), 2).values.round(1)
    array([-0.7, -0.7])
    """
    xr = need_xarray()
    weights = weights_of(lstm)
    config, cell = weights.config, weights.config.cell
    if cell.layer_norm or cell.has_callables or any(config.zoneout):
        raise ConfigError(f"{cell} with zoneout {config.zoneout}: expected neither zoneout, layer "
                          "norm nor a Python function.")  # fmt: skip
    given = checked(weights, x, state)
    T, B, _ = given.x.shape
    layer = index(layer, "layer", config.num_layers)
    direction = index(direction, "direction", config.directions)
    warm_up, count, seed = whole(warm_up, "warm_up"), whole(count, "count", 1), whole(seed, "seed")
    own = {k: v.astype(np.float64) for k, v in weights.layer(layer, direction).items()}
    H, P = config.hidden_size, config.proj_size or config.hidden_size
    if B != 1 or not 0 <= warm_up < T or not 1 <= count <= P + H:
        raise ConfigError(
            f"x has {B} rows and {T} steps, warm_up is {shown(warm_up)} and count {shown(count)}: "
            f"expected one row, more steps than warm_up, and 1 to {P + H} exponents."
        )
    values = run_all(given, kept(None, config, T, np.float64))
    order = slice(None, None, -1 if direction else 1)
    run = {k: v[layer, direction, order, 0].astype(np.float64) for k, v in values.items()}
    c0 = given.c[layer * config.directions + direction].astype(np.float64)
    c_prev = np.concatenate([c0, run["cell_state"][:-1]])
    slopes = {
        gate: cell.activation(gate).derivative(run[pre], run[gate])
        for gate, pre in zip(GATES, PRE, strict=True)
    }
    psi = cell.activation("cell_output")
    slope_psi = psi.derivative(run["cell_state"], psi.function(run["cell_state"]))
    see = own.get("peephole", np.zeros((3, H)))[:, :, None]
    rng = np.random.default_rng(seed)
    tangent, _ = np.linalg.qr(rng.standard_normal((P + H, count)))
    total = np.zeros(count)
    for t in range(T):
        dh, dc = tangent[:P], tangent[P:]
        pre = (own["w_hh"] @ dh).reshape(4, H, count)
        s = {gate: slopes[gate][t][:, None] for gate in GATES}
        di = s["input_gate"] * (pre[0] + see[0] * dc)
        df = -di if cell.coupled else s["forget_gate"] * (pre[1] + see[1] * dc)
        dg = s["candidate"] * pre[2]
        new_c = (
            run["forget_gate"][t][:, None] * dc + c_prev[t][:, None] * df
            + run["candidate"][t][:, None] * di + run["input_gate"][t][:, None] * dg
        )  # fmt: skip
        do = s["output_gate"] * (pre[3] + see[2] * new_c)
        m = run["cell_output"][t][:, None] * do
        m = m + (run["output_gate"][t] * slope_psi[t])[:, None] * new_c
        new_h = own["w_hr"] @ m if "w_hr" in own else m
        tangent, r = np.linalg.qr(np.concatenate([new_h, new_c]))
        if t >= warm_up:
            with np.errstate(divide="ignore"):
                total += np.log(np.abs(np.diag(r)))
    exponents = np.sort(total / (T - warm_up))[::-1]
    return xr.DataArray(exponents, dims="exponent", name="lyapunov_exponents")
