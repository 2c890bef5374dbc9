"""Peers in their processes: they agree with PyTorch, take turns, and are named if missing."""

import multiprocessing

import numpy as np
import pytest

from gatewise.bench import PEERS, Case, Plan, Shape, cases, measure, pairs, scaling, summary
from gatewise.bench.timing import spread
from gatewise.bench.worker import Worker
from gatewise.errors import BenchmarkError, ConfigError, MissingExtraError

SHAPES = tuple(map(Shape.parse, ("3x6x5x7", "2x5x3x4-l2-bi")))
STEP = Shape(1, 1, 5, 7)
INFERENCE = Case("inference", SHAPES[0])
QUICK = {"threads": (1,), "turns": 2, "turn_s": 0.001}


@pytest.fixture(scope="module")
def children():
    """Processes that other tests have left to be used again."""
    return set(multiprocessing.active_children())


@pytest.fixture(scope="module")
def result(children):
    return measure.run(Plan(cases(shapes=SHAPES), **QUICK), "typed")


def test_every_peer_that_is_there_agrees_with_torch(result):
    assert result["faults"] == []
    assert {*result["versions"], *result["missing"]} == {*PEERS}
    assert {"gatewise", "gatewise-runtime", "torch"} <= {*result["versions"]}


def test_every_peer_runs_what_it_can(result):
    there = {*result["versions"]}
    ran = {mode: set() for mode in ("inference", "training", "streaming", "training-step")}
    for row in result["rows"]:
        ran[row["mode"]] |= {*row["times"]}
    assert ran["inference"] == there
    assert ran["streaming"] == there
    assert ran["training"] == there - {
        "gatewise-runtime", "torch-lstmcell", "onnxruntime", "openvino",
    }  # fmt: skip
    assert ran["training-step"] == ran["training"] - {"jax"}


def test_times_are_spreads_of_many_calls(result):
    for row in result["rows"]:
        for times in row["times"].values():
            low, high = times["quartiles"]
            assert 0 < low <= times["median"] <= high < 1
            assert times["samples"] >= 2
    assert result["command"] == "typed"
    assert result["peaks"]["read_gbs"]["L2"] > 0.1


def test_quartiles_of_two_calls_lie_between_them():
    assert spread([1.0, 9.0])["quartiles"] == [3.0, 7.0]


def test_processes_end_with_the_run(children, result):
    assert set(multiprocessing.active_children()) <= children


def without(package, folder, monkeypatch):
    (folder / f"{package}.py").write_text("raise ImportError('blocked')\n")
    monkeypatch.syspath_prepend(folder)  # processes inherit it


def test_a_peer_that_is_not_installed_is_named(tmp_path, monkeypatch):
    without("onnx", tmp_path, monkeypatch)
    plan = Plan(
        cases(["inference"], SHAPES[:1]), peers=("gatewise-runtime", "onnxruntime"), **QUICK
    )
    result = measure.run(plan)
    assert result["missing"] == {"onnxruntime": "not installed (blocked)"}
    assert [*result["rows"][0]["times"]] == ["gatewise-runtime"]
    assert result["faults"] == []


def test_without_torch_the_extra_is_named(tmp_path, monkeypatch):
    without("torch", tmp_path, monkeypatch)
    with pytest.raises(MissingExtraError, match=r"pip install 'gatewise\[torch\]'"):
        measure.run(Plan(cases(["inference"], SHAPES[:1]), **QUICK))


def test_a_process_that_dies_is_told():
    with Worker("gatewise-runtime", 1) as worker:
        worker.wait()
        worker._process.kill()
        with pytest.raises(BenchmarkError, match="gatewise-runtime died"):
            worker.turn(0.01)


def test_a_peer_that_fails_says_why_and_goes_on():
    with Worker("torch", 1) as worker:
        worker.wait()
        with pytest.raises(BenchmarkError, match="torch failed: KeyError: 'dreaming'"):
            worker.prepare(Case("dreaming", SHAPES[0]))
        assert {*worker.prepare(Case("inference", SHAPES[0]))} == {"y"}


def test_ours_and_torch_are_timed_beside_a_busy_process(monkeypatch):
    monkeypatch.setattr(measure, "CONTENDED", cases(["training"], SHAPES[:1]))
    monkeypatch.setattr(scaling, "side_by_side", lambda *_: None)
    plan = Plan((), contended=True, peers=("gatewise",), **QUICK)
    (row,) = measure.run(plan)["contended"]
    assert row["mode"] == "training"
    assert row["quiet"].keys() == row["contended"].keys() == {"gatewise", "torch"}
    assert row["contended"]["torch"]["median"] > 0
    assert row["growth"]["torch"] > 0


