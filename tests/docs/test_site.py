"""The site: its API pages are generated, it builds strictly, and its front door is the explorer."""

import os
import re
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
API = ROOT / "docs" / "api"


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.loaded, self.text = set(), [], [], ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids.add(found.get("id"))
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in ("script", "img"):
            self.loaded.append(found.get("src") or "")
        if tag == "link" and found.get("rel") == "stylesheet":
            self.loaded.append(found["href"])

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(ROOT / "docs" / "make_api.py"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_the_api_pages_are_what_the_script_makes(script):
    made = script["pages"]()
    assert {path.name for path in API.glob("*.md")} == {*made}
    for name, text in made.items():
        assert (API / name).read_text("utf-8") == text, "make docs"


def test_every_public_name_has_its_entry(script, site):
    for package in (script["CORE"], *script["PACKAGES"]):
        names = script["names_of"](package)
        assert names
        page = Page(site / "api" / f"{package}.html")
        for name in names:
            home = getattr(import_module(package), name)
            where = {f"{package}.{name}", f"{getattr(home, '__module__', package)}.{name}"}
            assert where & page.ids, name


def test_doctests_of_docstrings_are_blocks_of_code(site):
    page = (site / "api" / "gatewise.forecast.html").read_text("utf-8")
    assert "&gt;&gt;&gt;" in page
    assert not re.search(r"<blockquote>", page)


def test_the_front_door_is_the_explorer_and_leads_to_the_documentation(site):
    door = (site / "index.html").read_text("utf-8")
    own = (ROOT / "docs" / "index.html").read_text("utf-8")
    assert door.startswith(own[: own.rindex("</body>")])
    assert 'href="start.html"' in door
    assert "Forecast a table" in Page(site / "start.html").text


def test_the_site_loads_nothing_from_elsewhere(site):
    for path in site.rglob("*.html"):
        if path != site / "index.html":
            assert not [a for a in Page(path).loaded if a.startswith(("http", "//"))], path


def test_no_page_links_to_a_source_that_the_site_does_not_have(site):
    for path in [*site.glob("*.html"), *site.glob("*/*.html")]:
        for link in Page(path).links:
            target = link.split("#")[0].split("?")[0]
            if target and not re.match(r"https?:|mailto:|/", target) and path.name != "404.html":
                assert (path.parent / target).exists(), (path, link)
