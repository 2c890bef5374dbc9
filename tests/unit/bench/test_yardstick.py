"""Ours on the plain case stands beside ours on another in one process, sample by sample."""

import contextlib

import pytest

from gatewise.bench import Case, Shape, pairs, summary, timing
from gatewise.bench.cells import CELLS
from gatewise.bench.peers import Prepared
from gatewise.bench.timing import Stopwatch
from gatewise.bench.worker import Worker
from gatewise.errors import BenchmarkError

SHAPE = Shape(3, 20, 5, 7)
CASES = [Case("inference", SHAPE, CELLS["hard"]), Case("training", SHAPE, CELLS["peephole"]),
         Case("training", SHAPE, ragged=True)]  # fmt: skip


class Clock:
    """Counts calls in place of seconds: each takes as many as its name is long."""

    def __init__(self, monkeypatch):
        self.now, self.log = 0.0, []
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(timing, "SAMPLE_S", 0.0)  # one call each
        monkeypatch.setattr(timing, "SLOW_S", 1e9)

    def watch(self, name):
        def call():
            self.log.append(name)
            self.now += len(name)

        @contextlib.contextmanager
        def context():
            self.log.append("(")
            yield
            self.log.append(")")

        return Stopwatch(Prepared(call, {}, context))


def test_samples_alternate_and_so_does_who_comes_first(monkeypatch):
    clock = Clock(monkeypatch)
    times = timing.interleaved([clock.watch("a"), clock.watch("bb")], 10.0)
    assert "".join(clock.log) == "(a(bb" + "abb" + "bba" + "abb" + "bba" + "))"
    assert times == [[1.0] * 4, [2.0] * 4]


def test_each_gives_a_sample_however_long_it_takes(monkeypatch):
    clock = Clock(monkeypatch)
    assert timing.interleaved([clock.watch("a"), clock.watch("bb")], 0.0) == [[1.0], [2.0]]


def test_our_process_runs_both_cases():
    with Worker("gatewise", 1) as worker:
        worker.wait()
        for case in CASES:
            ours, plain = worker.interleaved((case, case.plain), 0.002)
            assert len(ours) == len(plain) >= 1
            assert min(ours + plain) > 0
        with pytest.raises(BenchmarkError, match="gatewise failed: ValueError: it does not run"):
            worker.interleaved((Case("inference", SHAPE, ragged=True),), 0.002)
        assert worker.prepare(CASES[0]) is not None  # and goes on


class Stub:
    """A worker that drifts: each turn takes twice as long as the one before, ours or another's."""

    slowness = 1

    def __init__(self, seconds, breaks=False):
        self._seconds, self._breaks, self.asked = seconds, breaks, []

    def peak_gflops(self):
        return None

    def _now(self):
        Stub.slowness *= 2
        return Stub.slowness * self._seconds

    def turn(self, budget_s):
        return [self._now()]

    def interleaved(self, cases, budget_s):
        self.asked.append((cases, budget_s))
        if self._breaks:
            raise BenchmarkError("broke down")
        now = self._now()
        return [[k * now * (0.8 if case == case.plain else 1) for k in (1, 9, 2)] for case in cases]


@pytest.mark.parametrize("case", CASES)
def test_the_yardstick_is_timed_in_our_process_alone(case):
    ours, loop = Stub(1.0), Stub(3.0)
    timed = pairs.timed({"gatewise": ours, "torch-loop": loop}, case, 4, 0.1, pytest.fail)
    both = (case, case.plain)
    assert ours.asked == [(both[::-1], 0.4), (both, 0.4)] * 2
    assert loop.asked == []
    assert timed["times"].keys() == {"gatewise", "torch-loop", "gatewise-plain"}
    assert timed["times"]["gatewise-plain"]["samples"] == 4 * 3
    assert timed["times"]["gatewise"]["samples"] == 4 * 3 + 4
    assert [len(found) for found in timed["pairs"].values()] == [4, 4]
    row = {"mode": case.mode, **timed}
    assert summary.ratio(row, "gatewise-plain") == pytest.approx(0.8, abs=1e-3)
    assert summary.best_peer(row) == "torch-loop"


def test_a_plain_case_has_no_yardstick():
    ours = Stub(1.0)
    timed = pairs.timed({"gatewise": ours}, Case("training", SHAPE), 2, 0.1, pytest.fail)
    assert timed["times"].keys() == {"gatewise"}
    assert ours.asked == []


def test_a_yardstick_that_fails_is_told_and_the_others_go_on():
    told = {}
    crew = {"gatewise": Stub(1.0, breaks=True), "torch-loop": Stub(2.0)}
    timed = pairs.timed(crew, CASES[0], 3, 0.1, told.__setitem__)
    assert told == {"gatewise-plain": "broke down"}
    assert timed["times"].keys() == timed["pairs"].keys() | {"gatewise"} == {*crew}
    assert len(timed["pairs"]["torch-loop"]) == 3
