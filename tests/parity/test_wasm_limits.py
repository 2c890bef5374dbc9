"""What the WebAssembly module cannot do is a status, never a trap, and leaves nothing behind."""

import struct

import numpy as np
import pytest
import wasmtime
from networks import Setup, draw
from wasm_module import (
    BAD_ARGUMENT,
    BAD_SIZE,
    MODULE,
    NO_MEMORY,
    OK,
    Network,
    RefusedError,
    Wasmtime,
)

from gatewise import Cell

MB = 1 << 20
CELL = Cell(peephole=True, layer_norm=True)
SETUP = Setup(CELL, T=60, B=3, I=5, H=40, proj=9, layers=2, directions=2, dtype=np.float32)
BAD_SIZES = [
    {"L": 0}, {"L": -1}, {"D": 0}, {"D": 3}, {"I": -1}, {"H": 0}, {"H": -4},
    {"projection": -1}, {"projection": 2}, {"H": 2**15}, {"L": 2**20, "H": 8}, {"I": 2**31 - 1},
    {"L": 2**31 - 1, "D": 2, "I": 2**31 - 1, "H": 2**31 - 1},
]  # fmt: skip
BAD_SITES = [
    (8, 1, 1, 0), (-1, 1, 1, 0), (0.5, 1, 1, 0), (np.nan, 1, 1, 0), (np.inf, 1, 1, 0),
    (0, 0, 1, 0), (0, 1, 0, 0), (0, np.inf, 1, 0), (0, 1, np.nan, 0), (0, 1, 1, np.inf),
]  # fmt: skip


@pytest.fixture(scope="module")
def module():
    return Wasmtime()


def refused(status):
    return pytest.raises(RefusedError, match=f"status {status}")


def test_the_module_needs_nothing_and_offers_what_the_page_calls():
    module = wasmtime.Module(wasmtime.Engine(), MODULE.read_bytes())
    assert not [(i.module, i.name) for i in module.imports]
    assert {e.name for e in module.exports} == {
        "memory", "_initialize", "allocate", "release", "function_name", "activate",
        "model_create", "model_load", "model_free",
        "run_create", "run_array", "run_forward", "run_read", "run_backward", "run_free",
    }  # fmt: skip


@pytest.mark.parametrize("sizes", BAD_SIZES, ids=str)
def test_bad_sizes_of_a_network(module, sizes):
    with refused(BAD_SIZE):
        module.create(module.config(Cell(), **sizes))


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("site", BAD_SITES, ids=str)
def test_activations_that_there_are_not(module, site, place):
    sites = [module.site("tanh")] * 5
    sites[place] = struct.pack("<4d", *site)
    with refused(BAD_ARGUMENT):
        module.create(module.config(Cell(), sites=b"".join(sites)))


@pytest.mark.parametrize("site", BAD_SITES, ids=str)
def test_activate_refuses_them_too(module, site):
    x = module.write(np.zeros(4, "f4"))
    assert module.call("activate", module.write(struct.pack("<4d", *site)), 4, x, x) == BAD_ARGUMENT
    assert module.call("activate", module.write(module.site("tanh")), -1, x, x) == BAD_ARGUMENT


def test_parameters_that_are_missing_or_too_many(module):
    given = draw(SETUP).parameters
    for name in given[0]:  # one bias alone is none
        lacking = [{n: a for n, a in own.items() if n != name} for own in given]
        with refused(BAD_ARGUMENT):
            Network(module, SETUP, lacking)
    model = module.create(module.config(Cell(), H=40))
    with refused(BAD_ARGUMENT):
        module.load(model, [{n: given[0][n] for n in ("w_ih", "w_hh", "peephole")}])
    assert module.call("model_load", model, 0) == BAD_ARGUMENT
    with refused(BAD_ARGUMENT):
        module.run(model, 1, 1)  # no weights yet
    module.call("model_free", model)


@pytest.mark.parametrize(("T", "B"), [(-1, 1), (1, -1), (2**31 - 1, 1), (2**31 - 1, 2**31 - 1)])
def test_bad_sizes_of_a_run(module, T, B):
    network = Network(module, SETUP, draw(SETUP).parameters)
    with refused(BAD_SIZE):
        module.run(network.model, T, B)
    network.free()


