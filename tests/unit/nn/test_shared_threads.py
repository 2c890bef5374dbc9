"""Calls run on the threads of PyTorch's OpenMP team, and on ours where there is none."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import gatewise.nn
from gatewise import _native

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks the team up as on Linux")

FORKED = """
import os, sys, torch, gatewise.nn
torch.manual_seed(0)
torch.set_num_threads(4)
lstm, x = gatewise.nn.LSTM(32, 64), torch.randn(50, 32, 32)
with torch.no_grad():
    expected = lstm(x)[0].numpy().tobytes()  # PyTorch's own operators would hang in the child
    torch.ones(1 << 20).add_(1)  # PyTorch's team, at work before the fork
    pid = os.fork()
    same = lstm(x)[0].numpy().tobytes() == expected
    if pid == 0:
        os._exit(0 if same else 3)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) or (0 if same else 4))
"""


@pytest.fixture
def lstm():
    torch.manual_seed(0)
    return gatewise.nn.LSTM(32, 64)


@pytest.fixture(autouse=True)
def threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_pytorch_s_team_is_found():
    assert _native.share_openmp_threads()


def test_the_bits_are_those_of_one_thread_however_large_the_team(lstm):
    x = torch.randn(40, 48, 32)
    found = []
    for threads in (1, 2, 3, 16, 5, 1, 8):
        torch.set_num_threads(threads)
        lstm.zero_grad()
        y, _ = lstm(x)
        y.sum().backward()
        found.append([y.detach(), *(p.grad.clone() for p in lstm.parameters())])
    assert all(all(map(torch.equal, other, found[0])) for other in found)


def test_many_callers_at_once_have_the_bits_of_one(lstm):
    torch.set_num_threads(4)
    x = torch.randn(40, 48, 32)
    with torch.no_grad():
        expected = lstm(x)[0]

    def call(_):
        with torch.no_grad():
            return lstm(x)[0]

    with ThreadPoolExecutor(6) as pool:
        assert all(torch.equal(y, expected) for y in pool.map(call, range(60)))


def test_the_child_of_a_fork_has_threads_of_its_own():
    done = subprocess.run([sys.executable, "-c", FORKED], timeout=60, check=False)
    assert done.returncode == 0


LATE = """
import os, sys, time, torch
torch.set_num_threads(4)
torch.ones(1 << 20).add_(1)  # a team that the child will not have
pid = os.fork()
if pid == 0:
    import gatewise.nn
    with torch.no_grad():
        y, _ = gatewise.nn.LSTM(32, 64)(torch.ones(50, 16, 32))  # PyTorch fills more on its team
    os._exit(0 if y.shape == (50, 16, 64) else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_child_that_imports_the_module_only_then_has_threads_of_its_own():
    done = subprocess.run([sys.executable, "-c", LATE], timeout=100, check=False)
    assert done.returncode == 0


COUNTED = """
import threading, torch, gatewise.nn
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

def count():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Threads:"))

lstm, x = gatewise.nn.LSTM(32, 64), torch.randn(50, 96, 32)

def call(_=None):
    torch.set_num_threads(5)
    with torch.no_grad():
        lstm(x)
"""


def run(program):
    done = subprocess.run(
        [sys.executable, "-c", COUNTED + program],
        timeout=100,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_call_starts_no_threads_beside_the_team():
    run("""
torch.set_num_threads(5)
torch.ones(1 << 20).add_(1)
before = count()
call()
assert count() == before, (before, count())
""")


def test_callers_that_take_turns_do_not_each_leave_a_team():
    run("""
call()
before = count()
with ThreadPoolExecutor(6) as pool:
    for _ in range(6):
        list(pool.map(call, range(6)))
    # The callers, and workers of ours that they share.
    assert count() <= before + 6 + 4, (before, count())
""")


def test_the_team_passes_on_when_the_thread_that_has_it_ends():
    run("""
first = threading.Thread(target=call)
first.start()
first.join()
torch.set_num_threads(5)
torch.ones(1 << 20).add_(1)
before = count()
call()
assert count() <= before, (before, count())  # those of the ended team may still be going
""")
