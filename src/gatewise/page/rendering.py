"""Pictures and a template into a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, FunctionLoader

from gatewise.page.svg import to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure


WIDE: Final = 10.0
"""Width in inches of a figure on a screen."""

NARROW: Final = 3.6
"""Width in inches of the same figure on a phone: its text is then as large as on a screen."""


@dataclass(frozen=True)
class Picture:
    """One figure of the page, drawn twice; the page shows the one that fits its width.

    Attributes:
        svg: the inline element for screens.
        narrow: the inline element for phones.
        caption: what to see in it.
    """

    svg: str
    narrow: str
    caption: str


def picture(draw: Figure | Callable[[float], Figure], name: str, caption: str) -> Picture:
    """Render a figure; the caption is its text for those who cannot see it, too.

    Args:
        draw: returns the figure of a width in inches. Or a figure, which is only made narrower: it
            must be of one panel, laid out anew when it is saved (layout="constrained").
        name: unique within the page.
        caption: what to see in it.
    """
    if callable(draw):
        wide, narrow = draw(WIDE), draw(NARROW)
        return Picture(to_svg(wide, name, caption), to_svg(narrow, f"{name}-n", caption), caption)
    width, height = draw.get_size_inches()
    svg = to_svg(draw, name, caption)
    draw.set_size_inches(NARROW, max(0.75 * height, 2.4) if width > NARROW else height)
    return Picture(svg, to_svg(draw, f"{name}-n", caption), caption)


def render(template: str, **values: Any) -> str:
    """Return the page of a template that extends ``base.html.j2``.

    Args:
        template: its text.
        values: what it shows.
    """

    def shared(name: str) -> str:
        return files("gatewise.page").joinpath(name).read_text("utf-8")

    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, loader=FunctionLoader(shared)
    )
    return environment.from_string(template).render(**values)
