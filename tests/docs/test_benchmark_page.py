"""The published figures are those that the committed measurements make, and keep the floor."""

import json
import sys
from pathlib import Path

import pytest

from gatewise import Cell
from gatewise.bench import GRID, MODES, restored, summary, variants
from gatewise.bench.cells import CELLS, COMPILED
from gatewise.bench.grid import MAIN
from gatewise.bench.targets import TARGETS

ROOT = Path(__file__).parents[2]
SOURCES = ["benchmarks/results/speed-avx512.json", "benchmarks/results/speed-avx512bf16.json"]
"""An Intel Xeon and an AMD EPYC."""
MKDOCS = (ROOT / "mkdocs.yml").read_text()
CELLS_SOURCE = "benchmarks/results/cells-avx512.json"
FLOOR = 1 / 1.5
"""On the grid never slower than 1.5 times `torch.nn.LSTM`; a page lists every loss elsewhere."""


@pytest.fixture(scope="module", params=SOURCES)
def source(request):
    return request.param


@pytest.fixture(scope="module")
def result(source):
    return json.loads((ROOT / source).read_text())


@pytest.fixture
def report(monkeypatch):
    """What generates them; it stands beside the package, not in it."""
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import report

    yield report
    for name in [m for m in sys.modules if m.split(".")[0] == "benchmarks"]:
        del sys.modules[name]


# A failure of these: `python -m benchmarks --publish`. A new machine: name its file in SOURCES, and
# its page in mkdocs.yml.


def test_all_machines_are_published(report):
    runs = report.whole_runs(ROOT / "benchmarks/results")
    assert [path.relative_to(ROOT).as_posix() for path in runs] == SOURCES


def test_the_page_is_generated_from_the_measurements(source, result, report):
    page = ROOT / report.page_file(Path(source))
    assert page.read_text() == report.page(result, source)
    assert report.page_file(Path(source)).relative_to("docs").as_posix() in MKDOCS


def test_a_row_without_a_limit_has_none_on_the_page(source, result, report):
    rows = [dict(row) for row in result["rows"]]
    del rows[0]["limit"]
    rows[0]["peak_gflops"] = None
    page = report.page({**result, "rows": rows}, source)
    assert page.count("multiply-adds |") == report.page(result, source).count("multiply-adds |") - 1


def test_the_block_of_the_readme_is_generated_from_the_measurements(report):
    readme = (ROOT / "README.md").read_text()
    assert readme == report.with_block(readme, report.whole_runs(ROOT / "benchmarks/results"))
    assert readme.index(report.OPEN) < readme.index(report.CLOSE)


def test_a_machine_may_lack_what_another_one_has(report):
    runs = report.whole_runs(ROOT / "benchmarks/results")
    first, second = runs.values()
    one = [row for row in first["rows"] if row["threads"] == 1]
    block = report.with_block("", dict(zip(runs, ({**first, "rows": one}, second), strict=True)))
    lines = [line.split("|") for line in block.splitlines() if line.startswith("| inference")]
    assert {(len(line), line[2] == line[3] == "  ") for line in lines} == {(7, False), (7, True)}


def test_the_picture_was_drawn_from_the_measurements(source, report):
    picture = (ROOT / report.picture_file(Path(source))).read_bytes()
    assert report.fingerprint((ROOT / source).read_text()).encode() in picture
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


def test_every_loss_is_listed(source, result, report):
    page = report.page(result, source)
    lost = [row for row in result["rows"] if summary.ratio(row) < 1]
    listed = page.split("## In short")[1].split("## Inference")[0]
    for row in lost:
        start = f"| {row['mode']} | {summary.shape(row).name} | {row['threads']} |"
        assert start in listed


# --- Cells, ragged batches, float64: `python -m benchmarks.cells --publish <the JSON>` ------------


@pytest.fixture
def cells(report):
    """What generates that page; leaves with `report`."""
    from benchmarks.cells import picture
    from benchmarks.cells import report as tables

    return tables, picture


