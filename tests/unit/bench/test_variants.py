"""Which cells, ragged batches and dtypes are measured, and what a case tells of itself."""

import numpy as np
import pytest

from gatewise import Cell
from gatewise.bench import Case, Shape, summary
from gatewise.bench.cells import CELLS, COMPILED
from gatewise.bench.problem import make_problem
from gatewise.bench.variants import variants
from gatewise.cell import SITES

SIZES = {(B, H) for B in (1, 8, 32, 128) for H in (32, 64, 128, 256)}


def sizes(cases):
    return {(case.shape.B, case.shape.H) for case in cases}


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("name", CELLS)
def test_every_cell_is_measured_in_every_shape(mode, name):
    cases = [c for c in variants() if c.mode == mode and c.cell == CELLS[name]]
    assert sizes(cases) == SIZES
    assert len(cases) == len(SIZES)
    assert {(c.shape.T, c.shape.I - c.shape.H, c.ragged, c.dtype) for c in cases} == {
        (100, 0, False, "float32")
    }


def test_ragged_and_float64_are_measured_where_promised():
    ragged = [case for case in variants() if case.ragged]
    assert sizes(ragged) == {size for size in SIZES if size[0] > 1}
    doubles = [case for case in variants() if case.dtype == "float64"]
    assert sizes(doubles) == {(32, 64)}
    assert {case.mode for case in ragged + doubles} == {"training"}


def test_a_quick_run_is_a_part_of_the_whole():
    assert {*variants(quick=True)} < {*variants()}
    assert {(c.cell.is_default, c.ragged, c.dtype) for c in variants(quick=True)} == {
        (False, False, "float32"), (True, True, "float32"), (True, False, "float64"),
    }  # fmt: skip
    assert CELLS[COMPILED] in {case.cell for case in variants(quick=True)}


def test_the_cells_cover_what_can_be_other():
    for site in SITES:
        assert any(getattr(cell, site) != getattr(Cell(), site) for cell in CELLS.values())
    different = {getattr(CELLS["all different"], site) for site in SITES}
    assert len(different) == len(SITES)
    assert len({*CELLS.values(), Cell()}) == len(CELLS) + 1


def test_lengths_are_even_from_a_tenth_on_and_the_same_every_time():
    case = Case("training", Shape(2000, 100, 3, 4), ragged=True)
    lengths = np.array(case.lengths)
    assert (lengths.min(), lengths.max()) == (10, 100)
    assert abs(lengths.mean() - 55) < 2
    assert case.lengths == Case("training", Shape(2000, 100, 8, 9), ragged=True).lengths
    assert case.plain.lengths == (100,) * 2000


def test_operations_of_a_ragged_case_are_those_of_its_valid_steps():
    case = Case("training", Shape(3, 20, 4, 5), ragged=True)
    assert sum(case.lengths) < 60
    assert case.flops == pytest.approx(case.plain.flops * sum(case.lengths) / 60)


def test_a_row_tells_its_case():
    case = Case("training", Shape(3, 20, 4, 5), CELLS["peephole"], dtype="float64")
    row = case.to_dict()
    assert summary.shape(row) == case.shape
    assert (row["cell"], row["dtype"]) == ("peephole", "float64")
    assert "steps" not in row
    unnamed = Case("training", case.shape, Cell(output_gate="relu"))
    assert unnamed.to_dict()["cell"] == "Cell(output_gate='relu')"
    assert Case("training", case.shape, ragged=True).to_dict()["steps"] > 6
    assert {*case.plain.to_dict()} == {"mode", "shape", "flops", "dtype"}


def test_a_problem_has_the_parameters_and_the_dtype_of_its_case():
    case = Case("training", Shape(3, 7, 4, 5), CELLS["peephole"], dtype="float64")
    problem = make_problem(case)
    assert problem.weights["weight_peephole_l0"].shape == (3, 5)
    arrays = [*problem.weights.values(), problem.x, problem.dy]
    assert {array.dtype for array in arrays} == {np.dtype("float64")}
    single = make_problem(Case("training", Shape(3, 7, 4, 5)))
    assert single.x.dtype == np.float32
    np.testing.assert_array_equal(single.weights["bias_hh_l0"].shape, (20,))
