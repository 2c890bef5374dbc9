"""A trace as a notebook shows it."""

from __future__ import annotations

from gatewise.trace.recorded import Recorded


def html_of(trace: Recorded) -> str:
    """Return the findings, the gates of the first row of the last layer, and the Dataset, as HTML.

    Without matplotlib, or of a trace that has not kept all, the Dataset alone.
    """
    from html import escape
    from io import StringIO

    from gatewise.errors import GatewiseError
    from gatewise.trace.plots import plot_gates
    from gatewise.trace.sentences import findings

    parts = []
    try:
        said = "".join(f"<li>{escape(f.sentence)}</li>" for f in findings(trace))
        picture = StringIO()
        plot_gates(trace, layer=trace.data.sizes["layer"] - 1).savefig(picture, format="svg")
        svg = picture.getvalue()
        parts += [f"<ul>{said}</ul>", svg[svg.index("<svg") :]]
    except (GatewiseError, KeyError, ValueError):
        pass
    return "".join([f"<p><b>Trace</b> of {escape(repr(trace.cell))}</p>", *parts,
                    trace.data._repr_html_()])  # fmt: skip
