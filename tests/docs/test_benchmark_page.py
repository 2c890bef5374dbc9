"""The page of figures is the one that the committed measurements make, and keeps the floor."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = "benchmarks/results/speed-avx512.json"
FLOOR = 1 / 1.5
"""Never slower than 1.5 times `torch.nn.LSTM`."""


@pytest.fixture(scope="module")
def result():
    return json.loads((ROOT / SOURCE).read_text())


def test_the_page_is_generated_from_the_measurements(result, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.report import markdown

    assert (ROOT / "docs/benchmarks/speed.md").read_text() == markdown(result, SOURCE)
    for name in [m for m in sys.modules if m.startswith("benchmarks")]:
        del sys.modules[name]


def test_every_shape_keeps_the_floor(result):
    ratios = [r["torch"]["median"] / r["gatewise"]["median"] for r in result["rows"]]
    assert len(ratios) == 44
    assert min(ratios) > FLOOR
