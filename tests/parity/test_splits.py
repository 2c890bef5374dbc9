"""However a batch is split over threads, ragged or not: no crash, and the bits of one thread."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from splits import PATHS

PROGRAM = Path(__file__).with_name("splits.py")


@pytest.mark.parametrize("path", PATHS)
def test_a_grid_of_splits_equals_one_thread(path):
    # GATEWISE_GRID=full: the whole grid, as `make fuzz` has it.
    given = [path, os.environ.get("GATEWISE_GRID", "")]
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *given],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    said = done.stdout.splitlines()
    other = [call for call, word in pairwise(said) if word.startswith("OTHER")]
    assert not other
    assert done.returncode == 0, f"exit code {done.returncode} in {said[-1:]}\n{done.stderr}"
    assert len(said) > 300  # calls
