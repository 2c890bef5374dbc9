"""However a batch is split over threads, ragged or not: no crash, and the bits of one thread."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from splits import PATHS, run

from gatewise import Cell
from gatewise.nn import LSTM

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


@pytest.mark.parametrize("cell", [Cell(), Cell(layer_norm=True)], ids=["plain", "layer norm"])
@pytest.mark.parametrize("path", ["eval", "training"])
def test_a_long_ragged_call_of_several_passes_equals_one_thread_and_each_row_alone(path, cell):
    # A pass takes 1e9 operations (`Patience` in native/src/tape.h): these are some three.
    torch.manual_seed(0)
    lstm = LSTM(64, 128, bidirectional=True, cell=cell).train(path == "training")
    lengths = np.random.default_rng(0).integers(1, 401, 24).tolist()
    lengths[5] = 400
    x = torch.randn(400, 24, 64)
    alone = run(path, lstm, x, lengths)
    for threads in (2, 3, 16):
        torch.set_num_threads(threads)
        together = run(path, lstm, x, lengths)
        torch.set_num_threads(1)
        assert all(a.tobytes() == b.tobytes() for a, b in zip(alone, together, strict=True))
    for row in (0, 5, 23):
        y = lstm(x[: lengths[row], row : row + 1])[0].detach().numpy()
        assert np.array_equal(y, alone[0][: lengths[row], row : row + 1])
