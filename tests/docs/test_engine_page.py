"""The page on the engine: its drawings are the script's, its constants the source's."""

import re
import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "engine.md"
IMAGES = ROOT / "docs" / "images"
CONSTANT = re.compile(r"^\| `(k\w+)` \| `?(.+?)`? \| `(\S+)` \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def drawn():
    return runpy.run_path(str(IMAGES / "make_engine.py"))["drawings"]()


def test_the_drawings_are_the_script_s(drawn):
    # A failure here: `make docs`.
    found = {p.name: p.read_text() for p in (IMAGES / "engine").iterdir()}
    assert found == drawn


def test_every_drawing_is_shown_and_has_a_title_and_a_ground_of_its_own(drawn):
    page = PAGE.read_text()
    for name, text in drawn.items():
        assert f"(images/engine/{name})" in page
        root = ElementTree.fromstring(text)
        assert root.find("{*}title").text
        ground = root.find("{*}rect")
        assert ground.get("fill") == "#ffffff"
        assert float(ground.get("width")) == float(root.get("width")) - 1


@pytest.mark.parametrize(("name", "value", "file"), CONSTANT.findall(PAGE.read_text()))
def test_a_constant_is_the_source_s(name, value, file):
    source = (ROOT / "native" / "src" / file).read_text()
    assert re.findall(rf"\b{name} = ([^;,]+)[;,]", source) in ([value], [f"int64_t{{{value}}}"])


def test_the_files_that_the_page_names_exist():
    table = PAGE.read_text().split("## Which file holds what")[1]
    named = re.findall(r"`(\w+\.(?:h|cc))`", table)
    assert len(named) > 20
    for file in named:
        assert (ROOT / "native" / "src" / file).is_file()


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGE.read_text()):
        assert (PAGE.parent / target).exists()
