"""What is worth seeing of an LSTM on an input: findings, pictures and numbers for a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gatewise.errors import MissingExtraError, ShapeError
from gatewise.page.numerals import signed
from gatewise.trace.charts import plot_attention, plot_gradient, plot_saturation, plot_sites
from gatewise.trace.flow import gradient_flow
from gatewise.trace.given import checked, weights_of
from gatewise.trace.inputs import influence
from gatewise.trace.measures import forget_path
from gatewise.trace.plots import plot_gates, plot_operating_points
from gatewise.trace.recorder import record
from gatewise.trace.sentences import Finding, findings
from gatewise.trace.trace import Trace

if TYPE_CHECKING:
    from gatewise.page.rendering import Picture

PICTURES: Final = ("gates", "attention", "sites", "memory", "saturation", "gradient")
"""What can be drawn of an inspection, in the order of the page."""

_DRAWN_STEPS: Final = 400
_LINKED_INPUTS: Final = 20
"""So many inputs are listed with the units that they move."""


@dataclass(frozen=True, eq=False)
class Inspection:
    """What an LSTM did on an input.

    Attributes:
        trace: of all steps.
        findings: what it says in plain sentences, warnings first.
        tiles: name, value and remark of the numbers to see first.
        pictures: those that were wanted.
        links: name of each input, and the units of the first layer that it moves most.
        links_note: what `links` leaves out, or "".
    """

    trace: Trace
    findings: list[Finding]
    tiles: list[tuple[str, str, str]]
    pictures: list[Picture]
    links: list[dict[str, str]]
    links_note: str = ""


def inspection(
    lstm: Any,
    x: Any,
    *,
    inputs: Sequence[str] | None = None,
    time: Any = None,
    pictures: Sequence[str] = PICTURES,
) -> Inspection:
    """Run an LSTM on an input and look at everything that it does.

    Args:
        lstm, x: as in `gatewise.trace.record`; x of one row.
        inputs: I names of the inputs.
        time: [T] labels of the steps.
        pictures: which of `PICTURES` to draw.

    Raises:
        MissingExtraError: matplotlib or jinja2 is not installed.
        ModuleError, ShapeError, DtypeError: as in `record`.
    """
    try:
        from gatewise.page.rendering import picture
    except ImportError:
        raise MissingExtraError("A report", "trace") from None
    trace = record(lstm, x, time=time, inputs=inputs)
    if not trace.data["cell_state"].size:
        raise ShapeError("x has no step or no row: expected some to look at.")
    if any(weights_of(lstm).config.zoneout):  # with it gradients are not taken apart
        pictures = [name for name in pictures if name != "gradient"]
    views = _views(lstm, x, trace)
    drawn = [picture(views[name][0], name, views[name][1]) for name in pictures]
    links, note = _links(lstm, x, trace, inputs)
    return Inspection(trace, findings(trace), _tiles(trace), drawn, links, note)


def _views(lstm: Any, x: Any, trace: Trace) -> dict[str, tuple[Callable[[float], Any], str]]:
    """How each picture is drawn, and what is to be seen in it."""
    last = trace.data.sizes["layer"] - 1
    flow = cache(lambda: _flow_of_last(lstm, x))  # drawn twice
    steps = trace.data.sizes["time"]
    start = max(0, steps - _DRAWN_STEPS)
    drawn = trace.cut(time=slice(start, None)) if start else trace
    shown = f"the last {steps - start} of {steps} steps" if start else f"all {steps} steps"
    layer = f" of layer {last}" if last else ""
    return {
        "gates": (
            lambda width: plot_gates(drawn, layer=last, width=width),
            f"Every gate, the candidate, the cell state and the hidden state{layer} over {shown}. "
            "A row is a unit; those that remember longest stand at the top.",
        ),
        "attention": (
            lambda width: plot_attention(trace, layer=last, width=width),
            "What the cell states hold of each earlier step, exactly: row t shows how c_t is made "
            "up of the candidates of the steps before. A bright diagonal is a cell that lives in "
            "the present; a bright column is a step that is kept.",
        ),
        "sites": (
            lambda width: plot_sites(drawn, layer=last, width=width),
            "The five activations, and where the units work on them. On the flat ends of the "
            "candidate a step writes little that is new; on the flat ends of the cell output h "
            "says little about c. Neither touches what passes from c to c.",
        ),
        "memory": (
            lambda width: plot_operating_points(drawn, layer=last, width=width),
            "Where the units stand on their two squashing curves: the candidate's, and the one "
            "that the cell state passes on its way out. On the flat ends of the first, a step "
            "writes little that is new; on the flat ends of the second, that step's hidden state "
            "says little about the cell state. Neither stops what flows from cell state to cell "
            "state: that is the product of the forget gates, in the third panel. It is how much a "
            "change of the first cell state still changes a later one on this path, for each unit.",
        ),
        "saturation": (
            lambda width: plot_saturation(trace, layer=last, width=width),
            "How often each gate of each unit is nearly open (to the right) and nearly shut (up). "
            "On the diagonal a gate is a switch; at the origin it is never at an end.",
        ),
        "gradient": (
            lambda width: plot_gradient(flow(), layer=last, width=width),
            "The gradient of the sum of the last outputs with respect to earlier cell states, and "
            "what it is made of. Dotted: what came through forget gates alone, where no squash is "
            "in its way. Where that lies far below the black line, the gradient has lived on "
            "through h: through the gates and the candidate of later steps, and their squashes.",
        ),
    }


def _flow_of_last(lstm: Any, x: Any) -> Any:
    """The gradient flow of the sum of the last outputs."""
    given = checked(weights_of(lstm), x)
    config = given.weights.config
    columns = config.directions * (config.proj_size or config.hidden_size)
    T, B, _ = given.x.shape
    dy = np.zeros((T, B, columns))
    dy[-1] = 1.0
    if given.batched and config.batch_first:
        dy = dy.swapaxes(0, 1)
    elif not given.batched:
        dy = dy[:, 0]
    return gradient_flow(lstm, x, dy)


def _links(
    lstm: Any, x: Any, trace: Trace, inputs: Sequence[str] | None
) -> tuple[list[dict[str, str]], str]:
    """For each input the units of the first layer that it moves most, and what is left out."""
    spread = trace.data["cell_state"].values[0, 0].std(axis=(0, 1))
    (moving,) = np.nonzero(spread > 0)
    if not len(moving):
        return [], "No cell state of the first layer moves, so there is nothing to compare with."
    found = influence(lstm, x, inputs=inputs)
    rows = []
    for k, name in enumerate(found["input"].values[:_LINKED_INPUTS]):
        share = found.values[k, moving] / spread[moving]
        order = np.argsort(-np.abs(share))[:3]
        moved = [
            f"unit {moving[u]} {_direction(share[u])}({signed(float(share[u]))})" for u in order
        ]
        rows.append({"name": str(name), "units": ", ".join(moved)})
    whole = found.sizes["input"]
    return rows, f"The first {len(rows)} of {whole} inputs." if len(rows) < whole else ""


def _direction(share: float) -> str:
    """Up or down; neither where the share is 0 as it is written."""
    return "" if abs(share) < 0.005 else "up " if share > 0 else "down "


def _tiles(trace: Trace) -> list[tuple[str, str, str]]:
    sizes = trace.data.sizes
    path = forget_path(trace)
    kept = float(np.median(path.isel(time=-1, direction=0, layer=-1).values))

    def many(name: str, word: str) -> str:
        return f"{sizes[name]} {word}{'' if sizes[name] == 1 else 's'}"

    layers = f"{many('layer', 'layer')}, {many('direction', 'direction')}"
    return [
        ("units", str(sizes["hidden"]), layers),
        ("steps", str(sizes["time"]), many("batch", "row")),
        ("Π f", f"{kept:.2g}", "of the median unit, over all steps"),
        ("cell", *_cell(trace)),
    ]


def _cell(trace: Trace) -> tuple[str, str]:
    if trace.cell.is_default:
        return "LSTM", "PyTorch's own"
    text = repr(trace.cell).removeprefix("Cell(").removesuffix(")")
    return text, "where it is not PyTorch's own"
