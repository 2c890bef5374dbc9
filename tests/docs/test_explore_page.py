"""The explorer in the documents: the front door holds today's page, the tutorial its pictures."""

import re
from pathlib import Path

from gatewise.explorer.claims import claims, summary
from gatewise.explorer.page import as_script, page_of
from gatewise.lab import results
from gatewise.lab.store import Store

DOCS = Path(__file__).parents[2] / "docs"
DATA = re.compile(r'(id="gatewise-(?:data|module)">).*?(</script>)', re.DOTALL)


def test_the_front_door_is_todays_page():
    found = (DOCS / "index.html").read_text("utf-8")
    assert DATA.sub(r"\1\2", found) == DATA.sub(r"\1\2", page_of([])), (
        "python docs/make_explorer.py"
    )
    assert as_script({"lab": claims()})[1:-1] in found, "python docs/make_explorer.py"


def test_the_labs_summary_is_that_of_the_rows():
    store = Store(":memory:")
    store.bring(DOCS / "lab" / "results")
    path = Path(__file__).parents[2] / "src" / "gatewise" / "explorer" / "static" / "lab.json"
    made, there = (re.sub(r'"picture": "[^\n]*', "", t) for t in (
        summary(results(store.rows(), quick=False)), path.read_text("utf-8"),
    ))  # fmt: skip
    assert made == there, "python docs/make_lab.py"


def test_the_tutorial_shows_every_picture():
    page = (DOCS / "tutorial" / "explore.md").read_text("utf-8")
    shown = set(re.findall(r"\(\.\./images/explorer/(\w+\.png)\)", page))
    assert shown == {path.name for path in (DOCS / "images" / "explorer").iterdir()}
    assert all(p.stat().st_size < 300_000 for p in (DOCS / "images" / "explorer").iterdir())
