"""The explorer's page for everybody: axe-core, narrow screens, hostile files, little motion."""

import json
import re
from importlib.resources import files

import numpy as np
import pytest
import torch
from tests.e2e.browser import until
from tests.unit.explorer.test_page_data import HOSTILE

from gatewise.explorer.model import model_data
from gatewise.explorer.page import VIEWS, page_of
from gatewise.trace.report import write_inspection


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    x = np.random.default_rng(0).standard_normal((30, 2, 2)).astype(np.float32)
    lstm, head = torch.nn.LSTM(2, 6), torch.nn.Linear(6, 1)
    told = model_data(lstm, x, name="small", readout=head, inputs=["a", "b"])
    told["forecast"] = {
        "sentence": "Nothing is said of its skill.",
        "series": [{
            "name": "y", "history": {"time": list("abc"), "values": [1.0, None, 2.0]},
            "time": ["d", "e"], "quantiles": {"0.1": [1, 1], "0.5": [2, 2], "0.9": [3, 3]},
        }],
        "folds": [{
            "series": "y", "origin": "c", "time": ["d", "e"], "actual": [2.0, None],
            "forecasts": {"gatewise": [2.0, 2.0], "last value": [1.0, 1.0]},
        }],
        "scores": {"columns": ["model", "mae"], "rows": [["gatewise", 0.5], ["last value", None]]},
        "drivers": [{"name": "a", "effect": [0.1, -0.2], "first": 1, "sign": "+", "known": "past"}],
    }  # fmt: skip
    return told


@pytest.fixture(scope="module")
def path(tmp_path_factory, model):
    path = tmp_path_factory.mktemp("access") / "page.html"
    path.write_text(page_of([model]), "utf-8")
    return path


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", [*VIEWS, "tour"])
def test_axe_finds_nothing(opened, path, view, theme):
    fragment = "#view=cell&tour=2" if view == "tour" else f"#view={view}&unit=2&step=9"
    page = opened(path, fragment, color_scheme=theme, bypass_csp=True)
    page.wait_for_timeout(300)
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    found = page.evaluate("async () => (await axe.run()).violations")
    told = [(v["id"], [n["target"] for n in v["nodes"]][:3]) for v in found]
    assert not told, json.dumps(told)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("width", [390, 1280])
def test_no_view_is_wider_than_its_screen(opened, path, view, width):
    page = opened(path, f"#view={view}&unit=2&step=9", viewport={"width": width, "height": 800})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_view_is_reached_by_keyboard_alone(opened, path):
    page = opened(path)
    for view in VIEWS:
        for _ in range(80):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.dataset.testid") == f"tab-{view}":
                break
        else:
            pytest.fail(f"no way to {view}")
        page.keyboard.press("Enter")
        until(page, f"location.hash.includes('view={view}')")


def test_behind_each_chart_is_a_table(opened, path):
    for view in ("cell", "time", "gradient", "swap", "forecast"):
        page = opened(path, f"#view={view}&unit=2&step=9")
        page.wait_for_timeout(300)
        tables = page.locator("main details")
        assert tables.count() >= 1, view
        tables.first.locator("summary").click()
        tables.first.locator("td").nth(3).wait_for(state="attached")


def test_those_who_want_less_motion_get_less(opened, path):
    page = opened(path, reduced_motion="reduce", bypass_csp=True)
    page.add_style_tag(content="* { transition: all 1s; animation: none 1s; }")  # as anybody may
    moving = page.evaluate(
        """() => [...document.querySelectorAll("*")].filter((e) => {
            const s = getComputedStyle(e);
            return Math.max(...[s.transitionDuration, s.animationDuration].map(parseFloat)) > 0.01;
        }).length"""
    )
    assert moving == 0


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_no_name_gets_into_the_page_as_markup(opened, tmp_path, name):
    x = np.zeros((5, 2), np.float32)
    told = model_data(torch.nn.LSTM(2, 3), x, name=name, about=name, inputs=[name, "b"],
                      time=[name] * 5, readout=torch.nn.Linear(3, 1), outputs=[name])  # fmt: skip
    told["units"] = [[name] * 3]
    told["series"][0]["name"] = name
    (tmp_path / "a.html").write_text(page_of([told], title=name, command=name), "utf-8")
    page = opened(tmp_path / "a.html")  # which fails where a dialog is opened
    for view in VIEWS:
        page.get_by_test_id(f"tab-{view}").click()
        page.wait_for_timeout(100)
        assert page.locator("img, b[onerror], iframe, object, embed").count() == 0


@pytest.mark.parametrize("fragment", [
    "#view=none", "#view=cell&model=99&unit=-1&step=1e9", "#%E0%A4%A", "#edit=f~NaN~0~0~all",
    "#swap=cell_output.evil;x.y", "#train=evil~1~1", "#zoom=9-2", "#tour=999",
    "#view=lab&verdict=<img src=x onerror=alert(1)>", "#" + "a" * 10_000,
])  # fmt: skip
def test_an_address_that_says_nonsense_is_harmless(opened, path, fragment):
    page = opened(path, fragment)
    assert page.get_by_test_id("tab-cell").is_visible()
    assert page.locator("img").count() == 0


def test_the_theme_is_chosen(opened, path):
    page = opened(path, color_scheme="light")
    paper = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(paper)
    page.get_by_test_id("theme").click()
    assert page.evaluate(paper) != before


def test_a_report_shows_the_cell_at_work(opened, tmp_path, model):
    torch.manual_seed(0)
    lstm, x = torch.nn.LSTM(2, 6), np.zeros((30, 1, 2), np.float32)
    live = page_of([model], lab=False, views=["cell", "time"])
    write_inspection(tmp_path / "report.html", lstm, x, live=live)
    (text,) = re.findall(r' srcdoc="([^"]*)"', (tmp_path / "report.html").read_text("utf-8"))
    assert "gatewise-data" in text
    (tmp_path / "outer.html").write_text(
        f'<!doctype html><html data-ready><iframe width=1200 height=800 srcdoc="{text}"></iframe>'
    )
    page = opened(tmp_path / "outer.html")
    frame = page.frame_locator("iframe")
    frame.get_by_test_id("tab-time").click()
    assert frame.get_by_test_id("heatmap-f").is_visible()
    assert frame.get_by_test_id("tab-lab").count() == 0
