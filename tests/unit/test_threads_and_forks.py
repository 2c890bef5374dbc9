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


def test_a_program_may_end_while_daemon_threads_compute():
    program = """
import sys, threading, time
import numpy as np
import torch
from gatewise.runtime import Model
from gatewise.weights import from_module
model = Model(from_module(torch.nn.LSTM(16, 64)))
x = np.ones((200, 4, 16), np.float32)
def work(call):
    while True:
        call()
for call in (lambda: model.run(x), lambda: model.stream(4).step(x[0]),
             lambda: model.run(x, lengths=[200, 1, 7, 9])) * 2:
    threading.Thread(target=work, args=(call,), daemon=True).start()
time.sleep(.2)
"""
    for _ in range(2):  # PyTorch's own threads end such a program with an abort, nearly every time
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
