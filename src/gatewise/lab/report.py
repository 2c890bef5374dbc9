"""Pages about claims and reproductions, made from the run store alone.

As Markdown with SVG pictures, for a repository, or as one self-contained HTML page for each.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from gatewise.errors import MissingExtraError
from gatewise.files import write_atomically
from gatewise.lab.design import Experiment, Plan, Size, Verdict, combinations
from gatewise.lab.store import Row

_TITLES: Final = {
    "solved": "solved", "low": "from", "high": "to", "median sequences": "sequences, median",
}  # fmt: skip


@dataclass(frozen=True)
class Page:
    """One experiment as people read it.

    Attributes:
        name, kind, claim, hypothesis, literature: of the experiment.
        verdict: a word or two.
        sentence: what was found.
        plain: the same for readers in a hurry.
        design: name and text of each part of the design.
        columns, lines: the table, as text.
        command: that repeats it.
        trials: rows behind the verdict.
        picture: whether there is one.
    """

    name: str
    kind: str
    claim: str
    hypothesis: str
    literature: str
    verdict: str
    sentence: str
    plain: str
    design: Sequence[tuple[str, str]]
    columns: Sequence[str]
    lines: Sequence[Sequence[str]]
    command: str
    trials: int
    picture: bool


def page_of(experiment: Experiment, size: Size, rows: Sequence[Row], verdict: Verdict) -> Page:
    """Return the page of an experiment's rows."""
    names = list(dict.fromkeys(name for line in verdict.table for name in line))
    names = [n for n in names if any(line.get(n) is not None for line in verdict.table)]
    verb = "run" if experiment.kind == "claim" else "reproduce"
    return Page(
        experiment.name, experiment.kind, experiment.claim, experiment.hypothesis,
        experiment.literature, verdict.title, typeset(verdict.sentence),
        typeset(verdict.plain or verdict.sentence),
        [(name, typeset(told)) for name, told in _design(experiment, experiment.plans[size])],
        [_TITLES.get(n, n) for n in names],
        [[typeset(text(line.get(n))) for n in names] for line in verdict.table],
        f"gatewise lab {verb} {experiment.name}{' --quick' if size == 'quick' else ''}",
        len(rows), experiment.draw is not None,
    )  # fmt: skip


def _design(experiment: Experiment, plan: Plan) -> list[tuple[str, str]]:
    """What is varied, how much of it, and how it is judged."""
    rule = " ".join((experiment.judge.__doc__ or "").split())
    varied = "; ".join(f"{k}: {', '.join(map(str, v))}" for k, v in experiment.factors.items())
    controls = "; ".join(
        ", ".join(f"{k} {v}" for k, v in control.items()) for control in experiment.controls
    )
    settings = ", ".join(f"{k} {v}" for k, v in plan.settings.items())
    tuned = ""
    if plan.tune:
        grid = "; ".join(f"{k}: {', '.join(map(str, v))}" for k, v in experiment.grid.items())
        tuned = (
            f"{grid}. Each of {len(combinations(experiment.grid))} settings for every arm, on "
            f"{plan.tune} seeds that never judge."
        )
    found = (
        ("Network", experiment.network), ("Varied", varied),
        ("Further arms" if varied else "Arms", controls), ("Tuned", tuned),
        ("Seeds", f"{plan.seeds}, the same for every arm"),
        ("Budget", settings), ("Measured", experiment.metric), ("Statistic", experiment.statistic),
        ("Margin", experiment.margin), ("Rule of the verdict", rule),
        ("Changed after scores were seen", experiment.amended),
    )  # fmt: skip
    return [(name, told) for name, told in found if told]


def typeset(told: str) -> str:
    """A text with minus signs where numbers are negative.

    >>> typeset("from -0.2 to 1e-9, -.5 [-1, 2], seeds 1-3, well-known")
    'from −0.2 to 1e-9, −.5 [−1, 2], seeds 1-3, well-known'
    """
    return re.sub(r"(?<![\w.)\]–-])-(?=\.?\d)", "−", told)


def text(value: Any) -> str:
    """A value of a table.

    >>> [text(v) for v in (None, True, 0.12345, 1234567.0, "tanh", 2.5e-9)]
    ['–', 'yes', '0.123', '1,234,567', 'tanh', '2.5e-09']
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)) and math.isfinite(value) and abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.3g}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def write_pages(
    folder: str | os.PathLike[str],
    results: Iterable[Any],
    *,
    markdown: bool = False,
    of_results: str = "",
) -> list[Path]:
    """Write a page for each result and an index, each whole or not at all.

    Args:
        folder: made if it is not there.
        results: `gatewise.lab.Result`s.
        markdown: Markdown with pictures beside it, in place of HTML with the pictures inside.
        of_results: where the exported rows lie, seen from the pages.

    Raises:
        MissingExtraError: matplotlib or jinja2 is not installed.
        OSError: a file cannot be written.
    """
    try:
        from gatewise.page.rendering import picture, render
        from gatewise.page.svg import to_svg
    except ImportError:
        raise MissingExtraError("The report", "lab") from None
    from gatewise.lab.claims import everything

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ending = "md" if markdown else "html"
    template = files("gatewise.lab").joinpath(f"page.{ending}.j2").read_text("utf-8")
    index = files("gatewise.lab").joinpath(f"index.{ending}.j2").read_text("utf-8")
    written, pages = [], []
    for r in results:
        page = page_of(r.experiment, r.size, r.rows, r.verdict)
        pages.append(page)
        shown = None
        if page.picture:
            caption = " ".join((r.experiment.draw.__doc__ or page.claim).split())
            figure = r.experiment.draw(r.rows)
            if markdown:
                svg = folder / "images" / f"{page.name}.svg"
                svg.parent.mkdir(exist_ok=True)
                write_atomically(svg, _standalone(to_svg(figure, page.name, caption)))
                written.append(svg)
            else:
                shown = picture(figure, page.name, caption)
        path = folder / f"{page.name}.{ending}"
        told: Mapping[str, Any] = {"page": page, "title": page.claim, "picture": shown}
        write_atomically(path, _render(render, template, markdown, of_results, **told))
        written.append(path)
    claims = [p for p in pages if p.kind == "claim"]
    others = [p for p in pages if p.kind != "claim"]
    path = folder / f"{'README' if markdown else 'index'}.{ending}"
    there = {page.name for page in pages}
    waiting = [name for name in everything() if name not in there]
    told = {"claims": claims, "reproductions": others, "waiting": waiting, "title": "The lab"}
    write_atomically(path, _render(render, index, markdown, of_results, **told))
    return [*written, path]


def _standalone(svg: str) -> str:
    """An inline picture as a file: with its namespace, in ink that light and dark pages show."""
    if "xmlns=" not in svg.split(">", 1)[0]:
        svg = svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    style = "<style>svg{color:#57606a}</style>"
    head, rest = svg.split(">", 1)
    return f"{head}>{style}{rest}\n"


def _render(render: Any, template: str, markdown: bool, of_results: str, **values: Any) -> str:
    if not markdown:
        return str(render(template, of_results=of_results, **values))
    from jinja2 import Environment

    environment = Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters["cell"] = lambda value: str(value).replace("|", "\\|")
    return environment.from_string(template).render(of_results=of_results, **values)
