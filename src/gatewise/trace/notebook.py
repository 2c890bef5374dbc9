"""A trace as a notebook shows it."""

from __future__ import annotations

from itertools import count

from gatewise.trace.recorded import Recorded

_numbers = count()


def html_of(trace: Recorded) -> str:
    """Return the findings, the gates of the first row of the last layer, and the Dataset, as HTML.

    Without matplotlib, or of a trace that has not kept all, the Dataset alone.
    """
    from html import escape

    from gatewise.errors import GatewiseError
    from gatewise.trace.plots import plot_gates
    from gatewise.trace.sentences import findings

    parts = []
    try:
        said = "".join(f"<li>{escape(f.sentence)}</li>" for f in findings(trace))
        figure = plot_gates(trace, layer=trace.data.sizes["layer"] - 1)
        from gatewise.page.svg import to_svg  # with matplotlib, which is there

        parts += [f"<ul>{said}</ul>", to_svg(figure, f"trace{next(_numbers)}", "Gates and states")]
    except (GatewiseError, KeyError, ValueError):
        pass
    return "".join([f"<p><b>Trace</b> of {escape(repr(trace.cell))}</p>", *parts,
                    trace.data._repr_html_()])  # fmt: skip
