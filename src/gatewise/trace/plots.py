"""Pictures of a trace, as matplotlib figures.

Gates are drawn on a sequential scale, signed values on a diverging one centred on 0; both are
readable without telling red from green. Figures carry no title: the page around them says what
they show. Each takes its width in inches: below 6, for phones, panels stand below each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gatewise.arguments import index, names
from gatewise.errors import ConfigError, MissingExtraError
from gatewise.page.time_axis import row_ticks
from gatewise.trace.measures import forget_path, site_input, variable
from gatewise.trace.recorded import Recorded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LABELS: Final = {
    "input_gate": "input gate i",
    "forget_gate": "forget gate f",
    "output_gate": "output gate o",
    "candidate": "candidate g",
    "cell_state": "cell state c",
    "hidden_state": "hidden state h",
}
_GATES: Final = ("input_gate", "forget_gate", "output_gate")
WIDE: Final = 10.0
_PHONE: Final = 6.0
SEQUENTIAL, _DIVERGING = "cividis", "RdBu_r"
POINT: Final = "#d97706"
CURVE: Final = "#3b82c4"


def plot_gates(
    trace: Recorded,
    *,
    layer: int = 0,
    direction: int = 0,
    batch: int = 0,
    labels: Sequence[str] | None = None,
    width: float = WIDE,
) -> Figure:
    """Draw the three gates, the candidate, c and h of one row as heatmaps of units over time.

    Units are sorted by their mean forget gate, so those that remember longest stand at the top.

    Args:
        trace: what `record` returned.
        layer, direction, batch: indices of what to draw.
        labels: one per step, for the time axis; default the trace's own.
        width: in inches. Default 10.

    Returns:
        A figure of six panels.

    Raises:
        ConfigError: there is no such layer, direction or row.
        MissingExtraError: matplotlib is not installed.
    """
    chosen = select(trace, *_LABELS, layer=layer, direction=direction, batch=batch)
    times = chosen["time"].values
    ticks = times if labels is None else names(labels, "labels", len(times))
    order = np.argsort(-chosen["forget_gate"].mean("time").values)
    rows, columns = (3, 2) if is_narrow(width) else (2, 3)
    figure, axes = subplots(rows, columns, (width, 5.6 if is_narrow(width) else 4.6))
    for axis, (name, label) in zip(axes.flat, _LABELS.items(), strict=True):
        values = chosen[name].transpose("time", ...).values.T
        if len(values) == len(order):  # a projected h has other units
            values = values[order]
        if name in _GATES:
            image = axis.imshow(values, aspect="auto", cmap=SEQUENTIAL, vmin=0, vmax=1,
                                interpolation="nearest")  # fmt: skip
        else:
            limit = max(float(np.abs(values[np.isfinite(values)]).max(initial=0)), 1e-9)
            image = axis.imshow(values, aspect="auto", cmap=_DIVERGING, vmin=-limit, vmax=limit,
                                interpolation="nearest")  # fmt: skip
        axis.set_title(label, loc="left", fontsize=10)
        axis.set_yticks([])
        figure.colorbar(image, ax=axis, fraction=0.05, pad=0.02)
    if is_narrow(width):
        label_time(axes[-1], ticks, most=2, size=7, apart=0.65)
    else:
        label_time(axes[-1], ticks)
    for axis in axes[:-1].flat:
        axis.set_xticks([])
    for axis in axes[:, 0]:
        axis.set_ylabel("units")
    return figure


def plot_operating_points(
    trace: Recorded,
    *,
    layer: int = 0,
    direction: int = 0,
    labels: Sequence[str] | None = None,
    width: float = WIDE,
) -> Figure:
    """Draw where the units stand on their two squashing curves, and the product of forget gates.

    The curves are the candidate's φ and the cell's ψ. One dot per unit and step stands on each; the
    histogram below shows how many stand where. On the flat ends of φ a step writes little that is
    new: the cell state hardly depends on the step's input through g. On the flat ends of ψ the
    step's h says little about c. Neither stops the gradient from c to c, which passes no squash but
    the forget gates: their product, ∂c_t/∂c_start, is drawn to the right (`forget_path`).

    Args:
        trace: what `record` returned.
        layer, direction: indices of what to draw.
        labels: one per step, for the time axis; default the trace's own.
        width: in inches. Default 10.

    Returns:
        A figure of two curves, each over its histogram, and of the product of the forget gates.

    Raises:
        ConfigError: there is no such layer or direction.
        MissingExtraError: matplotlib is not installed.
    """
    chosen = select(trace, "forget_gate", layer=layer, direction=direction)
    times = chosen["time"].values
    ticks = times if labels is None else names(labels, "labels", len(times))
    seen = "norm of the cell state" if trace.cell.layer_norm else "cell state c"
    sites = (("candidate", "before φ", "g"), ("cell_output", seen, "ψ(c)"))
    narrow = is_narrow(width)
    if narrow:  # the product of the forget gates stands below the curves
        figure, axes = subplots(3, 2, (width, 5.4), height_ratios=(3, 1, 3))
    else:
        figure, axes = subplots(2, 3, (width, 4.6), height_ratios=(3, 1))
    for column, (site, x_label, y_label) in enumerate(sites):
        activation = trace.cell.activation(site)
        x, y = points(trace, site, layer=layer, direction=direction)
        reach = max(3.0, float(np.abs(x).max(initial=0)) * 1.05)
        grid = np.linspace(-reach, reach, 400)
        curve, below = axes[0, column], axes[1, column]
        curve.plot(grid, activation.function(grid), color=CURVE, linewidth=1.5)
        curve.scatter(x, y, s=16, color=POINT, alpha=0.25, linewidths=0, rasterized=True, zorder=3)
        title = f"{site.replace('_', ' ')}: {activation.name}"
        if len(x):
            title += ",\n" if narrow else ", "
            title += f"mean slope {np.mean(activation.derivative(x, y)) + 0.0:.2f}"
        curve.set_title(title, loc="left", fontsize=8 if narrow else 10)
        curve.set_ylabel(y_label)
        below.hist(x, bins=60, range=(-reach, reach), color=POINT)
        below.set_xlabel(x_label)
        below.set_yticks([])
        for axis in (curve, below):
            axis.set_xlim(-reach, reach)
            axis.spines[["top", "right"]].set_visible(False)
    where = (2, slice(None)) if narrow else (slice(None), 2)
    for axis in axes[where]:
        axis.remove()
    path = select(forget_path(trace), layer=layer, direction=direction)
    carousel = figure.add_subplot(axes[0, 0].get_gridspec()[where])
    _draw_carousel(carousel, path, reverse=direction == 1)
    label_time([carousel], ticks)
    return figure


def _draw_carousel(axis: Any, path: Any, *, reverse: bool) -> None:
    """One line per unit and row, and their median."""
    lines = path.transpose("time", ...).values.reshape(path.sizes["time"], -1)
    axis.plot(lines, color=POINT, alpha=0.35, linewidth=0.8, rasterized=True)
    axis.plot(np.median(lines, axis=1), color=CURVE, linewidth=2, label="median unit")
    axis.set_ylim(-0.02, 1.02)
    axis.set_xlim(0, max(len(lines) - 1, 1))
    axis.set_title("forget gates, multiplied", loc="left", fontsize=10)
    axis.set_ylabel("∂c_start/∂c_t" if reverse else "∂c_t/∂c_start")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="upper right")


def select(trace: Any, *needed: str, **indices: int) -> Any:
    """Return a part of a trace's data by index, to be drawn.

    Args:
        trace: a `Trace`, or a Dataset of its dimensions.
        needed: variables that must be there.
        **indices: of layer, direction and batch.

    Raises:
        ConfigError: there is no such variable or index, or nothing at all.
    """
    for name in needed:
        variable(trace, name)
    data = trace.data if hasattr(trace, "cell") else trace
    for axis in ("time", "batch", "hidden"):
        if not data.sizes.get(axis, 1):
            raise ConfigError(f"The trace is empty: expected at least one {axis} to draw.")
    return data.isel({axis: index(at, axis, data.sizes[axis]) for axis, at in indices.items()})


def points(trace: Recorded, site: str, *, layer: int, direction: int) -> tuple[Any, Any]:
    """Return input and output of a site at all finite steps: none where it has no input.

    Raises:
        ConfigError: there is no such variable, layer or direction, or nothing at all.
    """
    inputs = site_input(trace, site)
    y = select(trace, site, layer=layer, direction=direction)[site].values.ravel()
    if inputs is None:
        return y[:0], y[:0]
    x = inputs.isel(layer=layer, direction=direction).values.ravel()
    finite = np.isfinite(x) & np.isfinite(y)
    return x[finite], y[finite]


def is_narrow(width: float) -> bool:
    """Whether a figure of this width in inches is for a phone."""
    return width < _PHONE


def subplots(rows: int, columns: int, size: tuple[float, float], **grid: Any) -> tuple[Figure, Any]:
    """Return a figure and its axes [rows, columns].

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("Plotting", "trace") from None
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, gridspec_kw=grid)


def plain(text: Any) -> str:
    """A label as it stands: without mathematics, and of what is no text the question mark."""
    return str(text).encode("utf-8", "replace").decode().replace("$", r"\$")


def label_time(axes: Any, labels: Any, most: int = 3, size: int = 8, apart: float = 0.0) -> None:
    """Label the steps: times at the starts of months or other periods, others at equal distances.

    Args:
        axes: of matplotlib.
        labels: [T] of the steps.
        most: labels at most. Default 3.
        size: of their text, in points. Default 8.
        apart: least distance of two labels, as a share of the axis; nearer ones are left out.
    """
    if not len(labels):
        return
    at, texts = row_ticks(labels, most)
    kept = [k for k in range(len(at)) if not k or at[k] - at[0] >= apart * (len(labels) - 1)]
    at, texts = [at[k] for k in kept], [texts[k] for k in kept]
    edges = {0: "left", len(labels) - 1: "right"}  # so that neighbours do not run together
    for axis in axes:
        axis.set_xticks(at, [plain(text) for text in texts], fontsize=size)
        for k, tick in zip(at, axis.get_xticklabels(), strict=True):
            tick.set_horizontalalignment(edges.get(k, "center"))
