"""The same bits for variants, too: any number of threads, any run, any split of the batch.

The shapes are large enough that the core really uses so many threads: see native/src/sharing.h.
"""

import numpy as np
import pytest
from cells import MIXED
from networks import Setup, draw, evaluated, native

from gatewise import Cell

LARGE = {"T": 24, "B": 37, "I": 33, "H": 65, "directions": 2}
VARIANTS = {
    "peephole": Setup(Cell(peephole=True), dtype=np.float32, **LARGE),
    "coupled": Setup(Cell("softsign", coupled=True), dtype=np.float64, **LARGE),
    "layer norm": Setup(Cell(layer_norm=True), dtype=np.float32, **LARGE),
    "projection": Setup(proj=35, dtype=np.float32, **LARGE),
    "projection to one unit": Setup(proj=1, dtype=np.float32, **LARGE),
    "ragged": Setup(ragged=True, dtype=np.float32, **LARGE),
    "rates": Setup(noise="rates", dtype=np.float64, **LARGE),
    "masks": Setup(noise="all", dtype=np.float32, **LARGE),
    "all": Setup(MIXED[0], proj=17, noise="all", ragged=True, dtype=np.float32, layers=2, **LARGE),
}
# Few rows of many units, which are shared out step by step.
WIDE = {"T": 40, "B": 2, "I": 33, "H": 235}
STEP_BY_STEP = {
    "peephole": Setup(Cell(peephole=True), dtype=np.float32, **WIDE),
    "coupled": Setup(Cell(coupled=True, candidate="softsign"), dtype=np.float32, **WIDE),
    "both": Setup(Cell(coupled=True, peephole=True), dtype=np.float64, **WIDE),
    "ragged": Setup(Cell(peephole=True), ragged=True, dtype=np.float32, **WIDE),
    "two directions": Setup(Cell("one", "hard_sigmoid"), dtype=np.float32, directions=2, **WIDE),
    "one input": Setup(dtype=np.float32, **{**WIDE, "I": 1}),
}


def named(setups):
    return pytest.mark.parametrize("setup", setups.values(), ids=setups)


def assert_same_bits(got, expected):
    for name, value in got.items():
        assert value.tobytes() == np.ascontiguousarray(expected[name]).tobytes(), name


@named(VARIANTS)
def test_five_runs_on_one_to_four_threads_give_the_same_bits(isa, setup):
    problem = draw(setup)
    alone = native(problem)
    assert all(np.isfinite(value).all() for value in alone.values())
    for threads in (2, 3, 4, 3):
        assert_same_bits(native(problem, threads), alone)


@named(VARIANTS)
def test_a_batch_in_two_parts_gives_the_same_bits(isa, setup):
    problem = draw(setup)
    whole = native(problem, threads=2)
    for part in (slice(0, 11), slice(11, None)):
        found = native(problem.rows(part), threads=3)
        free = {k: found[k] for k in ("y", "dx", "h_n", "c_n", "dh0", "dc0")}
        steps = len(free["y"])  # those of the longest row of this part
        expected = {k: whole[k][:, part] for k in free}
        assert_same_bits(free, expected | {k: expected[k][:steps] for k in ("y", "dx")})


@named({name: setup for name, setup in VARIANTS.items() if not setup.ragged})
def test_without_a_tape_the_bits_are_the_same(isa, setup):
    problem = draw(setup)
    whole = native(problem)
    for threads in (1, 3):
        assert_same_bits(evaluated(problem, threads), whole)


@named(STEP_BY_STEP)
def test_units_shared_out_step_by_step_give_the_same_bits(isa, setup):
    problem = draw(setup, scale=0.5)
    alone = native(problem)
    assert all(np.isfinite(value).all() for value in alone.values())
    for threads in (2, 3, 4):
        assert_same_bits(native(problem, threads), alone)
    last = native(problem.rows(slice(1, 2)), 3)
    assert_same_bits({"y": last["y"]}, {"y": alone["y"][: len(last["y"]), 1:]})
