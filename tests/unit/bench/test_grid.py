"""Names of shapes, and which cases a choice makes."""

import pytest

from gatewise.bench.grid import CONTENDED, GRID, MAIN, MODES, QUICK, Case, Shape, cases
from gatewise.errors import ConfigError


@pytest.mark.parametrize("shape", [s for grid in (GRID, QUICK) for m in MODES for s in grid[m]])
def test_a_shape_reads_back_from_its_name(shape):
    assert Shape.parse(shape.name) == shape


@pytest.mark.parametrize(
    "text", ["", "32x100x16", "32x100x16x0", "0x1x1x1", "1x1x1x1-l0", "axbxcxd"]
)
def test_what_is_no_shape_is_refused(text):
    with pytest.raises(ConfigError, match="expected BxTxIxH"):
        Shape.parse(text)


def test_operations_are_those_of_the_matrix_products():
    one = Shape(2, 3, 4, 5)
    assert one.flops == 2 * 2 * 3 * (4 * 5) * (4 + 5)
    assert Shape(2, 3, 4, 5, bidirectional=True).flops == 2 * one.flops
    both = Shape(2, 3, 4, 5, layers=2, bidirectional=True).flops
    assert both == 2 * one.flops + 2 * Shape(2, 3, 10, 5).flops
    assert Case("training", one).flops == 3 * Case("inference", one).flops


def test_the_grid_holds_what_is_promised():
    names = {shape.name for shape in GRID["inference"]}
    assert {f"{b}x100x{h}x{h}" for b in (2, 4, 8) for h in (64, 128, 256)} < names
    assert {"1x100x64x64-l2", "32x100x16x64-l2", "1x100x64x64-bi", "32x100x64x64-bi"} < names
    assert len(names) == 24
    assert len(MAIN) == 11
    assert GRID["inference"][:11] == MAIN
    assert GRID["training"] == GRID["inference"]
    assert {case.shape.name for case in CONTENDED} == {"32x100x128x128"}


def test_streaming_takes_sizes_and_leaves_directions():
    shapes = [Shape(32, 100, 3, 8), Shape(1, 50, 3, 8), Shape(1, 1, 3, 8, bidirectional=True)]
    assert cases(["streaming"], shapes) == (Case("streaming", Shape(1, 1, 3, 8)),)


def test_a_mode_that_is_none_suggests_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'training'"):
        cases(["trainig"])
