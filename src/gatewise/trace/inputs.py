"""Which input moves which unit, with its sign."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise import _native
from gatewise.arguments import index, names, number, whole
from gatewise.errors import ConfigError, ShapeError, shown
from gatewise.trace.given import Given, checked, weights_of
from gatewise.trace.keep import Keep, kept
from gatewise.trace.recorder import run_all
from gatewise.trace.running import direction_of
from gatewise.trace.trace import need_xarray

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]


def influence(
    lstm: Any,
    x: Any,
    of: str = "cell_state",
    *,
    layer: int = 0,
    direction: int = 0,
    step: float = 1.0,
    inputs: Any = None,
) -> xr.DataArray:
    """Return how a unit moves when an input is raised at every step: by perturbation.

    influence[i, u] = mean over time and batch of (u(x + s_i e_i) - u(x - s_i e_i)) / 2, where s_i
    is `step` standard deviations of input i. It is signed, and of the unit's own size.

    Args:
        lstm, x: as in `gatewise.trace.record`; x of one length.
        of: which variable of a trace. Default "cell_state".
        layer, direction: which units.
        step: in standard deviations of the input (1 of an input that never changes). Default 1.
        inputs: names of the inputs; default 0 to I-1.

    Returns:
        A number for each input and unit.

    Raises:
        ConfigError: there is no such variable, layer or direction.

    >>> import torch
    >>> lstm = torch.nn.LSTM(2, 1)
    >>> _ = [torch.nn.init.zeros_(p) for p in lstm.parameters()]
    >>> with torch.no_grad():
    ...     lstm.weight_ih_l0[2, 1] = -3.0  # the second input moves the candidate, downwards
    >>> influence(lstm, torch.randn(50, 1, 2))[:, 0].values.round(1) + 0.0 < 0
    array([False,  True])
    """
    xr = need_xarray()
    given = checked(weights_of(lstm), x)
    T, _B, I = given.x.shape
    step = number(step, "step")
    direction = index(direction, "direction", given.weights.config.directions)
    labels = np.arange(I) if inputs is None else names(inputs, "inputs", I)
    if not given.x.size:
        raise ShapeError(f"x has shape {np.shape(x)}: expected some steps and rows.")
    chosen = kept(Keep([of], layers=[layer]), given.weights.config, T, given.x.dtype)
    spread = given.x.std(axis=(0, 1))
    size = (step * np.where(spread > 0, spread, 1.0)).astype(given.x.dtype)
    found = []
    for i in range(I):
        both = []
        for sign in (1, -1):
            moved = given.x.copy()
            moved[..., i] += sign * size[i]
            values = run_all(replace(given, x=moved), chosen)[of][0, direction]
            both.append(values.mean(axis=(0, 1), dtype=np.float64))
        found.append((both[0] - both[1]) / 2)
    dims = ("input", "hidden")
    return xr.DataArray(np.stack(found), {"input": labels}, dims, name="influence")


def integrated_gradients(
    lstm: Any,
    x: Any,
    *,
    baseline: Any = None,
    time: int = -1,
    of: str = "cell_state",
    points: int = 64,
) -> xr.DataArray:
    """Return what each input at each step adds to a unit's state: integrated gradients.

    attribution = (x - x') ⊙ ∫_0^1 ∂u/∂x (x' + a (x - x')) da (Sundararajan et al. 2017, arXiv
    1703.01365). Over time and inputs it adds up to u(x) - u(x') where `points` are enough for the
    integral. What is missing is in the result; a warning is given where that is much. Smooth cells
    need few points, those with corners (relu, hard_tanh) more. With layer norm the slopes are steep
    near rows that hardly differ among the units, and no number of points may do: choose another
    baseline.

    Args:
        lstm: as in `gatewise.trace.record`; of one layer and direction, without zoneout.
        x: [T, I], or [T, 1, I].
        baseline: x', of the same shape; default the mean of x over time.
        time: index of the step whose state is explained. Default the last.
        of: "cell_state" (default) or "hidden_state".
        points: of the integral, by Gauss and Legendre. Default 64.

    Returns:
        Over time, input and hidden (of the state that is explained). `attrs["residual"]` has for
        each of the units the sum less u(x) - u(x'), which Captum calls the convergence delta.

    Warns:
        UserWarning: a residual is above 1 % of the largest |u(x) - u(x')|.

    Raises:
        ConfigError: the LSTM or x is another; there is no such step.
        ShapeError: the baseline is not of the shape of x.
    """
    xr = need_xarray()
    weights = weights_of(lstm)
    config = weights.config
    given = checked(weights, x)
    T, B, I = given.x.shape
    one = config.num_layers == 1 and not config.bidirectional and B == 1
    if not one or any(config.zoneout) or config.cell.has_callables:
        raise ConfigError(
            f"The LSTM has {config.num_layers} layers, zoneout {config.zoneout} and {config.cell}, "
            f"x {B} rows: expected one layer, direction and row, no zoneout and no Python function."
        )
    if of not in ("cell_state", "hidden_state"):
        raise ConfigError(f"of is {shown(of)}: expected 'cell_state' or 'hidden_state'.")
    from_end = isinstance(time, (int, np.integer)) and -T <= time < 0
    end = index(time + T if from_end else time, "time", T) + 1
    points = whole(points, "points", 1)
    rows = given.x[:end, 0].astype(np.float64)
    start = np.broadcast_to(given.x[:, 0].mean(axis=0, dtype=np.float64), rows.shape)
    if baseline is not None:
        base = checked(weights, baseline).x
        if base.shape != given.x.shape:
            raise ShapeError(
                f"baseline has shape {np.shape(baseline)}: expected that of x, {np.shape(x)}."
            )
        start = base[:end, 0].astype(np.float64)
    nodes, shares = np.polynomial.legendre.leggauss(points)
    H = config.hidden_size if of == "cell_state" else config.proj_size or config.hidden_size
    own = direction_of(weights, 0, 0, np.float64)
    network = own.network()
    total = np.zeros((end, H, I))
    for node, share in zip((nodes + 1) / 2, shares / 2, strict=True):
        at = np.ascontiguousarray(np.repeat((start + node * (rows - start))[:, None], H, axis=1))
        total += share * _input_gradients(network, at, given, of)
    found = (rows - start)[:, None] * total
    ends = _last_states(network, np.stack([rows, start], axis=1), given, of)
    change = ends[0] - ends[1]
    residual = found.sum(axis=(0, 2)) - change
    if np.abs(residual).max() > _INCOMPLETE * np.abs(change).max():
        warnings.warn(
            f"The attributions of {points} points miss u(x) - u(x') by up to "
            f"{np.abs(residual).max():.2g}, of {np.abs(change).max():.2g}: raise points, or choose "
            "another baseline.",
            stacklevel=2,
        )
    return xr.DataArray(
        found.transpose(0, 2, 1), dims=("time", "input", "hidden"), name="integrated_gradients",
        attrs={"residual": residual},
    )  # fmt: skip


_INCOMPLETE: Final = 0.01
"""Of the largest change of a state: what integrated gradients may miss without a warning."""


def _last_states(network: Any, x: Array, given: Given, of: str) -> Array:
    """[B, H]: the state after the last step of each row, all from the given start."""
    return _forward(network, np.ascontiguousarray(x), given)[4 if of == "hidden_state" else 5][0]


def _input_gradients(network: Any, x: Array, given: Given, of: str) -> Array:
    """[T, H, I]: of unit b's last state, in row b, with respect to the row's inputs."""
    h, c, y, tape, *_ = _forward(network, x, given)
    dx, one = np.empty_like(x), np.eye(x.shape[1])[None]
    dh_n, dc_n = (one, None) if of == "hidden_state" else (None, one)
    names = _native.parameter_names(network.cell, network.projection)
    nothing = [(None,) * (len(names) - 1)]
    threads = _native.thread_count()
    network.backward(x, h, c, y, tape, None, dh_n, dc_n, dx, None, None, nothing, threads)
    return dx


def _forward(network: Any, x: Array, given: Given) -> tuple[Array, ...]:
    """h_0, c_0, y, tape, h_n and c_n of rows that all begin with the given state."""
    T, B, _ = x.shape
    h, c = (np.repeat(s.astype(np.float64), B, axis=1) for s in (given.h, given.c))
    y, tape = np.empty((T, B, network.P)), network.tape(T, B)
    h_n, c_n = np.empty_like(h), np.empty_like(c)
    network.forward(x, h, c, y, h_n, c_n, tape, _native.thread_count())
    return h, c, y, tape, h_n, c_n
