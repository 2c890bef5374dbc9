"""The page on verification, against the raw rows."""

import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("family", "name", "series"),
    [
        ("walk", "random walk, 400 rows", 200),
        ("autoregression", "AR(1), φ = .7, 400 rows", 200),
        ("garch", "GARCH(1, 1), 400 rows", 200),
        ("seasonal", "seasonal, 180 months", 200),
        ("panel", "10 panels of 24 walks with shared shocks, 120 rows", 240),
    ],
)
def test_the_table_of_intervals_follows_from_its_rows(family, name, series):
    lines = (ROOT / "benchmarks/results/intervals.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["family"] == family]
    cells = [name, f"{len(rows) * (24 if family == 'panel' else 1)}"]
    assert cells[1] == str(series)
    for level in (80, 95):
        covered = float(np.mean([row[f"coverage-{level}"] for row in rows]))
        assert abs(covered - level / 100) < (0.04 if level == 80 else 0.03)
        cells.append(f"{100 * covered:.1f} %")
    for level in (80, 95):
        width = float(np.median([np.median(row[f"ratio-{level}"]) for row in rows]))
        assert width < 1.35
        cells.append(f"{width:.2f}")
    assert f"| {' | '.join(cells)} |" in (ROOT / "docs/verification.md").read_text()
    if family != "autoregression":
        assert not any(row[f"falls-{level}"] for row in rows for level in (80, 95))
