"""What one number of another run changes: activation patching, and path patching gate by gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise.arguments import index
from gatewise.cell import SITES
from gatewise.errors import ConfigError, ShapeError, shown
from gatewise.trace.edits import Edit, Plan, check
from gatewise.trace.given import Given, checked, weights_of
from gatewise.trace.keep import Keep, kept
from gatewise.trace.recorder import run_all
from gatewise.trace.trace import Trace, made, need_xarray

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]


def patch(
    lstm: Any,
    x_from: Any,
    x_into: Any,
    site: str,
    metric: Callable[[Array], float],
    *,
    layer: int = 0,
    direction: int = 0,
    state: Any = None,
) -> xr.DataArray:
    """Return what one number of another run changes: activation patching, for every (unit, time).

    For each time and unit the run on `x_into` is done once more, with the value of that unit at
    that time taken from the run on `x_from`.

    Args:
        lstm: as in `record`.
        x_from, x_into: inputs of one row, [T, I] (or [T, 1, I]), of the same length.
        site: one of the five, or "cell_state".
        metric: of the output y [T, D*P] of a run, such as ``lambda y: y[-1] @ w``.
        layer, direction: where to patch.
        state: (h0, c0) of both runs.

    Returns:
        metric(patched) - metric(run on x_into), over time and hidden.

    Raises:
        ShapeError: the inputs are not one row each of the same length.
        ConfigError: there is no such site, layer or direction.

    >>> import torch
    >>> lstm, a, b = torch.nn.LSTM(3, 4), torch.randn(5, 3), torch.randn(5, 3)
    >>> effect = patch(lstm, a, b, "cell_state", lambda y: float(y[-1, 0]))
    >>> effect.dims, effect.shape
    (('time', 'hidden'), (5, 4))
    """
    pair = _pair(lstm, x_from, x_into, state)
    layer, direction = pair.place(layer, direction)
    check(Edit(site, 0.0, layer=layer, direction=direction), pair.into)
    values = pair.values_of(site, layer, direction)
    T, H = values.shape
    effect = _effects(pair, layer, direction, metric, T * H, lambda k: (
        k // H, slice(k % H, k % H + 1), {site: values[k // H, k % H]}
    ))  # fmt: skip
    return _over_time_and_units(effect.reshape(T, H))


def path_patch(
    lstm: Any,
    x_from: Any,
    x_into: Any,
    gate: str,
    metric: Callable[[Array], float],
    *,
    layer: int = 0,
    direction: int = 0,
    state: Any = None,
) -> xr.DataArray:
    """Return what one unit's h changes by way of one gate alone: path patching.

    For each time t and unit u, the run on `x_into` is done once more in which this gate of step t+1
    (of all units) sees h_t of unit u as the run on `x_from` has it, and nothing else does. In a
    coupled cell the path of the input gate is that of the forget gate, too: f = 1 - i.

    Args:
        gate: "input_gate", "forget_gate", "candidate" or "output_gate".
        lstm, x_from, x_into, metric, layer, direction, state: as in `patch`.

    Returns:
        metric(patched) - metric(run on x_into), over time (of h; 0 at the last step) and hidden.

    Raises:
        ConfigError: there is no such gate, or the cell has layer norm, with which no gate's path is
            its own; a coupled forget gate has none.
        ShapeError: as in `patch`.
    """
    pair = _pair(lstm, x_from, x_into, state)
    layer, direction = pair.place(layer, direction)
    cell = pair.into.weights.config.cell
    if gate not in SITES[:4] or cell.layer_norm or (cell.coupled and gate == "forget_gate"):
        raise ConfigError(
            f"gate is {shown(gate)} of {cell}: expected one of {', '.join(SITES[:4])} that has a "
            "path of its own, without layer norm."
        )
    check(Edit(gate, 0.0, layer=layer, direction=direction), pair.into)
    h_from, h_into = (t.data["hidden_state"].values[layer, direction, :, 0] for t in pair.traces)
    pre = pair.traces[1].data[f"{gate}_pre"].values[layer, direction, :, 0]
    if direction:
        h_from, h_into, pre = h_from[::-1], h_into[::-1], pre[::-1]
    H, k = pre.shape[1], SITES.index(gate)
    own = pair.into.weights.layer(layer, direction)["w_hh"][k * H : (k + 1) * H]
    activation, T, P = cell.activation(gate), len(pre), h_from.shape[1]

    def edit(k: int) -> tuple[int, slice, dict[str, Array]]:
        t, unit = divmod(k, P)
        seen = pre[t + 1] + own[:, unit] * (h_from[t, unit] - h_into[t, unit])
        at = T - 2 - t if direction else t + 1
        values = {gate: activation.function(seen.astype(np.float64))}
        if cell.coupled and gate == "input_gate":  # f of an edited i would stay as it was
            values["forget_gate"] = 1 - values[gate]
        return at, slice(0, H), values

    effect = _effects(pair, layer, direction, metric, (T - 1) * P, edit)
    whole = np.concatenate([effect.reshape(T - 1, P), np.zeros((1, P))])
    return _over_time_and_units(whole[::-1] if direction else whole)


@dataclass(frozen=True, eq=False)
class _Pair:
    """The run that is taken from, and the one that is put into."""

    into: Given
    traces: tuple[Trace, Trace]

    def place(self, layer: Any, direction: Any) -> tuple[int, int]:
        config = self.into.weights.config
        return (
            index(layer, "layer", config.num_layers),
            index(direction, "direction", config.directions),
        )

    def values_of(self, site: str, layer: int, direction: int) -> Array:
        return self.traces[0].data[site].values[layer, direction, :, 0]


def _pair(lstm: Any, x_from: Any, x_into: Any, state: Any) -> _Pair:
    weights = weights_of(lstm)
    both = [checked(weights, x, state) for x in (x_from, x_into)]
    shapes = [g.x.shape for g in both]
    if shapes[0] != shapes[1] or shapes[0][1] != 1:
        raise ShapeError(
            f"x_from has {shapes[0][:2]} steps and rows, x_into {shapes[1][:2]}: expected one row "
            "each, of the same length."
        )
    if not shapes[0][0] or not all(np.isfinite(g.x).all() for g in both):
        raise ShapeError("x_from or x_into has no step, NaN or infinities: expected numbers.")
    chosen = kept(None, weights.config, shapes[0][0], both[0].x.dtype)
    traces = [made(g, chosen, run_all(g, chosen)) for g in both]
    return _Pair(both[1], (traces[0], traces[1]))


_ROWS_AT_ONCE: Final = 256


def _effects(
    pair: _Pair,
    layer: int,
    direction: int,
    metric: Callable[[Array], float],
    count: int,
    edit: Callable[[int], tuple[int, slice, dict[str, Any]]],
) -> Array:
    """Metric of `count` edited runs less that of the unedited one; many at once, as a batch.

    `edit` tells of the k-th run the step, the units and their values by site.
    """
    into = pair.into
    T, H = len(into.x), into.weights.config.hidden_size
    last = into.weights.config.num_layers - 1
    base = metric(_output(pair.traces[1].data["hidden_state"].values[last, :, :, 0]))
    found = np.empty(count)
    for first in range(0, count, _ROWS_AT_ONCE):
        rows = range(first, min(first + _ROWS_AT_ONCE, count))
        values: dict[str, Array] = {}
        for row, k in enumerate(rows):
            t, units, own = edit(k)
            for site, value in own.items():
                if site not in values:
                    values[site] = np.full((T, len(rows), H), np.nan, into.x.dtype)
                values[site][t, row, units] = value
        many = replace(into, x=np.repeat(into.x, len(rows), axis=1),
                       h=np.repeat(into.h, len(rows), axis=1),
                       c=np.repeat(into.c, len(rows), axis=1))  # fmt: skip
        chosen = kept(Keep(["hidden_state"], layers=[last]), into.weights.config, T, into.x.dtype)
        edits = [Edit(k, v, layer=layer, direction=direction) for k, v in values.items()]
        plan = Plan(many, edits)
        y = run_all(many, chosen, plan)["hidden_state"][0]
        found[first : rows.stop] = [
            metric(_output(y[:, :, row])) - base for row in range(len(rows))
        ]
    return found


def _output(hidden: Array) -> Array:
    """[D, T, P] to [T, D*P]."""
    return np.concatenate([*hidden], axis=-1)


def _over_time_and_units(effect: Array) -> xr.DataArray:
    xr = need_xarray()
    return xr.DataArray(effect, dims=("time", "hidden"), name="effect")