def test_calls_out_of_order(module):
    problem = draw(SETUP)
    network = Network(module, SETUP, problem.parameters)
    T, B, dy = SETUP.T, SETUP.B, problem.grads[0]
    before = module.run(network.model, T, B)
    without_tape, _ = network.forward(problem.x, keep=False)
    for run in (before, without_tape):
        with refused(BAD_ARGUMENT):
            network.backward(run, T, B, dy)
        with refused(BAD_ARGUMENT):
            network.activity(run, T, B)
    nothing = np.full((4, T, B, SETUP.H), np.nan, "f4")
    edited, _ = network.forward(problem.x, edits={"candidate": nothing})
    with refused(BAD_ARGUMENT):
        network.backward(edited, T, B, dy)
    assert module.call("run_array", edited, 99) == 0
    run, _ = network.forward(problem.x)
    assert module.call("run_backward", run, module.words(*[0] * 8)) == BAD_ARGUMENT
    module.call("run_free", run)
    for run in (before, without_tape, edited):
        module.call("run_free", run)
    network.free()


def test_weights_that_are_loaded_again_do_not_reach_a_run_of_before(module):
    problem = draw(SETUP)
    network = Network(module, SETUP, problem.parameters)
    run, _ = network.forward(problem.x)
    expected = network.backward(run, SETUP.T, SETUP.B, problem.grads[0])
    module.load(network.model, draw(SETUP, seed=1).parameters)
    network.free()
    found = network.backward(run, SETUP.T, SETUP.B, problem.grads[0])
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    module.call("run_free", run)


def everything(module):
    """All calls of one network, each freed; the status of the first that is refused, or 0."""
    problem, network, run = draw(SETUP), None, None
    try:
        network = Network(module, SETUP, problem.parameters)
        run, _ = network.forward(problem.x, problem.h0, problem.c0)
        network.activity(run, SETUP.T, SETUP.B)
        network.backward(run, SETUP.T, SETUP.B, *problem.grads)
    except RefusedError as refusal:
        return refusal.status
    finally:
        if run:
            module.call("run_free", run)
        if network:
            network.free()
    return OK


def test_every_lack_of_memory_is_told():
    limits = range(20 * 65536, 8 * MB, 65536)  # from hardly more than it starts with
    statuses = [everything(Wasmtime(limit)) for limit in limits]
    assert (statuses[0], statuses[-1]) == (NO_MEMORY, OK)
    assert {*statuses} == {NO_MEMORY, OK}


def test_memory_comes_back():
    module = Wasmtime()
    small = draw(Setup(dtype=np.float32))
    for k in range(100):
        everything(module)
        with refused(BAD_SIZE):
            module.create(module.config(Cell(), H=0))
        network = Network(module, small.setup, small.parameters)
        with refused(BAD_SIZE):
            module.run(network.model, 2**31 - 1, 1)
        with refused(BAD_ARGUMENT):
            module.load(network.model, [{}])
        network.free()
        if k == 10:
            size = module.size()
    assert module.size() == size


def test_no_size_can_wrap_an_address():
    module, limit = Wasmtime(1024 * MB), 1024 * MB  # none of which is touched
    rng = np.random.default_rng(0)
    statuses = {OK: 0, BAD_SIZE: 0, NO_MEMORY: 0}
    small = Setup(CELL, I=1, H=4, proj=1, layers=2, directions=2, dtype=np.float32)
    network = Network(module, small, draw(small).parameters)
    for _ in range(3000):
        rows, share = 2 ** rng.uniform(14, 34), rng.uniform()
        T, B = max(int(rows**share), 1), max(int(rows ** (1 - share)), 1)
        try:
            run = module.run(network.model, T, B)
        except RefusedError as refusal:
            statuses[refusal.status] += 1
            continue
        statuses[OK] += 1
        # Of each step and row: four gates, the cell and the norms of each direction, and x, y.
        least = 4 * T * B * (4 * (4 + 1 + 8) * 4 + 3)
        assert least < limit
        module.call("run_free", run)
    assert min(statuses[OK], statuses[BAD_SIZE]) > 100
