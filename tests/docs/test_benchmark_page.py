"""The published figures are those that the committed measurements make, and keep the floor."""

import json
import sys
from pathlib import Path

import pytest

from gatewise.bench import GRID, MODES, summary
from gatewise.bench.grid import MAIN

ROOT = Path(__file__).parents[2]
SOURCE = "benchmarks/results/speed-avx512.json"
FLOOR = 1 / 1.5
"""On the grid never slower than 1.5 times `torch.nn.LSTM`; a page lists every loss elsewhere."""


@pytest.fixture(scope="module")
def result():
    return json.loads((ROOT / SOURCE).read_text())


@pytest.fixture
def report(monkeypatch):
    """What generates them; it stands beside the package, not in it."""
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import report

    yield report
    for name in [m for m in sys.modules if m.split(".")[0] == "benchmarks"]:
        del sys.modules[name]


# A failure of these: `python -m benchmarks --publish benchmarks/results/speed-avx512.json`.


def test_the_page_is_generated_from_the_measurements(result, report):
    assert (ROOT / "docs/benchmarks/speed.md").read_text() == report.page(result, SOURCE)


def test_the_block_of_the_readme_is_generated_from_the_measurements(result, report):
    readme = (ROOT / "README.md").read_text()
    assert readme == report.with_block(readme, result)
    assert readme.index(report.OPEN) < readme.index(report.CLOSE)


def test_the_picture_was_drawn_from_the_measurements(report):
    picture = (ROOT / "docs/images/speed.png").read_bytes()
    assert report.fingerprint((ROOT / SOURCE).read_text()).encode() in picture
    assert len(picture) < 300_000


def test_the_picture_is_drawn(result, report, tmp_path):
    from benchmarks.picture import draw

    draw(result, tmp_path / "speed.png", "where from")
    assert b"where from" in (tmp_path / "speed.png").read_bytes()


def test_all_was_measured(result):
    assert result["faults"] == []
    assert {"gatewise", "torch", "onnxruntime", "openvino", "jax"} <= {*result["versions"]}
    for mode in MODES:
        for threads in (1, 2):
            rows = [r for r in result["rows"] if (r["mode"], r["threads"]) == (mode, threads)]
            assert tuple(map(summary.shape, rows)) == GRID[mode]
    assert {row["mode"] for row in result["contended"]} == {"inference", "training"}


def test_every_shape_of_the_grid_keeps_the_floor(result):
    rows = [r for r in result["rows"] if summary.shape(r) in MAIN]
    assert len(rows) >= 44
    assert min(summary.ratio(row, "torch") for row in rows) > FLOOR


def test_every_loss_is_listed(result, report):
    page = report.page(result, SOURCE)
    lost = [row for row in result["rows"] if summary.ratio(row) < 1]
    listed = page.split("## In short")[1].split("## Inference")[0]
    for row in lost:
        start = f"| {row['mode']} | {summary.shape(row).name} | {row['threads']} |"
        assert start in listed
