"""Steps by the million and training by the thousand leave the resident memory as it is."""

import gc
from pathlib import Path

import numpy as np
import pytest
import torch

from gatewise import runtime
from gatewise.nn import LSTM
from gatewise.weights import save_lstm

STATM = Path("/proc/self/statm")
PAGE = 4096
TOLERANCE = 2 << 20
"""Bytes that the allocator may come to hold; one leaked array per step would be a multiple."""

pytestmark = pytest.mark.skipif(not STATM.exists(), reason="the system has no /proc")


def resident():
    gc.collect()
    return int(STATM.read_text().split()[1]) * PAGE


def assert_flat(call, calls, tolerance=TOLERANCE):
    """A leak grows in every round; a large page of the system's, which comes at once, in one."""
    for _ in range(max(20, calls // 20)):
        call()
    least = float("inf")
    for _ in range(3):
        before = resident()
        for _ in range(calls):
            call()
        least = min(least, resident() - before)
        if least <= tolerance:
            return
    raise AssertionError(f"{least / calls:.1f} bytes for each of {calls} calls")


def assert_steps_are_flat(folder, steps):
    """Steps with and without `out`, of the model's dtype and another, on one thread and more."""
    save_lstm(LSTM(16, 64, num_layers=2), folder / "m")
    model = runtime.load(folder / "m")
    stream, out = model.stream(2), np.empty((2, 64), np.float32)
    x = np.ones((2, 16), np.float32)
    assert_flat(lambda: stream.step(x, out=out), steps, tolerance=TOLERANCE // 4)
    wide = x.astype(np.float64)
    assert_flat(lambda: (stream.step(wide), stream.state), steps // 10)


def assert_training_is_flat(steps, T=50, **kw):
    lstm = LSTM(16, 64, num_layers=2, dropout=0.1, **kw)
    optimiser = torch.optim.Adam(lstm.parameters(), fused=True)
    x = torch.randn(T, 32, 16)

    def step():
        optimiser.zero_grad()
        lstm(x)[0].square().mean().backward()
        optimiser.step()

    assert_flat(step, steps, tolerance=4 * TOLERANCE)


def test_twenty_thousand_steps_leave_memory_flat(tmp_path):
    assert_steps_are_flat(tmp_path, 20_000)


@pytest.mark.parametrize("kw", [{}, {"checkpoint_every": 10}], ids=repr)
def test_fifty_training_steps_leave_memory_flat(kw):
    assert_training_is_flat(50, T=20, **kw)


def test_tapes_of_just_over_a_megabyte_are_used_again():
    assert_training_is_flat(30, T=30)


@pytest.mark.slow
def test_a_million_steps_leave_memory_flat(tmp_path):
    assert_steps_are_flat(tmp_path, 1_000_000)


@pytest.mark.slow
@pytest.mark.parametrize("kw", [{}, {"checkpoint_every": 10}, {"bidirectional": True}], ids=repr)
def test_a_thousand_training_steps_leave_memory_flat(kw):
    assert_training_is_flat(1000, **kw)
