"""The explorer's WebAssembly module gives the bits of the native core's portable build."""

from dataclasses import replace

import numpy as np
import pytest
from cells import CELLS, SHAPED
from networks import Setup, draw, draw_tame
from portable import FUSES_NOTHING, TINY, by_native, edits_of, same_bits, single
from wasm_module import EDITED, InPage, Network, Wasmtime

from gatewise import Cell, _native
from gatewise.cell import ACTIVATIONS, Activation
from gatewise.explorer.page import page_of

pytestmark = [FUSES_NOTHING, pytest.mark.usefixtures("portable")]

SHAPES = {
    "one layer": {"T": 5, "B": 3, "I": 3, "H": 7},
    "two layers, both directions": {"T": 6, "B": 2, "I": 2, "H": 5, "layers": 2, "directions": 2},
    "projection": {"T": 4, "B": 2, "I": 3, "H": 9, "proj": 5, "layers": 2, "directions": 2},
}
SIZES = [
    {"T": 1, "B": 1, "I": 1, "H": 1},
    {"T": 0, "B": 2, "I": 3, "H": 4},
    {"T": 3, "B": 0, "I": 3, "H": 4},
    {"T": 3, "B": 2, "I": 0, "H": 5},
    {"T": 300, "B": 1, "I": 5, "H": 64},
    {"T": 40, "B": 17, "I": 33, "H": 31, "layers": 3},
    {"T": 20, "B": 9, "I": 7, "H": 66, "proj": 13, "directions": 2},
    {"T": 150, "B": 3, "I": 2, "H": 17, "layers": 2, "directions": 2},
]


@pytest.fixture(scope="module")
def module():
    return Wasmtime()


def by_module(module, problem, edits=None, keep=True):
    """Outputs; with a tape what was done, and without edits all gradients."""
    p = problem
    T, B = p.setup.T, p.setup.B
    network = Network(module, p.setup, p.parameters)
    run, found = network.forward(p.x, p.h0, p.c0, edits, keep)
    if keep:
        found |= network.activity(run, T, B)
    if keep and not edits:
        found |= network.backward(run, T, B, *p.grads)
    module.call("run_free", run)
    network.free()
    return found


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_every_cell_forward_and_backward(module, cell, shape):
    problem, _ = draw_tame(single(Setup(cell=cell, **SHAPES[shape])))
    same_bits(by_module(module, problem), by_native(problem))


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize(
    "cell", [Cell(), Cell(peephole=True), Cell(layer_norm=True, coupled=True), SHAPED[-2]], ids=str
)
def test_every_size(module, cell, sizes):
    problem = draw(single(Setup(cell=cell, **sizes)))
    same_bits(by_module(module, problem), by_native(problem))
    without_tape = by_module(module, problem, keep=False)
    same_bits(without_tape, by_native(problem, keep=False))
    assert without_tape.keys() == {"y", "h_n", "c_n"}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sites", [*((site,) for site in EDITED), EDITED], ids="+".join)
@pytest.mark.parametrize(
    "cell", [Cell(), Cell(peephole=True, coupled=True), Cell(layer_norm=True)], ids=str
)
def test_edits(module, cell, sites, shape):
    problem = draw(single(Setup(cell=cell, **SHAPES[shape])))
    edits = edits_of(problem.setup, sites)
    found = by_module(module, problem, edits)
    same_bits(found, by_native(problem, edits))
    assert not np.array_equal(found["y"], by_module(module, problem)["y"])


@pytest.mark.parametrize("given", ["without biases", "without states", "without dh_n and dc_n"])
def test_what_may_be_left_out(module, given):
    problem = draw(single(Setup(layers=2, directions=2)))
    if given == "without biases":
        own = [{n: a for n, a in p.items() if n[0] != "b"} for p in problem.parameters]
        problem = replace(problem, parameters=own)
    if given == "without states":
        problem = replace(problem, h0=None, c0=None)
    if given == "without dh_n and dc_n":
        problem = replace(problem, grads=(problem.grads[0], None, None))
    same_bits(by_module(module, problem), by_native(problem))


@pytest.mark.parametrize(
    "cell", [Cell(), Cell(peephole=True), Cell("relu", cell_output="identity")]
)
def test_infinities_and_nan(module, cell):
    problem = draw(single(Setup(cell=cell, T=6, B=4, H=6)))
    problem.x[2, 0, 1], problem.x[3, 1, 0], problem.x[1, 2, 2] = np.inf, -np.inf, np.nan
    with np.errstate(all="ignore"):
        found, expected = by_module(module, problem), by_native(problem)
    assert np.isnan(expected["y"]).any()
    same_bits(found, expected)


def test_what_vanishes_below_the_normal_numbers(module):
    # What is not flushed can reach only what is nearly as small itself.
    problem = draw(single(Setup(T=400, B=2, I=3, H=16)), scale=0.3)
    problem.grads[0][:-1] = 0
    found, expected = by_module(module, problem), by_native(problem)
    assert (np.abs(found["gates"][found["gates"] != 0]) < TINY).any()
    for name, array in expected.items():
        small = np.abs(array) < 2.0**-100
        same_bits({name: found[name][~small]}, {name: array[~small]})
        assert np.abs(found[name][small] - array[small]).max(initial=0) < 2.0**-120


def test_in_a_browser(chromium, tmp_path):
    """What wasmtime gives for every cell and edit, Chromium gives from the page that is shipped."""
    file = tmp_path / "page.html"
    file.write_text(page_of([], lab=False), "utf-8")
    page = chromium.new_page()
    page.goto(file.as_uri())
    module = InPage(page)
    setups = [Setup(cell=cell) for cell in CELLS] + [Setup(**shape) for shape in SHAPES.values()]
    for setup in setups:
        problem, _ = draw_tame(single(setup))
        same_bits(by_module(module, problem), by_native(problem))
        edits = edits_of(problem.setup, EDITED)
        same_bits(by_module(module, problem, edits), by_native(problem, edits))
    page.close()


SITES = [*ACTIVATIONS.values(), Activation("tanh", 0.5, -1.5, 0.25), Activation("relu", -2.0)]


@pytest.mark.parametrize("site", SITES, ids=lambda a: a.formula)
def test_activations(module, site):
    edges = np.array([0.0, -0.0, 1, -1, 3, -3, 88, -104, 1e30, -np.inf, np.inf, np.nan], "f4")
    x = np.concatenate([np.linspace(-20, 20, 20011, dtype=np.float32), edges])
    expected = np.empty_like(x)
    _native.activate((site.name, site.scale, site.slope, site.shift), x, expected)
    same_bits({"y": module.activate(site, x)}, {"y": expected})
