"""Numbers on a trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gatewise.errors import ConfigError, nearest, shown
from gatewise.trace.recording import Trace

if TYPE_CHECKING:
    import xarray as xr


def saturation(trace: Trace, site: str, margin: float = 0.1) -> xr.DataArray:
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
    values = trace.data[site]
    edge = margin * (high - low)
    return ((values < low + edge) | (values > high - edge)).mean(("time", "batch"))


def memory(trace: Trace) -> xr.DataArray:
    """Return each unit's memory in steps: 1 / (1 - f) at its mean forget gate.

    That is the time constant of c_t = f c_{t-1} for a constant f. For a coupled cell f = 1 - i.

    Returns:
        Steps per layer, direction and hidden unit; infinite where f is 1.
    """
    mean = trace.data["forget_gate"].mean(("time", "batch"))
    return 1 / (1 - mean).where(mean < 1, 0)


def forget_path(trace: Trace, start: int = 0) -> xr.DataArray:
    """Return the product of the forget gates from one step on: ∂c_t/∂c_start along the cell state.

    Hochreiter & Schmidhuber 1997 call this path the constant error carousel (there f = 1). It
    passes neither squash: φ and ψ may be flat while it stays near 1.

    The reverse direction reads the last step first: there it is ∂c_start/∂c_t, what the cell state
    at `start` still holds of the later steps, which were read before.

    Args:
        trace: what `record` returned.
        start: index of the step whose cell state is followed.

    Returns:
        The product per layer, direction, time (from start on, 1 at start), batch and hidden unit.

    Raises:
        ConfigError: there is no such step.
    """
    steps = trace.data.sizes["time"]
    if not 0 <= start < steps:
        raise ConfigError(f"start is {start}: expected 0 to {steps - 1}.")
    gates = trace.data["forget_gate"].isel(time=slice(start, None))
    factors = gates.copy()
    factors[{"time": 0}] = 1.0
    if trace.data.sizes["direction"] == 2:
        factors[{"direction": 1}] = gates.isel(direction=1).shift(time=1, fill_value=1.0)
    return factors.cumprod("time").rename("forget_path")


def variable(trace: Trace, name: str) -> xr.DataArray:
    """Return one variable of a trace, or say which there are.

    Raises:
        ConfigError: there is no such variable.
    """
    if name not in trace.data:
        known = [str(k) for k in trace.data.data_vars]
        raise ConfigError(f"A trace has no variable {shown(name)}. {nearest(name, known)}")
    return trace.data[name]
