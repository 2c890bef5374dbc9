"""Results as a notebook shows them: a sentence, a few numbers, a chart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from itertools import count
from typing import TYPE_CHECKING, Any

from gatewise.errors import GatewiseError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_numbers = count()


def html_of(
    title: str,
    sentence: str,
    facts: Sequence[tuple[str, Any]] = (),
    draw: Callable[[], Figure] | None = None,
    caption: str = "",
) -> str:
    """Return HTML; without the chart where it cannot be drawn.

    Args:
        title: what it is.
        sentence: what it says.
        facts: names and values.
        draw: returns the chart; None for none.
        caption: what the chart shows, for those who cannot see it.

    >>> html_of("Tuned", "Nothing was better.", [("trials", 3)])
    '<p><b>Tuned</b> Nothing was better.</p><p>trials: 3</p>'
    """
    parts = [f"<p><b>{escape(title)}</b> {escape(sentence)}</p>"]
    if facts:
        told = " · ".join(f"{escape(name)}: {escape(str(value))}" for name, value in facts)
        parts.append(f"<p>{told}</p>")
    if draw is not None:
        try:
            figure = draw()
        except GatewiseError:  # such as drivers that are not known ahead, or no matplotlib
            return "".join(parts)
        from gatewise.page.svg import to_svg  # with matplotlib, which is there

        parts.append(to_svg(figure, f"gatewise{next(_numbers)}", caption))
    return "".join(parts)
