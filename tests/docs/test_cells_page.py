"""The page on the cell: table and pictures are the script's, names and formulas the source's."""

import importlib
import inspect
import math
import re
import runpy
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from gatewise import Cell
from gatewise.cell import ACTIVATIONS, SITES
from gatewise.nn import LSTM

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "math" / "cells.md"
TEXT = PAGE.read_text()
FOLDER = ROOT / "docs" / "images" / "cells"
SCRIPT = runpy.run_path(str(FOLDER.parent / "make_cells.py"))
ROW = re.compile(r"^\| `(\w+)` \| !\[.*?\]\((\S+)\) \| `(.+?)` \|.*\| `(.+?)` \|$", re.MULTILINE)
ROWS = [tuple(cell.replace(r"\|", "|") for cell in row) for row in ROW.findall(TEXT)]
VARIANT = re.compile(r"^\| ([A-Z]+) \| .* \| `(Cell\(.*?\))` \|$", re.MULTILINE)
each_activation = pytest.mark.parametrize(
    ("name", "formula", "slope"), [(row[0], *row[2:]) for row in ROWS], ids=[row[0] for row in ROWS]
)
POINTS = np.append(np.linspace(-5, 5, 41), (-7.25, 0.3, 7.25))  # kinks at -3, -1, 0, 1 and 3 too


def section(title):
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def value(formula, **variables):
    """What a formula of the page means at one point."""
    code = re.sub(r"\|(\w)\|", r"abs(\1)", formula)
    code = re.sub(r"\[(.*?)\]", r"float(\1)", code).replace("^", "**")
    names = {"e": math.e, "tanh": math.tanh, "clip": lambda x, a, b: min(max(x, a), b)}
    return eval(code, names | variables)


def luminance(colour):
    parts = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_table_is_made_from_the_activations():
    # A failure here: `make docs`.
    assert SCRIPT["page"](TEXT) == TEXT
    assert [row[0] for row in ROWS] == list(ACTIVATIONS)


def test_the_pictures_are_the_script_s_and_shown():
    # A failure here: `make docs`.
    assert {p.name: p.read_text() for p in FOLDER.iterdir()} == SCRIPT["drawings"]()
    assert [(PAGE.parent / row[1]).resolve() for row in ROWS] == [
        FOLDER / f"{name}.svg" for name in ACTIVATIONS
    ]


@each_activation
def test_the_formulas_are_the_functions(name, formula, slope):
    y = ACTIVATIONS[name].function(POINTS)
    np.testing.assert_allclose([value(formula, x=x) for x in POINTS], y, rtol=1e-14, atol=1e-15)
    found = [value(slope, y=each) for each in y]
    np.testing.assert_allclose(found, ACTIVATIONS[name].derivative(POINTS, y), atol=1e-14)


@each_activation
def test_a_picture_shows_the_function_and_the_derivative(name, formula, slope):
    root = ElementTree.fromstring((FOLDER / f"{name}.svg").read_text())
    assert name in root.find("{*}title").text
    _, dashed, solid = root.findall("{*}path")
    assert dashed.get("stroke-dasharray")
    assert not solid.get("stroke-dasharray")
    for path, what in ((solid, "y"), (dashed, "dy/dx")):
        drawn = re.findall(r"([ML])([\d.]+),([\d.]+)", path.get("d"))
        x = np.array([float(across) - 95 for _, across, _ in drawn]) / 21.5
        shown = (61 - np.array([float(down) for *_, down in drawn])) / 40
        y = [value(formula, x=round(at, 2)) for at in x]
        expected = y if what == "y" else [value(slope, y=at) for at in y]
        np.testing.assert_allclose(shown, expected, atol=0.005)
        risers = np.abs(np.diff(shown))[[letter == "L" for letter, *_ in drawn[1:]]]
        assert risers.max() < 0.1  # a jump is a gap, never a line


def test_the_pictures_read_on_light_and_dark_grounds():
    for text in SCRIPT["drawings"]().values():
        assert "<rect" not in text  # no ground of their own
        colours = set(re.findall(r"#[0-9a-f]{6}", text))
        assert len(colours) == 3
        for ground in ("#ffffff", "#0d1117"):  # GitHub's
            assert min(contrast(colour, ground) for colour in colours) >= 4


def test_every_cell_of_the_page_is_one():
    found = re.findall(r"Cell\([^)]*\)", TEXT)
    assert len(found) >= 12
    for expression in found:
        assert isinstance(eval(expression, {"Cell": Cell}), Cell)


def test_the_variants_differ_from_vanilla_in_what_their_names_say():
    cells = {name: eval(words, {"Cell": Cell}) for name, words in VARIANT.findall(TEXT)}
    assert list(cells) == ["V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "NP", "CIFG"]

    def changes(name):
        fields = (*SITES, "peephole", "coupled", "layer_norm")
        one, other = cells[name], cells["V"]
        return {f: getattr(one, f) for f in fields if getattr(one, f) != getattr(other, f)}

    assert [changes(name) for name in cells] == [
        {},
        {"input_gate": "one"},
        {"forget_gate": "one"},
        {"output_gate": "one"},
        {"candidate": "identity"},
        {"cell_output": "identity"},
        {"peephole": False},
        {"coupled": True},
    ]


def test_the_initialisers_are_all_there():
    named = re.findall(r"^\| `(\w+_)` \|", section("Initialisers"), re.MULTILINE)
    module = importlib.import_module("gatewise.nn.init")
    public = [
        name
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    ]
    assert sorted(named) == sorted(public)


def test_the_names_of_the_page_exist():
    named = set(re.findall(r"`(gatewise(?:\.\w+)+)`", TEXT))
    assert len(named) >= 3
    for name in named:
        found = importlib.import_module("gatewise")
        for part in name.split(".")[1:]:
            is_module = inspect.ismodule(found) and not hasattr(found, part)
            found = (
                importlib.import_module(f"{found.__name__}.{part}")
                if is_module
                else getattr(found, part)
            )


def test_the_arguments_and_parameters_of_the_page_are_the_module_s():
    words = section("Variants") + section("Regularisers")
    arguments = set(re.findall(r"`(\w+)=[^`(]+`", words)) | {"zoneout"}
    arguments -= {"input_gate"}  # of Cell
    assert arguments >= {"proj_size", "learn_initial_state", "recurrent_dropout", "weight_dropout"}
    taken = dict.fromkeys(arguments, 0.1) | {"proj_size": 2, "learn_initial_state": True}
    lstm = LSTM(3, 5, cell=Cell(peephole=True, layer_norm=True), **taken)
    named = re.findall(r"`(\w+_l\{k\}|h_0|c_0)`", TEXT)
    assert len(named) >= 11
    assert {name.replace("{k}", "0") for name in named} == set(lstm.state_dict())


def test_links_lead_somewhere():
    titles = re.findall(r"^##+ (.*)$", TEXT, re.MULTILINE)
    anchors = {title.lower().replace(" ", "-") for title in titles}
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert len(links) > 20
    for link in links:
        if link.startswith("#"):
            assert link[1:] in anchors
        elif not link.startswith("https://"):
            assert (PAGE.parent / link).exists()
