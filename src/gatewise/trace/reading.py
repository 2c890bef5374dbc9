"""What can be read from a state: by the model's own head at every step, or by a linear probe."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatewise.arguments import number, numbers, whole
from gatewise.errors import ConfigError, ShapeError, shown
from gatewise.trace.measures import of_layer, variable
from gatewise.trace.trace import Trace, need_xarray

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]


def lens(trace: Trace, head: Any, *, layer: int = -1, direction: int = 0) -> xr.Dataset:
    """Return what a head says at every step, and what it would say if the output gate were open.

    The head reads h_t = o_t ⊙ ψ(c_t) (says), and ψ(c_t), which is h_t with o = 1 (knows): where
    both differ, the cell knows what it does not say.

    Args:
        trace: what `record` returned, of an LSTM without projection.
        head: a module with `weight` [O, H] and `bias` [O], such as `torch.nn.Linear`; or a function
            of an array [..., H].
        layer, direction: default the last layer, forward.

    Returns:
        says and knows, over time, batch and output.

    Raises:
        ConfigError: the LSTM has a projection.
        ShapeError: the head does not take H numbers.

    >>> import torch
    >>> from gatewise.trace import record
    >>> trace = record(torch.nn.LSTM(3, 4), torch.zeros(5, 2, 3))
    >>> dict(lens(trace, torch.nn.Linear(4, 1)).sizes)
    {'time': 5, 'batch': 2, 'output': 1}
    """
    xr = need_xarray()
    says, knows = (variable(trace, k) for k in ("hidden_state", "cell_output"))
    if "projected" in says.dims:
        raise ConfigError("The LSTM has a projection, which reads o ψ(c): expected one without.")
    found = {}
    for name, every in (("says", says), ("knows", knows)):
        states = of_layer(every, layer, direction)
        out = np.asarray(_apply(head, states.values.copy()))
        T, B = states.shape[:2]
        if out.shape[:2] != (T, B):
            raise ShapeError(f"head gave {out.shape}: expected {(T, B)} and its outputs.")
        outputs = int(np.prod(out.shape[2:]))
        found[name] = (("time", "batch", "output"), out.reshape(T, B, outputs))
    return xr.Dataset(found, {"time": trace.data["time"]})


def _apply(head: Any, states: Array) -> Any:
    weight = getattr(head, "weight", None)
    if weight is None or not hasattr(weight, "detach"):
        if not callable(head) or hasattr(head, "parameters"):
            raise ConfigError(
                f"head is {shown(head)}: expected a torch.nn.Linear, or a function of an array."
            )
        return head(states)
    w, bias = numbers(weight, "head.weight", states.dtype), getattr(head, "bias", None)
    if w.ndim != 2 or w.shape[1] != states.shape[-1]:
        raise ShapeError(f"head has weights {w.shape}: expected [O, {states.shape[-1]}].")
    return states @ w.T + (0 if bias is None else numbers(bias, "head.bias", states.dtype))


def probe(
    trace: Trace,
    target: ArrayLike,
    *,
    name: str = "hidden_state",
    layer: int = -1,
    direction: int = 0,
    penalty: float = 1.0,
    folds: int = 5,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Tell how well a linear reader finds a target in a state, relative to chance.

    Ridge regression, judged on blocks of time that it has not seen. The control task of Hewitt &
    Liang 2019 (arXiv 1909.03368) asks it for the target turned by a random time shift, which has
    the target's own statistics but not its tie to the state: `selectivity` is what is above that.

    Args:
        trace: what `record` returned.
        target: [T, B], or [T] for one row: what may be in the state.
        name: "hidden_state" (default), "cell_state" or another variable.
        layer, direction: default the last layer, forward.
        penalty: of the squared weights, of standardised states. Default 1.
        folds: blocks of time. Default 5.
        level: of the interval. Default 0.95.
        seed: of the controls and the interval.

    Returns:
        r2 (1 is all, 0 no better than the mean), control (mean of 20), selectivity, and low and
        high: the interval of r2, from resampled blocks.

    Raises:
        ShapeError: the target does not fit the trace.
        ConfigError: there are too few steps for the folds.

    >>> import torch
    >>> from gatewise.trace import record
    >>> trace = record(torch.nn.LSTM(1, 8), torch.randn(400, 1, 1))
    >>> float(probe(trace, trace.data["cell_state"].values[0, 0, :, 0, 0])["r2"]) > 0.9
    True
    """
    xr = need_xarray()
    states = of_layer(variable(trace, name), layer, direction).values
    T, B = states.shape[:2]
    penalty, level = number(penalty, "penalty", 0), number(level, "level", 0, 1)
    folds, seed = whole(folds, "folds", 2), whole(seed, "seed")
    wanted = numbers(target, "target", np.float64)
    wanted = wanted[:, None] if wanted.ndim == 1 else wanted
    if wanted.shape != (T, B):
        raise ShapeError(f"target has shape {np.shape(target)}: expected ({T}, {B}).")
    if 4 * folds > T:
        raise ConfigError(
            f"There are {T} steps for {shown(folds)} folds: expected 4 each at least."
        )
    rng = np.random.default_rng(seed)
    errors, spread = _blocks(states, wanted, penalty, folds)
    r2 = 1 - errors.sum() / spread.sum()
    shifts = rng.integers(T // 4, T - T // 4, 20)
    controls = []
    for shift in shifts:
        e, s = _blocks(states, np.roll(wanted, shift, axis=0), penalty, folds)
        controls.append(1 - e.sum() / s.sum())
    draws = rng.integers(len(errors), size=(1000, len(errors)))
    resampled = 1 - errors[draws].sum(axis=1) / spread[draws].sum(axis=1)
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    control = float(np.mean(controls))
    return xr.Dataset(
        {"r2": r2, "control": control, "selectivity": r2 - control, "low": low, "high": high}
    )


def _blocks(states: Array, target: Array, penalty: float, folds: int) -> tuple[Array, Array]:
    """Squared errors, and those of the mean, of parts of the blocks that were left out."""
    T = len(states)
    bounds = np.linspace(0, T, folds + 1).astype(int)
    errors, spread = [], []
    for a, b in itertools.pairwise(bounds):
        out = np.zeros(T, bool)
        out[a:b] = True
        x, y = (v[~out].reshape(-1, *v.shape[2:]).astype(np.float64) for v in (states, target))
        x_out, y_out = (
            v[out].reshape(-1, *v.shape[2:]).astype(np.float64) for v in (states, target)
        )
        good, good_out = (
            ~(np.isnan(x).any(1) | np.isnan(y)),
            ~(np.isnan(x_out).any(1) | np.isnan(y_out)),
        )
        x, y, x_out, y_out = x[good], y[good], x_out[good_out], y_out[good_out]
        mean, scale = x.mean(0), x.std(0) + 1e-12
        x, x_out = (x - mean) / scale, (x_out - mean) / scale
        gram = x.T @ x + penalty * np.eye(x.shape[1])
        w = np.linalg.solve(gram, x.T @ (y - y.mean()))
        pieces = max(1, (b - a) // 10)
        for e, s in zip(np.array_split((y_out - y.mean() - x_out @ w) ** 2, pieces),
                        np.array_split((y_out - y.mean()) ** 2, pieces), strict=True):  # fmt: skip
            errors.append(e.sum())
            spread.append(s.sum())
    return np.asarray(errors), np.asarray(spread)
