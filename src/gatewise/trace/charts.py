"""Pictures of what is worked out from a trace: attention, gradients, saturation, interventions.

As in `plots`: matplotlib figures without a title, in colours that need no red and green, of a width
in inches.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gatewise.arguments import index, names, numbers, whole
from gatewise.cell import SITES
from gatewise.errors import ConfigError, ShapeError, shown
from gatewise.page.time_axis import row_ticks
from gatewise.trace.flow import PARTS
from gatewise.trace.measures import of_layer, variable
from gatewise.trace.plots import (
    CURVE,
    POINT,
    SEQUENTIAL,
    is_narrow,
    label_time,
    points,
    select,
    subplots,
)
from gatewise.trace.plots import plain as _plain
from gatewise.trace.sources import attention
from gatewise.trace.trace import Trace

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

INK: Final = "#010203"
"""What pages draw in their own text colour (`gatewise.page.svg.INK`), light or dark."""

_COLOURS: Final = {
    "carried": "#3b82c4",
    "read_out": "#d97706",
    "input_gate": "#7c8a97",
    "forget_gate": "#5aa02c",
    "candidate": "#a45ab5",
    "output_gate": "#0f9aa7",
}
_WORDS: Final = {
    "carried": "carried through f",
    "read_out": "this step's output",
    "input_gate": "through i of the next step",
    "forget_gate": "through f of the next step",
    "candidate": "through g of the next step",
    "output_gate": "through o of the next step",
}


def plot_attention(
    trace: Trace,
    *,
    layer: int = 0,
    direction: int = 0,
    batch: int = 0,
    most: int = 300,
    width: float = 9.0,
) -> Figure:
    """Draw what the cell states hold of each earlier step: the triangle of exact attention.

    Each row is a step, each column a source; dark is nothing, bright a large share of all units'
    Σ |weight ⊙ g|, on a square-root scale. A bright diagonal alone is a cell that lives in the
    present; bright columns are steps that are kept.

    Args:
        trace: what `record` returned.
        layer, direction, batch: what to draw.
        most: rows at most; of longer runs evenly chosen steps are drawn. Default 300.
        width: in inches. Default 9.

    Raises:
        ConfigError: there is no such layer, direction or row.
    """
    T = select(trace, layer=layer, direction=direction, batch=batch).sizes["time"]
    most = whole(most, "most", 1)
    times = np.unique(np.linspace(0, max(T - 1, 0), min(T, most)).astype(int))
    found = attention(trace, layer, direction, batch, units="share", times=times)
    shares = found["weight"].values
    edges = np.append(times, T) if direction == 0 else np.append(0, times + 1)
    parts = [shares[:, a:b].sum(axis=1) for a, b in pairwise(edges)]
    binned = np.stack(parts, axis=1)
    figure, axes = subplots(1, 1, (width, 3.2 if is_narrow(width) else 4.6))
    from matplotlib.colors import PowerNorm  # which is there, or there were no axes

    axis = axes[0, 0]
    unread = np.triu_indices(len(binned), 1) if direction == 0 else np.tril_indices(len(binned), -1)
    masked = np.ma.array(binned, mask=np.zeros(binned.shape, bool))
    masked[unread] = np.ma.masked
    # Shares fall off by powers of f, and the first steps hold nearly all of themselves.
    held = binned[binned > 0]
    bright = max(float(np.quantile(held, 0.99)), 1e-9) if held.size else 1.0
    norm = PowerNorm(0.5, 0, bright, clip=True)
    image = axis.imshow(masked, cmap=SEQUENTIAL, norm=norm, aspect="auto", interpolation="nearest")
    labels = trace.data["time"].values[times]
    label_time([axis], labels)
    at, texts = row_ticks(labels, 3)
    axis.set_yticks(at, [_plain(text) for text in texts], fontsize=8)
    axis.set_xlabel("step that was read (source)")
    axis.set_ylabel("step whose cell state it is")
    scale = bright * np.array([0, 1 / 16, 1 / 4, 9 / 16, 1])  # at equal distances
    bar = figure.colorbar(image, ax=axis, fraction=0.05, pad=0.02, label="share of the cell state")
    bar.set_ticks(scale.tolist(), labels=[f"{share:.2g}" for share in scale])
    return figure


def plot_gradient(
    flow: xr.Dataset,
    *,
    layer: int = 0,
    direction: int = 0,
    batch: int = 0,
    beside: Any = None,
    beside_label: str = "a plain tanh RNN",
    width: float = 7.2,
) -> Figure:
    """Draw the gradient of the cell state against the lag from the end, with its parts.

    Each line is a norm over the units. The parts are vectors that add up; their norms need not. The
    dotted line is the carousel, which went through forget gates alone and never through h.

    Args:
        flow: what `gradient_flow` returned.
        layer, direction, batch: what to draw.
        beside: [T, H] gradients of another network's states, such as those of `rnn_backward`.
        beside_label: what that is.
        width: in inches. Default 7.2.

    Raises:
        ConfigError: there is no such layer, direction or row.
    """
    chosen = select(flow, layer=layer, direction=direction, batch=batch)
    figure, axes = subplots(1, 1, (width, 4.6 if is_narrow(width) else 4.2))
    axis = axes[0, 0]
    least = 1e3 * np.finfo(chosen["cell_state"].dtype).tiny  # below, numbers lose their digits

    def draw(values: Any, label: str, **style: Any) -> None:
        norms = np.linalg.norm(np.asarray(values, np.float64), axis=-1)
        norms = norms if direction else norms[::-1]
        axis.semilogy(np.where(norms > least, norms, np.nan), label=label, **style)

    draw(chosen["cell_state"].values, "∂L/∂c, all", color=INK, linewidth=2)
    for part in PARTS:
        draw(chosen[part].values, _WORDS[part], color=_COLOURS[part], linewidth=1.3)
    alone = {"color": _COLOURS["carried"], "linewidth": 1.6, "linestyle": ":"}
    draw(chosen["carousel"].values, "through forget gates alone", **alone)
    if beside is not None:
        beside = numbers(beside, "beside", np.float64)
        if beside.ndim != 2 or len(beside) != chosen.sizes["time"]:
            raise ShapeError(
                f"beside has shape {beside.shape}: expected ({chosen.sizes['time']}, H)."
            )
        draw(beside, beside_label, color="#c03a3a", linewidth=1.6, linestyle="--")
    axis.set_xlabel("steps back from the last one")
    axis.set_ylabel("norm of the gradient")
    axis.spines[["top", "right"]].set_visible(False)
    if is_narrow(width):  # the lines fill the panel: the legend stands above it
        axis.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1.01),
                    borderaxespad=0)  # fmt: skip
    else:
        axis.legend(frameon=False, fontsize=8, loc="best")
    return figure


def plot_saturation(
    trace: Trace, *, layer: int = 0, direction: int = 0, width: float = 9.0
) -> Figure:
    """Draw how often each gate of each unit is nearly shut and nearly open.

    The saturation plot of Karpathy, Johnson & Fei-Fei 2015 (arXiv 1506.02078): a dot is a unit,
    right how often its gate is above .9, up how often below .1. On the diagonal to the lower right
    a gate is a switch; at the origin it is never at an end. A forget gate at the far right
    remembers perfectly.

    Args:
        trace: what `record` returned.
        layer, direction: what to draw.
        width: in inches. Default 9.

    Raises:
        ConfigError: there is no such layer or direction, or a gate is missing.
    """
    gates = ("input_gate", "forget_gate", "output_gate")
    if is_narrow(width):
        figure, axes = subplots(3, 1, (width, 7.5))
    else:
        figure, axes = subplots(1, 3, (width, 3.2))
    for axis, gate in zip(axes.flat, gates, strict=True):
        values = select(trace, gate, layer=layer, direction=direction)[gate]
        valid = values.notnull()
        left = (values < 0.1).where(valid).mean(("time", "batch")).values
        right = (values > 0.9).where(valid).mean(("time", "batch")).values
        axis.plot([0, 1], [1, 0], color=CURVE, linewidth=0.8)
        axis.scatter(right, left, s=18, color=POINT, alpha=0.6, linewidths=0)
        axis.set_xlim(-0.03, 1.03)
        axis.set_ylim(-0.03, 1.03)
        axis.set_title(gate.replace("_", " "), loc="left", fontsize=10)
        axis.set_xlabel("part of the steps above .9")
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("part of the steps below .1")
    return figure


def plot_sites(trace: Trace, *, layer: int = 0, direction: int = 0, width: float = 12.0) -> Figure:
    """Draw the five sites as curves, with where the units work on them.

    A bar below a curve shows how often its input has that value, over all units and steps. The
    forget gate of a coupled cell is 1 - i: its panel says so, and has neither curve nor points. A
    gate that is `one` has a line, and no points.

    Args:
        trace: what `record` returned.
        layer, direction: what to draw.
        width: in inches. Default 12.

    Raises:
        ConfigError: there is no such layer or direction, or the trace lacks a variable.
    """
    if is_narrow(width):  # three rows of two sites, each above its bars
        figure, axes = subplots(6, 2, (width, 7.2), height_ratios=(3, 1) * 3)
        axes[4, 1].remove()
        axes[5, 1].remove()
        axes = axes.reshape(3, 2, 2).transpose(1, 0, 2).reshape(2, 6)
    else:
        figure, axes = subplots(2, 5, (width, 3.6), height_ratios=(3, 1))
    for column, site in enumerate(SITES):
        x, y = points(trace, site, layer=layer, direction=direction)
        reach = max(3.0, float(np.quantile(np.abs(x), 0.999)) * 1.05) if len(x) else 3.0
        grid = np.linspace(-reach, reach, 300)
        curve, below = axes[0, column], axes[1, column]
        if trace.cell.coupled and site == "forget_gate":
            name = "1 - i"
        else:
            activation = trace.cell.activation(site)
            name = activation.name
            curve.plot(grid, activation.function(grid), color=CURVE, linewidth=1.6)
        few = slice(None, None, max(1, len(x) // 2000))
        curve.scatter(x[few], y[few], s=10, color=POINT, alpha=0.25, linewidths=0, rasterized=True)
        curve.set_title(f"{site.replace('_', ' ')}: {name}", loc="left", fontsize=9)
        below.hist(x, bins=50, range=(-reach, reach), color=POINT)
        below.set_yticks([])
        for axis in (curve, below):
            axis.set_xlim(-reach, reach)
            axis.spines[["top", "right"]].set_visible(False)
    return figure


def _states(trace: Trace, name: str, layer: int, direction: int, batch: int) -> Any:
    """[T, H] of one row, to be drawn."""
    data = of_layer(variable(trace, name), layer, direction)
    if not data.size:
        raise ConfigError("The trace is empty: expected at least one step, row and unit to draw.")
    return data.isel(batch=index(batch, "batch", data.sizes["batch"])).values


def plot_intervention(
    plain: Trace,
    edited: Sequence[Trace] | Trace,
    *,
    labels: Sequence[str] | None = None,
    name: str = "hidden_state",
    layer: int = -1,
    direction: int = 0,
    batch: int = 0,
    most: int = 6,
) -> Figure:
    """Draw runs with interventions over the run without: the units that they move most.

    Args:
        plain: the run as it is.
        edited: the same run with interventions, one or several.
        labels: a name for each.
        name: which variable. Default "hidden_state".
        layer, direction, batch: what to draw; default the last layer, forward, the first row.
        most: units at most. Default 6.

    Raises:
        ConfigError: the runs differ in their steps.
    """
    given: Any = edited
    several = isinstance(given, Sequence) and not isinstance(given, str)
    others: list[Any] = [*given] if several else [given]
    most = whole(most, "most", 1)
    if not others or not all(isinstance(run, Trace) for run in others):
        raise ConfigError(f"edited is {shown(edited)}: expected a Trace, or several.")
    if labels is not None:
        names(labels, "labels", len(others))
    base, *runs = [_states(t, name, layer, direction, batch) for t in (plain, *others)]
    if any(run.shape != base.shape for run in runs):
        raise ConfigError(
            f"An edited run has another shape than {base.shape}: expected the same steps."
        )
    moved = np.max([np.abs(run - base).max(axis=0) for run in runs], axis=0)
    units = np.argsort(-moved, kind="stable")[:most]
    columns = min(3, len(units))
    rows = -(-len(units) // columns)
    figure, axes = subplots(rows, columns, (3.4 * columns, 2.1 * rows))
    palette = [POINT, *list(_COLOURS.values())[2:]]
    for axis, unit in zip(axes.flat, units, strict=False):
        axis.plot(base[:, unit], color=CURVE, linewidth=1.8, label="as it is")
        for k, run in enumerate(runs):
            text = (
                _plain(labels[k]) if labels else "with the edit" if len(runs) == 1 else f"edit {k}"
            )
            axis.plot(run[:, unit], color=palette[k % len(palette)], linewidth=1.2, label=text)
        axis.set_title(_plain(f"unit {plain.data['hidden'].values[unit]}"), loc="left", fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in list(axes.flat)[len(units) :]:
        axis.remove()
    axes.flat[0].legend(frameon=False, fontsize=8)
    label_time(axes[-1][: max(1, len(units) - columns * (rows - 1))], plain.data["time"].values)
    return figure
