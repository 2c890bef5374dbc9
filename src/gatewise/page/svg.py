"""Figures as SVG that belongs to its page: text as text, colours that follow light and dark."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.text import Text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK: Final = "#010203"
"""Drawn in the page's own text colour, whichever that is."""

_RESOLUTION = 150

_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
}


def to_svg(figure: Figure, name: str, alt: str) -> str:
    """Render a figure as an inline SVG element.

    Args:
        figure: its axes, ticks and text are drawn in the page's ink, its background left out.
        name: unique within the page; keeps the ids inside apart from those of other figures.
        alt: what the picture shows, for those who cannot see it.
    """
    for axes in figure.axes:
        axes.patch.set_alpha(0)
        axes.tick_params(colors=INK)
        for spine in axes.spines.values():
            spine.set_edgecolor(INK)
        for text in axes.findobj(Text):
            text.set_color(INK)
    buffer = io.StringIO()
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure.patch.set_facecolor("none")
        figure.set_dpi(_RESOLUTION)
        # not savefig: it draws twice, first to lay out what "constrained" lays out anyway
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"font: ([^;\"]*?)(['\"]?)sans-serif\2", r"font: \1sans-serif", text)
    text = re.sub(r'(<image\b[^>]*?) id="[^"]*"', r"\1", text)  # equal colour bars, equal ids
    keys = set(re.findall(r'id="([^"]+)"', text))
    text = re.sub(
        r'(id="|url\(#|href="#)([^")]*)',
        lambda found: f"{found[1]}{name}-{found[2]}" if found[2] in keys else found[0],
        text,
    )
    label = alt.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return re.sub(r"<svg ", f'<svg role="img" aria-label="{label}" ', text, count=1)
