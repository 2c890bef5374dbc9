"""Whether figures keep their bounds."""

import pytest

from gatewise.bench import Case, Shape
from gatewise.bench.cells import CELLS
from gatewise.bench.targets import TARGETS, cost, verdicts

INFERENCE, CELL, LOOP, TUNED_INFERENCE, TUNED, COMPILED, PACKED, PER_STEP, DOUBLE = TARGETS


def row(case, threads=1, **ratios):
    """A row in which each peer takes so many times as long as ours."""
    times = {name.replace("_", "-"): {"median": value} for name, value in ratios.items()}
    pairs = {name: [[2.0, 2 * times[name]["median"]]] for name in times}
    times = {"gatewise": {"median": 1.0}} | times
    return {**case.to_dict(), "threads": threads, "times": times, "pairs": pairs}


def cell(B, H, mode="training", name="relu", **ratios):
    return row(Case(mode, Shape(B, 100, H, H), CELLS[name]), **ratios)


def ragged(B, H, **ratios):
    return row(Case("training", Shape(B, 100, H, H), ragged=True), **ratios)


def test_a_cell_may_take_15_percent_longer():
    near, far = cell(8, 32, gatewise_plain=0.88), cell(8, 32, gatewise_plain=0.86)
    assert cost(near) == pytest.approx(1 / 0.88)
    assert CELL.holds(near)
    assert not CELL.holds(far)
    assert CELL.worst([near, far]) is far
    assert INFERENCE.rows([near]) == []
    assert INFERENCE.rows([cell(8, 32, "inference", gatewise_plain=1.0)]) != []


@pytest.mark.parametrize(
    ("B", "H", "bound"),
    [(1, 32, 8), (32, 64, 8), (128, 32, 1.5), (32, 128, 1.5), (128, 256, 1.5)],
)
def test_a_loop_takes_eight_times_as_long_when_small(B, H, bound):
    assert LOOP.holds(cell(B, H, torch_loop=bound))
    assert not LOOP.holds(cell(B, H, torch_loop=bound - 0.01))


@pytest.mark.parametrize(
    ("B", "H", "bound"), [(8, 32, 4), (32, 128, 4), (32, 256, 1.5), (128, 32, 1.5)]
)
def test_the_packed_path_takes_four_times_as_long_when_small(B, H, bound):
    assert PACKED.holds(ragged(B, H, torch=bound))
    assert not PACKED.holds(ragged(B, H, torch=bound - 0.01))


def test_the_loop_as_people_write_it_and_the_fastest_are_judged_apart():
    found = cell(32, 64, torch_loop=9.0, torch_tuned_loop=0.99)
    assert LOOP.holds(found)
    assert not TUNED.holds(found)
    assert TUNED.holds(cell(32, 64, torch_loop=0.9, torch_tuned_loop=1.0))
    assert not TUNED_INFERENCE.holds(cell(1, 32, "inference", torch_tuned_loop=0.99))


def test_compiled_and_float64():
    assert COMPILED.holds(cell(1, 32, torch_compiled=1.01))
    assert not COMPILED.holds(cell(1, 32, torch_compiled=0.99))
    double = Case("training", Shape(32, 100, 64, 64), dtype="float64")
    assert DOUBLE.holds(row(double, torch=2.5))
    assert not DOUBLE.holds(row(double, torch=2.4))


def test_the_cost_of_a_ragged_batch_counts_its_valid_steps():
    found = ragged(32, 64, gatewise_plain=2.0)
    share = found["steps"] / 3200
    assert cost(found) == pytest.approx(0.5 / share)
    assert PER_STEP.holds(ragged(32, 64, gatewise_plain=1 / share / 1.14))
    assert not PER_STEP.holds(ragged(32, 64, gatewise_plain=1 / share / 1.16))


def test_what_was_not_measured_is_no_verdict():
    rows = [cell(8, 32, torch_loop=9.0), cell(8, 32, gatewise_plain=1.0)]
    assert LOOP.rows(rows) == rows[:1]
    assert CELL.rows(rows) == rows[1:]
    assert PACKED.worst(rows) is None
    with pytest.raises(ValueError, match="no figure"):
        LOOP.holds(rows[1])


def test_verdicts_are_for_each_number_of_threads():
    case = Case("training", Shape(8, 100, 32, 32), CELLS["hard"])
    rows = [row(case, n, gatewise_plain=1.0, torch_loop=2.0) for n in (1, 2)]
    found = verdicts({"rows": rows})
    assert [(target, threads) for target, threads, _ in found] == [
        (CELL, 1), (CELL, 2), (LOOP, 1), (LOOP, 2),
    ]  # fmt: skip
    assert [part for _, _, part in found] == [[rows[0]], [rows[1]]] * 2
