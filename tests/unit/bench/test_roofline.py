"""The shortest time that a case can take."""

import json
from pathlib import Path

import pytest

from gatewise.bench import Case, Shape, machine, roofline, summary
from gatewise.bench.roofline import limit

READS = {"L2": 80.0, "L3": 20.0}
RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"


@pytest.fixture(autouse=True)
def caches(monkeypatch):
    monkeypatch.setattr(roofline, "_cache_bytes", {1: 48 << 10, 2: 2 << 20}.__getitem__)


def test_a_large_batch_is_limited_by_its_multiply_adds():
    found = limit(Case("inference", Shape(64, 100, 64, 64)), 1, 100.0, READS)
    assert found.by == "multiply-adds"
    assert found.seconds == pytest.approx(8 * 64 * 100 * 64 * 128 / 100e9)
    half = limit(Case("inference", Shape(64, 100, 64, 64)), 2, 100.0, READS)
    assert half.seconds == pytest.approx(found.seconds / 2)


def test_one_row_reads_what_l1_cannot_keep_of_the_weights_of_h():
    found = limit(Case("inference", Shape(1, 100, 256, 128)), 1, 1e4, READS)
    assert found == ((16 * 128 * 128 - (48 << 10)) * 100 / 80e9, "L2")


def test_when_streaming_the_weights_of_x_are_read_too():
    alone = limit(Case("streaming", Shape(1, 1, 256, 256)), 1, 1e4, READS)
    assert alone.seconds == pytest.approx((16 * 256 * 512 - (48 << 10)) / 80e9)


def test_weights_beyond_l2_come_from_l3():
    found = limit(Case("inference", Shape(1, 10, 1, 1024)), 1, 1e4, READS)
    assert found == ((16 * 1024 * 1024 - (2 << 20)) * 10 / 20e9, "L3")


def test_two_directions_read_twice_and_training_reads_again():
    one = limit(Case("inference", Shape(1, 10, 1, 256)), 1, 1e6, READS).seconds
    both = limit(Case("inference", Shape(1, 10, 1, 256, bidirectional=True)), 1, 1e6, READS)
    assert both.seconds == pytest.approx(2 * one)
    assert limit(Case("training", Shape(1, 10, 1, 256)), 1, 1e6, READS).seconds == 2 * one


@pytest.mark.parametrize("path", sorted(RESULTS.glob("speed-*.json")), ids=lambda p: p.stem)
def test_no_row_of_the_published_results_is_beyond_its_limit(path):
    rows = json.loads(path.read_text())["rows"]
    shares = [share for row in rows if (share := summary.limit_fraction(row)) is not None]
    assert all(0 < share < 1 for share in shares)


def test_peaks_leave_the_instruction_set_as_it_was():
    before = machine.describe()["isa"]
    assert machine.peaks()["read_gbs"]["L2"] > 1
    assert machine.describe()["isa"] == before
