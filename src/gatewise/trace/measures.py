"""Numbers on a trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gatewise.arguments import index, number, whole
from gatewise.cell import SITES
from gatewise.errors import ConfigError, nearest, shown
from gatewise.trace.recorded import Recorded

if TYPE_CHECKING:
    import xarray as xr


def saturation(trace: Recorded, site: str, margin: float = 0.1) -> xr.DataArray:
    """Return how much of the time each unit spends at the ends of its activation's range.

    Args:
        trace: what `record` returned.
        site: one of the five sites.
        margin: how near to an end counts, as a part of the range. Default 0.1: below 0.1 or above
            0.9 for a sigmoid.

    Returns:
        The fraction, 0 to 1, per layer, direction and hidden unit.

    Raises:
        ConfigError: the site is unknown, or its activation has no finite range.
    """
    activation = trace.cell.activation(site)
    low, high = activation.range
    if not np.isfinite(high - low) or high == low:
        raise ConfigError(
            f"{site} has the activation {activation.name!r} with range {activation.range}: "
            "expected a finite range to measure saturation in."
        )
    margin = number(margin, "margin", 0, 0.5)
    values = variable(trace, site)
    edge = margin * (high - low)
    ends = (values < low + edge) | (values > high - edge)
    return ends.where(values.notnull()).mean(("time", "batch"))


def memory(trace: Recorded) -> xr.DataArray:
    """Return each unit's memory in steps: 1 / (1 - f) at its mean forget gate.

    That is Σ_k f^k, the sum of the weights that a constant f gives to this step and all before. For
    f near 1 it is also the time constant of c_t = f c_{t-1}, -1 / ln f; at f = 1/2 that is 1.4, not
    2. `half_life` is exact for any f. For a coupled cell f = 1 - i; with zoneout of c at rate z,
    (1 - z) f + z counts.

    Returns:
        Steps per layer, direction and hidden unit; infinite where f is 1.
    """
    mean = kept_share(trace).mean(("time", "batch"))
    return 1 / (1 - mean).where(mean < 1, 0)


def forget_path(trace: Recorded, start: int = 0) -> xr.DataArray:
    """Return the product of the forget gates from one step on: ∂c_t/∂c_start along the cell state.

    Hochreiter & Schmidhuber 1997 call this path the constant error carousel (there f = 1). It
    passes neither squash: φ and ψ may be flat while it stays near 1.

    The reverse direction reads the last step first: there it is ∂c_start/∂c_t, what the cell state
    at `start` still holds of the later steps, which were read before.

    Args:
        trace: what `record` returned.
        start: index of the step whose cell state is followed.

    Returns:
        The product in float64 per layer, direction, time (from start on, 1 at start), batch and
        hidden unit.

    Raises:
        ConfigError: there is no such step.
    """
    steps = trace.data.sizes["time"]
    start = index(start, "start", steps)
    gates = kept_share(trace).isel(time=slice(start, None)).astype(np.float64)
    factors = gates.copy()
    factors[{"time": 0}] = 1.0
    for at, name in enumerate(trace.data["direction"].values):
        if name == "reverse":
            factors[{"direction": at}] = gates.isel(direction=at).shift(time=1, fill_value=1.0)
    return factors.cumprod("time").where(gates.notnull()).rename("forget_path")


def variable(trace: Recorded, name: str) -> xr.DataArray:
    """Return one variable of a trace, or say which there are.

    Raises:
        ConfigError: there is no such variable.
    """
    if not isinstance(name, str) or name not in trace.data:
        known = [str(k) for k in trace.data.data_vars]
        raise ConfigError(f"A trace has no variable {shown(name)}. {nearest(name, known)}")
    return trace.data[name]


def of_layer(data: xr.DataArray, layer: int, direction: int) -> xr.DataArray:
    """Return one layer and direction by index; negative ones count from the end.

    Raises:
        ConfigError: there is no such one.
    """
    at = {}
    for name, given in (("layer", layer), ("direction", direction)):
        n = data.sizes[name]
        negative = isinstance(given, (int, np.integer)) and -n <= given < 0
        at[name] = index(given + n if negative else given, name, n)
    return data.isel(at)


def kept_share(trace: Recorded) -> xr.DataArray:
    """Return what a step keeps of the cell state: f_t, with zoneout at rate z (1 - z) f_t + z."""
    gates = variable(trace, "forget_gate")
    rate = float(trace.data.attrs.get("zoneout_c", 0.0))
    return (1 - rate) * gates + rate if rate else gates


def half_life(trace: Recorded) -> xr.DataArray:
    """Return after how many steps half of a cell state is forgotten: -ln 2 / mean(ln |f_t|).

    Along a run c_t keeps Π f of what c was, so the mean of ln |f| over time and batch is its rate
    of decay; for a constant f = σ(b) that is the half-life -ln 2 / ln σ(b), exactly. Where f is
    below 0, as that of a tanh may be, what is left has changed its sign and is there all the same.

    Returns:
        Steps per layer, direction and hidden unit; infinite where nothing is lost, as where f is 1
        all along, 0 where f is ever 0.

    >>> import torch
    >>> from gatewise.trace import record
    >>> lstm = torch.nn.LSTM(1, 1)
    >>> _ = [torch.nn.init.zeros_(p) for p in lstm.parameters()]
    >>> float(half_life(record(lstm, torch.zeros(9, 1, 1))).squeeze())  # f = 1/2
    1.0
    """
    with np.errstate(divide="ignore"):
        logs: Any = np.log(abs(kept_share(trace).astype(np.float64)))
    rate = logs.mean(("time", "batch"))
    return (-np.log(2) / rate.where(rate < 0)).fillna(np.inf).rename("half_life")


def effective_rank(trace: Recorded, name: str = "cell_state") -> xr.DataArray:
    """Return how many directions a state really moves in: exp of the entropy of its spectrum.

    With the singular values s of the states [time * batch, H] less their mean, and p = s / Σ s, it
    is exp(-Σ p ln p) (Roy & Vetterli 2007): H where all directions are used alike, 1 where one is.

    Args:
        trace: what `record` returned.
        name: "cell_state" (default), "hidden_state" or any other variable.

    Returns:
        A number for each layer and direction, 0 where nothing moves.
    """
    import xarray as xr

    data = variable(trace, name)
    L, D = data.sizes["layer"], data.sizes["direction"]
    found = np.zeros((L, D))
    for layer in range(L):
        for d in range(D):
            rows = data.values[layer, d].astype(np.float64)
            rows = rows.reshape(rows.shape[0] * rows.shape[1], rows.shape[2])
            rows = rows[np.isfinite(rows).all(axis=1)]
            s = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) if rows.size else [0.0]
            total = np.sum(s)
            if total > 1e-12 * max(1.0, float(np.abs(rows).max(initial=0))) * len(rows):
                p = np.asarray(s) / total
                found[layer, d] = np.exp(-np.sum(p[p > 0] * np.log(p[p > 0])))
    return xr.DataArray(found, dims=("layer", "direction"), name="effective_rank").assign_coords(
        layer=data["layer"], direction=data["direction"]
    )


def operating(trace: Recorded, site: str, beyond: float = 2.0) -> xr.DataArray:
    """Return how much of the time each unit's activation works far from 0: |input| > `beyond`.

    Of cell_output the input is what ψ sees, which is c_t, with layer norm its norm; there tanh has
    a slope below 7 % of that at 0. What is flat there is what h says about c. The memory itself is
    not touched.

    Args:
        trace: what `record` returned.
        site: one of the five sites.
        beyond: default 2.

    Returns:
        The fraction, 0 to 1, per layer, direction and hidden unit.

    Raises:
        ConfigError: the site is unknown or has no input, or the trace has not kept what it needs.
    """
    inputs = site_input(trace, site)
    if inputs is None:
        raise ConfigError(
            f"{site} of {trace.cell} has no input of its own: expected a site with weights. With "
            "coupled=True f is 1 - i, and a gate 'one' is a constant."
        )
    far = (abs(inputs) > number(beyond, "beyond", 0)).where(inputs.notnull())
    return far.mean(("time", "batch")).rename("operating")


def site_input(trace: Recorded, site: str) -> xr.DataArray | None:
    """Return what the activation of a site was given, or None if the cell uses no such number.

    It is None for the forget gate of a coupled cell, which is 1 - i, and for a gate that is `one`.

    Raises:
        ConfigError: the site is unknown, or the trace has not kept what it needs.
    """
    trace.cell.activation(site)  # or raise
    if site != "cell_output":
        used = trace.cell.used_gates[SITES.index(site)]
        return variable(trace, f"{site}_pre") if used else None
    other = trace.cell.layer_norm or trace.data.attrs.get("zoneout_c")
    return variable(trace, "cell_output_pre" if other else "cell_state")


def similar_states(
    trace: Recorded, t: int, batch: int = 0, *, name: str = "hidden_state", layer: int = -1,
    direction: int = 0, count: int = 5,
) -> xr.Dataset:  # fmt: skip
    """Return the steps whose state is most like that of one step.

    Args:
        trace: what `record` returned.
        t, batch: index of the step and row to compare with.
        name: "hidden_state" (default) or "cell_state".
        layer, direction: which; default the last layer, forward.
        count: how many.

    Returns:
        time, row and similarity (cosine, 1 for the same direction), the best first, without the
        step itself.

    Raises:
        ConfigError: there is no such step or variable.
    """
    import xarray as xr

    states = of_layer(variable(trace, name), layer, direction)
    T, B = states.sizes["time"], states.sizes["batch"]
    t, batch, count = index(t, "t", T), index(batch, "batch", B), whole(count, "count")
    rows = states.values.reshape(T * B, -1).astype(np.float64)
    length = np.linalg.norm(rows, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = rows @ rows[t * B + batch] / (length * length[t * B + batch])
    alike[t * B + batch] = -np.inf
    order = np.argsort(-np.nan_to_num(alike, nan=-np.inf), kind="stable")[:count]
    order = order[np.isfinite(alike[order])]
    return xr.Dataset(
        {
            "time": ("rank", states["time"].values[order // B]),
            "row": ("rank", order % B),
            "similarity": ("rank", alike[order]),
        }
    )