class Stub:
    """A worker with a given answer; fails in its second turn if it is not lasting."""

    tolerance = 1e-3

    def __init__(self, answer=None, lasting=True):
        self._answer, self._lasting, self._turns = answer, lasting, 0

    def peak_gflops(self):
        return 100.0

    def turn(self, budget_s):
        self._turns += 1
        if not self._lasting and self._turns == 2:
            raise BenchmarkError("broke down")
        return [0.1]

    def prepare(self, case):
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def test_who_computes_something_else_is_left_out_and_told():
    y = np.linspace(-1, 1, 5)
    nan = np.where(y > 0, np.nan, y)
    crew = {
        "torch": Stub({"y": y}), "gatewise": Stub({"y": y + 1e-4}), "jax": Stub({"y": 1.1 * y}),
        "openvino": Stub({"y": nan}), "onnxruntime": Stub(BenchmarkError("broke")),
        "gatewise-runtime": Stub(None), "torch-no-mkldnn": Stub({"dx": y}),
    }  # fmt: skip
    told = {}
    case = cases(["inference"], SHAPES[:1])[0]
    assert [*measure._prepared(crew, case, crew, told.__setitem__)] == ["torch", "gatewise"]
    assert told["jax"] == "jax is 0.1 away from torch"
    assert told["onnxruntime"] == "broke"
    assert {*told} == {"jax", "openvino", "onnxruntime", "torch-no-mkldnn"}


def test_who_fails_in_a_turn_is_out_and_the_others_go_on():
    told = {}
    crew = {"gatewise": Stub(), "jax": Stub(lasting=False)}
    row = pairs.timed(crew, INFERENCE, 3, 0.1, told.__setitem__)
    assert {*row["times"]} == {"gatewise"}
    assert row["times"]["gatewise"]["samples"] == 3
    assert row["pairs"] == {}
    assert row["peak_gflops"] == 100.0
    assert told == {"jax": "broke down"}


class Drifting(Stub):
    """A worker on a machine that is three times slower in every second stretch of four turns."""

    clock = 0

    def __init__(self, seconds):
        super().__init__()
        self._seconds = seconds

    def turn(self, budget_s):
        slow = Drifting.clock // 4 % 2
        Drifting.clock += 1
        return [self._seconds * (3 if slow else 1)] * 5


def test_ratios_hold_on_a_machine_whose_speed_drifts():
    crew = {"torch": Drifting(2.0), "gatewise": Drifting(1.0), "gatewise-runtime": Drifting(0.5),
            "jax": Drifting(1.5), "openvino": Drifting(4.0)}  # fmt: skip
    timed = pairs.timed(crew, INFERENCE, 9, 0.1, lambda *_: None)
    row = {"mode": "inference", **timed}
    assert {len(found) for found in timed["pairs"].values()} == {9}
    expected = {"torch": 2.0, "jax": 1.5, "openvino": 4.0, "gatewise-runtime": 0.5}
    assert {peer: summary.ratio(row, peer) for peer in timed["pairs"]} == expected
    assert summary.best_peer(row) == "jax"
    assert timed["times"]["jax"]["samples"] == 45
    assert timed["times"]["gatewise"]["samples"] == 4 * 45


def test_the_runtime_is_what_peers_stand_beside_when_streaming():
    crew = {"gatewise": Stub(), "gatewise-runtime": Stub(), "torch": Stub()}
    timed = pairs.timed(crew, Case("streaming", STEP), 2, 0.1, lambda *_: None)
    assert timed["pairs"].keys() == {"gatewise", "torch"}


def test_without_ours_there_are_no_pairs():
    crew = {"gatewise": Stub(lasting=False), "gatewise-runtime": Stub(), "torch": Stub()}
    timed = pairs.timed(crew, INFERENCE, 3, 0.1, lambda *_: None)
    assert timed["pairs"] == {}
    assert timed["times"].keys() == {"gatewise-runtime", "torch"}


def test_ours_alone_is_timed_too():
    timed = pairs.timed({"gatewise": Stub()}, Case("training", SHAPES[0]), 2, 0.1, lambda *_: None)
    assert timed["times"]["gatewise"]["samples"] == 2


def test_two_cores_are_timed_at_once():
    if measure.machine.core_count() < 2:
        pytest.skip("one core")
    found = scaling.side_by_side(2, 0.01, cases(["inference"], SHAPES)[0])
    assert len(found["speeds"]) == 2
    assert 0.2 < found["median"] < 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"peers": ("gatewise", "torhc")}, "Did you mean 'torch'"),
        ({"peers": ("torch",)}, "one of ours"),
        ({"threads": (0,)}, "at least 1"),
        ({"threads": ()}, "at least 1"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Plan(**options)
