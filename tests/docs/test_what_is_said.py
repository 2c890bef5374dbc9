"""Sentences of pages, captions and docstrings that were wrong once, against what is so."""

import re
from pathlib import Path

import pytest

from gatewise.trace import plot_operating_points

ROOT = Path(__file__).parents[2]
READ = {".py", ".md", ".j2", ".html", ".h", ".cc"}


def texts():
    for folder in ("src", "docs", "examples", "benchmarks", "native"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in READ and "__pycache__" not in path.parts:
                yield path, path.read_text()
    yield ROOT / "README.md", (ROOT / "README.md").read_text()


def plain(text):
    """One line, without the breaks of Python's strings and comments."""
    return re.sub(r"\s+", " ", re.sub(r'"\s*\n\s*(f?")', "", text))


@pytest.mark.parametrize(
    "wrong",
    [
        r"flat ends,? no gradient",
        r"passes no gradient",
        r"no gradient (passes|flows)",
    ],
)
def test_nobody_says_that_a_flat_squash_stops_the_gradient(wrong):
    assert not [path for path, text in texts() if re.search(wrong, plain(text))]


def test_what_is_said_of_flat_ends_is_what_the_reference_computes():
    page = plain((ROOT / "src/gatewise/trace/inspection.py").read_text())
    for told in (page, plain(plot_operating_points.__doc__)):
        # Each half of the sentence is computed in tests/unit/trace/test_flat_ends.py.
        assert "writes little that is new" in told
        assert re.search(
            r"hidden state says little about the cell state|h says little about c", told
        )
        assert re.search(r"Neither stops (what flows|the gradient) from (cell state|c) to", told)
        assert re.search(r"product of the forget gates|forget gates: their product", told)


RIDDLES = (
    r"\bbeside\b",  # say "relative to", "next to", "in addition to"
    r"commonest count",
    r"a usual change counts as",
    r"of the weights and the batches",
    r"over the random walk",  # the rival is the last value
)


@pytest.mark.parametrize("riddle", RIDDLES)
def test_pages_and_help_are_in_plain_english(riddle):
    # decisions of long ago are left as they were written
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.j2")]
    told = [p for p in pages if p.parent.name != "decisions"]
    assert not [p for p in told if re.search(riddle, plain(p.read_text("utf-8")), re.IGNORECASE)]
