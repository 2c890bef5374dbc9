"""The PyTorch loops against the reference; cells, ragged batches and float64 side by side."""

import numpy as np
import pytest
import torch

from gatewise import Cell, reference
from gatewise.bench import VARIANT_PEERS, Case, Plan, Shape, measure
from gatewise.bench.cells import CELLS, COMPILED
from gatewise.bench.peers import CELL_PEERS, torch_cells
from gatewise.bench.problem import make_problem
from gatewise.errors import BenchmarkError, ConfigError
from gatewise.weights import PARAMETER_NAMES

SHAPE = Shape(3, 20, 5, 7)
MORE = [Cell(output_gate="one"), Cell(coupled=True, input_gate="one"), Cell(forget_gate="one"),
        Cell(candidate="one", peephole=True), Cell(peephole=True, coupled=True)]  # fmt: skip


def expected(problem, cell):
    """Outputs and gradients by the reference, under the names of `Prepared`."""
    names = {k: f"{v}_l0" for k, v in PARAMETER_NAMES.items() if f"{v}_l0" in problem.weights}
    w = reference.weights(**{k: problem.weights[name] for k, name in names.items()})
    run = reference.forward(problem.x, w, cell=cell)
    gradients = reference.backward(run, problem.dy)
    found = {f"d{name}": getattr(gradients.weights, k) for k, name in names.items()}
    return run.y, found | {"dx": gradients.x}


def bound(cell):
    """PyTorch's hardsigmoid rounds 1/6 to float32."""
    return 1e-7 if "hard_sigmoid" in repr(cell) else 1e-12


@pytest.mark.parametrize("name", ["torch-loop", "torch-tuned-loop"])
@pytest.mark.parametrize("cell", [*CELLS.values(), *MORE], ids=repr)
def test_the_loops_compute_the_reference(name, cell):
    peer = torch_cells.load(name, torch.get_num_threads())
    case = Case("training", SHAPE, cell, dtype="float64")
    y, gradients = expected(make_problem(case), cell)
    assert measure.deviation(peer.prepare(make_problem(case)).outputs, gradients) < bound(cell)
    inference = Case("inference", SHAPE, cell, dtype="float64")
    outputs = peer.prepare(make_problem(inference)).outputs
    assert measure.deviation(outputs, {"y": y}) < bound(cell)


@pytest.mark.parametrize(("B", "row_size"), [(3, 4 * 7), (127, 4 * 7), (128, 5)])
def test_the_compiled_loop_is_the_faster_one_and_runs_piece_by_piece(monkeypatch, B, row_size):
    sizes = []

    def compiled(run, dynamic):
        assert not dynamic
        return lambda rows, *rest: sizes.append(tuple(rows.shape)) or run(rows, *rest)

    monkeypatch.setattr(torch, "compile", compiled)
    peer = torch_cells.load("torch-compiled", torch.get_num_threads())
    case = Case("training", Shape(B, 20, 5, 7), CELLS[COMPILED], dtype="float64")
    outputs = peer.prepare(make_problem(case)).outputs
    gradients = expected(make_problem(case), CELLS[COMPILED])[1]
    assert measure.deviation(outputs, gradients) < bound(CELLS[COMPILED])
    assert sizes == [(10, B, row_size)] * 2  # the tuned loop's rows are products, the plain one's x
    for other in (Case("inference", SHAPE, CELLS[COMPILED]), Case("training", SHAPE, MORE[0])):
        assert peer.prepare(make_problem(other)) is None


@pytest.mark.parametrize("name", CELL_PEERS)
def test_the_loops_leave_plain_cases_to_others(name):
    peer = torch_cells.load(name, torch.get_num_threads())
    assert peer.prepare(make_problem(Case("training", SHAPE))) is None


@pytest.fixture(scope="module")
def result():
    cases = (
        Case("inference", SHAPE, CELLS["peephole"]),
        Case("training", SHAPE, CELLS["no input gate"]),
        Case("training", SHAPE, ragged=True),
        Case("training", SHAPE, dtype="float64"),
    )
    peers = tuple(peer for peer in VARIANT_PEERS if peer != "torch-compiled")  # takes 10 s
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            measure, "_peaks", lambda: {"read_gbs": {"L2": 60.0, "L3": 20.0}}
        )  # takes seconds
        return measure.run(Plan(cases, (1,), peers, turns=2, turn_s=0.001))


def test_all_agree_and_each_stands_where_it_belongs(result):
    assert result["faults"] == []
    cell = {"gatewise", "gatewise-plain", "torch-loop", "torch-tuned-loop"}
    assert [{*row["times"]} for row in result["rows"]] == [
        cell, cell, {"gatewise", "gatewise-plain", "torch"}, {"gatewise", "torch"},
    ]  # fmt: skip
    assert result["cells"] == {
        "peephole": {"peephole": True}, "no input gate": {"input_gate": "one"},
    }  # fmt: skip
    for row in result["rows"]:
        assert {*row["pairs"]} == {*row["times"]} - {"gatewise"}


class Stub:
    tolerance = 1e-3

    def __init__(self, answer):
        self._answer = answer

    def prepare(self, case):
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


Y = {"y": np.linspace(-1, 1, 5)}
NEAR, FAR = ({"y": Y["y"] + off} for off in (1e-4, 0.01))


@pytest.mark.parametrize(
    ("case", "answers", "agreed", "told"),
    [
        # Another cell is checked by the loop.
        (Case("inference", SHAPE, CELLS["softsign"]), (NEAR, Y, None), "gatewise torch-loop", {}),
        (Case("inference", SHAPE, CELLS["softsign"]), (FAR, Y, None), "torch-loop",
         {"gatewise": "gatewise is 0.01 away from torch-loop"}),
        # Derivatives jump at kinks; values do not.
        (Case("training", SHAPE, CELLS["relu"]), (FAR, Y, None), "gatewise torch-loop", {}),
        (Case("inference", SHAPE, CELLS["relu"]), (FAR, Y, None), "torch-loop",
         {"gatewise": "gatewise is 0.01 away from torch-loop"}),
        (Case("training", SHAPE, dtype="float64"), (NEAR, None, Y), "torch",
         {"gatewise": "gatewise is 0.0001 away from torch"}),
        (Case("training", SHAPE, CELLS["relu"]), (Y, BenchmarkError("broke"), None), "",
         {"torch-loop": "broke"}),
    ],
)  # fmt: skip
def test_numbers_are_checked_by_whoever_has_the_cell(case, answers, agreed, told):
    names = ("gatewise", "torch-loop", "torch")
    crew = {name: Stub(answer) for name, answer in zip(names, answers, strict=True)}
    faults = {}
    found = measure._prepared(crew, case, crew, faults.__setitem__)
    assert [*found] == agreed.split()
    assert faults == told


def test_other_cells_without_the_loop_are_refused():
    with pytest.raises(ConfigError, match="expected torch-loop among them"):
        Plan((Case("inference", SHAPE, CELLS["relu"]),), peers=("gatewise", "torch"))
