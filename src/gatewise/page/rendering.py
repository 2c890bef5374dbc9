"""Pictures and a template into a page."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FunctionLoader

from gatewise.page.svg import to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """One figure of the page.

    Attributes:
        svg: the inline element.
        caption: what to see in it.
    """

    svg: str
    caption: str


def picture(figure: Figure, name: str, caption: str) -> Picture:
    """Render a figure; the caption is its text for those who cannot see it, too."""
    return Picture(to_svg(figure, name, caption), caption)


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