@pytest.fixture(scope="module")
def cells_result():
    """Made up: every peer takes three times as long as ours, and so does the plain case."""
    rows = []
    for case in variants():
        plain = {} if case == case.plain else {"gatewise-plain": 3.0}
        loop = dict.fromkeys(
            ["torch"] if case.cell.is_default else ["torch-loop", "torch-tuned-loop"], 3.0
        )
        if case.cell == CELLS[COMPILED] and case.mode == "training":
            loop["torch-compiled"] = 3.0
        times = {"gatewise": 1.0} | plain | loop
        rows += [
            {
                **case.to_dict(),
                "threads": threads,
                "times": {name: {"median": value} for name, value in times.items()},
                "pairs": {name: [[1.0, 3.0]] for name in plain | loop},
            }
            for threads in (1, 2)
        ]
    machine = {"processor": "P", "cores": 2, "isa": "avx512", "system": "S", "python": "3"}
    return {
        "machine": machine, "command": "c", "date": "d", "turns": 1, "turn_s": 0.1,
        "peaks": {"gflops": {}, "read_gbs": {}}, "versions": {}, "missing": {},
        "faults": [{"peer": "torch", "mode": "training", "shape": "1x1x1x1",
                    "cell": {"coupled": True}, "threads": 1, "fault": "broke"}],
        "rows": rows,
    }  # fmt: skip


def test_the_page_of_cells_is_generated_from_its_measurements(report, cells):
    tables, _ = cells
    page = (ROOT / "docs/benchmarks/cells.md").read_text()
    measured = ROOT / CELLS_SOURCE
    body = "Not measured yet."
    if measured.exists():
        body = tables.block(restored(json.loads(measured.read_text())), CELLS_SOURCE)
        picture = (ROOT / "docs/images/cells.png").read_bytes()
        assert report.fingerprint(measured.read_text()).encode() in picture
        assert len(picture) < 300_000
    assert page == report.between(page, tables.OPEN, tables.CLOSE, body)
    assert page.count(tables.OPEN) == page.count(tables.CLOSE) == 1


def test_the_page_of_cells_names_what_is_measured():
    page = (ROOT / "docs/benchmarks/cells.md").read_text()
    for name in CELLS:
        assert f"| {name} |" in page


def test_the_measurements_of_cells_are_short_and_say_what_the_names_mean():
    text = (ROOT / CELLS_SOURCE).read_text()
    assert len(text) < 250_000
    result = json.loads(text)
    assert {name: Cell(**changed) for name, changed in result["cells"].items()} == CELLS
    assert {row["cell"] for row in result["rows"] if "cell" in row} == {*CELLS}


def test_every_target_is_judged_and_misses_are_marked(cells, cells_result):
    text = cells[0].tables(cells_result)
    summary_, matrices = text.split("## Where each target holds")
    for target in TARGETS:
        assert summary_.count(f"| {target.title} |") == 2
        assert f"### {target.title[0].upper()}{target.title[1:]}: " in matrices
    # Three times as long is enough but for the small shapes, where 8 and 4 are asked.
    assert "| eager PyTorch loop ÷ ours, training | ≥ 8 or 1.5 | 1 | **70 of 112** |" in summary_
    tuned = "| fastest eager loop we could write ÷ ours, training | ≥ 1 | 1 | 112 of 112 |"
    assert tuned in summary_
    assert "| PyTorch's packed path ÷ ours, ragged training | ≥ 4 or 1.5 | 2 | **6 of" in summary_
    assert "| `torch.nn.LSTM` ÷ ours, float64 training | ≥ 2.5 | 1 | 1 of 1 |" in summary_
    loops = matrices.split("### Eager")[1].split("###")[0]
    assert "| 1 | 32 | **3.00** | **3.00** | 3.00 | 3.00 |" in loops
    assert "| 1 | 128 | 3.00 | 3.00 | 3.00 | 3.00 |" in loops
    assert "**Left out**, training 1x1x1x1 {'coupled': True}: broke." in text


def test_every_figure_of_cells_stands_in_a_table(cells, cells_result):
    text = cells[0].tables(cells_result)
    costs = text.split("## Training, 2 threads: each cell's time")[1].split("##")[0]
    assert costs.count("\n| ") == 1 + 16
    assert "| 8x100x32x32 | 3000 |" + " 0.33 |" * len(CELLS) in costs
    ragged = text.split("## Ragged training, 1 thread")[1].split("##")[0]
    assert ragged.count(" | 3.00 | 0.") == 12


def test_the_picture_of_cells_is_drawn(cells, cells_result, tmp_path):
    cells[1].draw(cells_result, tmp_path / "cells.png", "where from")
    assert b"where from" in (tmp_path / "cells.png").read_bytes()


def test_the_picture_of_cells_is_drawn_of_a_part(cells, cells_result, tmp_path):
    rows = [row for row in cells_result["rows"] if row["threads"] == 1 and "cell" in row]
    cells[1].draw({**cells_result, "rows": rows}, tmp_path / "cells.png", "where from")
    assert (tmp_path / "cells.png").exists()
