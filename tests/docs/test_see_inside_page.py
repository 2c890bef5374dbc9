"""The tutorial on seeing inside: its pictures are the script's."""

import io
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gatewise import trace
from gatewise.trace.inspection import PICTURES

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial" / "see-inside.md"
IMAGES = ROOT / "docs" / "images"
FOLDER = IMAGES / "see-inside"


def pixels(file):
    with Image.open(file) as image:
        return np.asarray(image.convert("RGBA"), np.float64)


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(IMAGES / "make_see_inside.py"))


def test_the_drawing_is_the_script_s(script):
    assert (FOLDER / "cell.svg").read_text() == script["cell"]()  # a failure here: `make docs`


def test_the_pictures_are_the_script_s(script):
    for name, figure in script["figures"]().items():
        file = io.BytesIO()
        figure.savefig(file, dpi=script["DPI"])
        now, kept = pixels(file), pixels(FOLDER / f"{name}.png")
        assert now.shape == kept.shape
        assert np.abs(now - kept).mean() < 0.5  # of 255; other processors round otherwise


def test_the_page_shows_all_of_them_and_its_links_lead_somewhere(script):
    page = PAGE.read_text()
    for name in ("cell.svg", *(f"{name}.png" for name in script["figures"]())):
        assert f"(../images/see-inside/{name})" in page
    for target in re.findall(r"\]\(([^)#]+)\)", page):
        assert (PAGE.parent / target).exists()


def test_the_page_names_every_picture_that_inspect_draws():
    last = PAGE.read_text().split("## On the command line")[1]
    assert f"{('no', 'one', 'two', 'three', 'four', 'five', 'six')[len(PICTURES)]} pictures" in last
    named = re.findall(r"^- the (?:five )?(\w+):.*`(plot_\w+)`", last, re.MULTILINE)
    assert [name for name, _ in named] == list(PICTURES)
    assert all(callable(getattr(trace, function)) for _, function in named)
