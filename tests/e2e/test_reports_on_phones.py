"""Reports in a browser of 390 pixels: the forecast is in sight, and its text can be read."""

import numpy as np
import polars as pl
import pytest
import torch

from gatewise.forecast import Forecaster
from gatewise.forecast.report import write_forecast
from gatewise.trace.report import write_inspection

PHONE, SCREEN = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
LEAST_TEXT = 8.0  # in pixels

FIGURES = """() => [...document.querySelectorAll("figure svg")]
  .filter(svg => svg.checkVisibility())
  .map(svg => {
    const box = svg.getBoundingClientRect(), scale = box.width / svg.viewBox.baseVal.width;
    const sizes = [...svg.querySelectorAll("text, g[style*=font]")]
      .map(text => parseFloat(getComputedStyle(text).fontSize) * scale);
    const ends = [...svg.querySelectorAll("text")].map(t => t.getBoundingClientRect())
      .flatMap(b => [b.left - box.left, box.right - b.right]);
    return {label: svg.getAttribute("aria-label"), left: box.left, right: box.right,
            least: Math.min(...sizes), outside: Math.min(...ends)};
  })"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    t = np.arange(96)
    ds = pl.datetime_range(pl.datetime(2012, 1, 1), pl.datetime(2019, 12, 1), "1mo", eager=True)
    y = 200 + t + 30 * np.sin(2 * np.pi * t / 12)
    f = Forecaster.pretrained(12).fit(pl.DataFrame({"ds": ds, "y": y}))
    write_forecast(folder / "forecast.html", f, f.predict())
    torch.manual_seed(0)
    x = np.random.default_rng(0).standard_normal((40, 1, 2)).astype(np.float32)
    write_inspection(folder / "inspection.html", torch.nn.LSTM(2, 6), x, inputs=["a", "b"])
    return folder


def figures_of(chromium, path, size):
    view = chromium.new_page(viewport=size)
    view.goto(path.as_uri())
    width = view.evaluate("document.documentElement.scrollWidth")
    found = view.evaluate(FIGURES)
    view.close()
    return width, found


@pytest.mark.parametrize("name", ["forecast", "inspection"])
@pytest.mark.parametrize("size", [PHONE, SCREEN], ids=["phone", "screen"])
def test_every_figure_is_in_sight_and_its_text_can_be_read(chromium, pages, name, size):
    width, found = figures_of(chromium, pages / f"{name}.html", size)
    assert width <= size["width"]
    assert len(found) >= 6
    assert len({f["label"] for f in found}) == len(found)  # each once, not for both widths
    for figure in found:
        assert figure["left"] >= 0, figure
        assert figure["right"] <= size["width"], figure
        assert figure["least"] >= LEAST_TEXT, figure
        assert figure["outside"] > -1, figure  # no label is cut off
