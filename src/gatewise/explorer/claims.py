"""The lab's verdicts as the page takes them, from `static/lab.json`; and how that is made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from importlib.resources import files
from typing import Any


def claims() -> list[dict[str, Any]]:
    """Return the lab's results that came with the package: see `Claim` in `web/src/data.ts`.

    >>> sorted({claim["kind"] for claim in claims()})
    ['claim', 'reproduction']
    """
    return json.loads(files("gatewise.explorer").joinpath("static/lab.json").read_text("utf-8"))


def summary(results: Iterable[Any]) -> str:
    """Return the text of `static/lab.json`; `docs/make_lab.py` writes it.

    Args:
        results: `gatewise.lab.Result`s of full runs.
    """
    return json.dumps([_claim(r) for r in results], ensure_ascii=False, indent=1) + "\n"


def _claim(r: Any) -> dict[str, Any]:
    from gatewise.lab.report import page_of
    from gatewise.page.svg import to_svg

    page = page_of(r.experiment, r.size, r.rows, r.verdict)
    picture = ""
    if page.picture:
        caption = " ".join((r.experiment.draw.__doc__ or page.claim).split())
        picture = _small(to_svg(r.experiment.draw(r.rows), page.name, caption), page.name)
    design = dict(page.design)
    return {
        "name": page.name,
        "kind": page.kind,
        "claim": page.claim,
        "hypothesis": page.hypothesis,
        "word": r.verdict.word,
        "title": page.verdict,
        "sentence": page.sentence,
        "picture": picture,
        "table": {
            "columns": list(page.columns),
            "rows": [list(line) for line in page.lines],
        },
        "design": {
            "metric": r.experiment.metric,
            "statistic": r.experiment.statistic,
            "seeds": r.experiment.plans[r.size].seeds,
        },
        "literature": page.literature,
        "amended": design.get("Changed after scores were seen", ""),
        "command": page.command,
    }


def _small(svg: str, name: str) -> str:
    """The picture at a third of its size: tenths of points, short ids, no styles that would leak.

    Args:
        svg: of `to_svg`.
        name: begins every id, so that pictures on one page keep theirs apart.
    """
    from scour import scour

    svg = re.sub(r"\d+\.\d{2,}", lambda found: f"{float(found[0]):.1f}", svg)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: sans-serif", svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*"', "", svg)
    options = scour.sanitizeOptions()
    options.remove_metadata = options.strip_ids = options.shorten_ids = True
    options.shorten_ids_prefix = f"{name}-"
    options.strip_xml_prolog, options.newlines, options.indent_type = True, False, "none"
    options.digits = 4
    return scour.scourString(svg, options).strip()
