"""A few of the random calls of tests/fuzz, of each kind."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", ["nn", "runtime", "core", "refused"])
def test_a_hundred_random_calls_do_what_they_must(kind):
    command = [sys.executable, "-m", "tests.fuzz.random_calls", "--count", "100", "--only", kind,
               "--seed", "11", "--jobs", "1"]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
