"""One self-contained page about what an LSTM did on an input: findings first, then pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from gatewise.errors import MissingExtraError
from gatewise.files import write_atomically
from gatewise.trace.charts import plot_attention, plot_gradient, plot_saturation, plot_sites
from gatewise.trace.flow import gradient_flow
from gatewise.trace.given import checked, weights_of
from gatewise.trace.inputs import influence
from gatewise.trace.measures import forget_path
from gatewise.trace.plots import plot_gates, plot_operating_points
from gatewise.trace.recorder import record
from gatewise.trace.sentences import findings
from gatewise.trace.trace import Trace

_DRAWN_STEPS = 400


def write_inspection(
    path: str | os.PathLike[str],
    lstm: Any,
    x: Any,
    *,
    inputs: Sequence[str] | None = None,
    time: Any = None,
    title: str = "What the cell did",
    source: str = "",
    command: str = "",
    notes: Sequence[str] = (),
) -> Trace:
    """Write the page about an LSTM on an input, whole or not at all.

    Args:
        path: the file.
        lstm, x: as in `gatewise.trace.record`; x of one row.
        inputs: names of the inputs.
        time: labels of the steps.
        title, source: of the page: what it is of, where the input comes from.
        command: that repeats it.
        notes: to show below.

    Returns:
        The `Trace`.

    Raises:
        MissingExtraError: matplotlib or jinja2 is not installed.
        OSError: the file cannot be written.
        ModuleError, ShapeError, DtypeError: as in `record`.
    """
    try:
        from gatewise.page.rendering import picture, render
    except ImportError:
        raise MissingExtraError("A report", "trace") from None
    trace = record(lstm, x, time=time, inputs=inputs)
    last = trace.data.sizes["layer"] - 1
    start = max(0, trace.data.sizes["time"] - _DRAWN_STEPS)
    drawn = trace.cut(time=slice(start, None)) if start else trace
    labels = [str(label) for label in drawn.data["time"].values]
    shown = f"the last {len(labels)} of {trace.data.sizes['time']} steps" if start else "all steps"
    pictures = [
        picture(
            plot_gates(drawn, layer=last, labels=labels),
            "gates",
            f"Every gate, the candidate, the cell state and the hidden state of layer {last} over "
            f"{shown}. A row is a unit; those that remember longest stand at the top.",
        ),
        picture(
            plot_attention(trace, layer=last),
            "attention",
            "What the cell states hold of each earlier step, exactly: row t shows how c_t is made "
            "up of the candidates of the steps before. A bright diagonal is a cell that lives in "
            "the present; a bright column is a step that is kept.",
        ),
        picture(
            plot_sites(drawn, layer=last),
            "sites",
            "The five activations, and where the units work on them. On the flat ends of the "
            "candidate a step writes little that is new; on the flat ends of the cell output h "
            "says little about c. Neither touches what passes from c to c.",
        ),
        picture(
            plot_operating_points(drawn, layer=last, labels=labels),
            "memory",
            "The two squashes again with their mean slopes, and the product of the forget gates: "
            "how much a change of the first cell state still changes a later one on this path.",
        ),
        picture(
            plot_saturation(trace, layer=last),
            "saturation",
            "How often each gate of each unit is nearly open (to the right) and nearly shut (up). "
            "On the diagonal a gate is a switch; at the origin it is never at an end.",
        ),
        picture(
            _gradient_figure(lstm, x, trace),
            "gradient",
            "The gradient of the sum of the last outputs with respect to earlier cell states, and "
            "what it is made of. Where the blue line carries the black one, the gradient lives on "
            "the product of the forget gates, and no squash is in its way.",
        ),
    ]
    template = files("gatewise.trace").joinpath("report.html.j2").read_text("utf-8")
    page = render(
        template,
        title=title,
        source=source,
        command=command,
        notes=notes,
        findings=findings(trace),
        tiles=_tiles(trace),
        pictures=pictures,
        links=_links(lstm, x, trace, inputs),
    )
    write_atomically(path, page)
    return trace


def _gradient_figure(lstm: Any, x: Any, trace: Trace) -> Any:
    given = checked(weights_of(lstm), x)
    weights = given.weights
    config = weights.config
    columns = config.directions * (config.proj_size or config.hidden_size)
    T, B, _ = given.x.shape
    dy = np.zeros((T, B, columns))
    dy[-1] = 1.0
    if given.batched and config.batch_first:
        dy = dy.swapaxes(0, 1)
    elif not given.batched:
        dy = dy[:, 0]
    flow = gradient_flow(lstm, x, dy)
    return plot_gradient(flow, layer=trace.data.sizes["layer"] - 1)


def _links(lstm: Any, x: Any, trace: Trace, inputs: Sequence[str] | None) -> list[dict[str, Any]]:
    """For each input the units of the first layer that it moves most."""
    found = influence(lstm, x, inputs=inputs)
    spread = trace.data["cell_state"].values[0, 0].std(axis=(0, 1)) + 1e-12
    rows = []
    for k, name in enumerate(found["input"].values):
        share = found.values[k] / spread
        order = np.argsort(-np.abs(share))[:3]
        moved = [f"unit {u} {'up' if share[u] > 0 else 'down'} ({share[u]:+.2f})" for u in order]
        rows.append({"name": str(name), "units": ", ".join(moved)})
    return rows[:20]


def _tiles(trace: Trace) -> list[tuple[str, str, str]]:
    sizes = trace.data.sizes
    path = forget_path(trace)
    kept = float(np.median(path.isel(time=-1, direction=0, layer=-1).values))
    return [
        (
            "units",
            str(sizes["hidden"]),
            f"{sizes['layer']} layers, {sizes['direction']} directions",
        ),
        ("steps", str(sizes["time"]), f"{sizes['batch']} rows"),
        ("Π f", f"{kept:.2g}", "of the median unit, over all steps"),
        ("cell", *_cell(trace)),
    ]


def _cell(trace: Trace) -> tuple[str, str]:
    if trace.cell.is_default:
        return "LSTM", "PyTorch's own"
    text = repr(trace.cell).removeprefix("Cell(").removesuffix(")")
    return text, "where it is not PyTorch's own"
