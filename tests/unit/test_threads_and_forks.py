"""Ten seconds of the crowd of tests/fuzz: threads, writers, forks and interrupts at once."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_ten_seconds_of_threads_and_forks_give_right_results_only():
    command = [sys.executable, "-m", "tests.fuzz.threads_and_forks", "--minutes", "0.16"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # It has really run; streams and training follow in longer runs of `make fuzz`.
    for kind in ("reader between two writes", "forked child", "interrupt"):
        assert kind in done.stdout
