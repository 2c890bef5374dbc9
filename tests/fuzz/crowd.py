"""One round of a crowd: threads that read, write, stream, train and fork beside each other.

What is promised, and so what is checked bit by bit:

- A call that no write overlaps computes with the weights that stand, whatever other calls did
  meanwhile; what overlaps a write may compute with any mixture, but must not spoil later calls.
- After the writer has joined, the very next call is right.
- Streams, whole runs and training on weights that nobody writes are right, always.
- A forked child, of whatever moment, finishes a call of its own within 10 s, and rightly.
- An interrupted call leaves nothing behind: the next one is right.
"""

from __future__ import annotations

import copy
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import gatewise
from gatewise.nn import LSTM
from gatewise.runtime import Model
from gatewise.weights import from_module

THREADS = 8
"""Of each call, beside as many Python threads: more than most machines have cores."""
CHILD_S = 10.0
SIZES = ((1, 1, 64, 128), (4, 3, 64, 128), (60, 16, 32, 64), (20, 1, 64, 256), (300, 4, 5, 64),
         (1, 1, 64, 400), (1, 1, 64, 400))  # fmt: skip


class Crowd:
    """The shared networks, what they must return, and what went wrong."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        sys.setswitchinterval(self.draw.choice((5e-3, 1e-4, 1e-5)))
        self.stop = threading.Event()
        self.faults: list[str] = []
        self.calls: Counter[str] = Counter()
        torch.manual_seed(seed)
        T, B, I, H = self.draw.choice(SIZES)
        self.x = torch.randn(T, B, I)
        options: Any = {"bidirectional": self.draw.random() < 0.3}
        self.written = LSTM(I, H, **options).requires_grad_(False)
        if self.draw.random() < 0.3:
            self.written.freeze_weights()
        self.versions = [
            {n: torch.randn_like(p) / 8 for n, p in self.written.state_dict().items()}
            for _ in range(2)
        ]
        self.right = []
        for weights in self.versions:
            fresh = LSTM(I, H, **options).requires_grad_(False)
            fresh.load_state_dict(weights)
            self.right.append(fresh(self.x)[0])
        self.clock = 0  # odd while a write is under way; version (clock // 2) % 2 stands
        self._put(0)

        self.still = LSTM(16, 64, num_layers=2)
        self.model = Model(copy.deepcopy(from_module(self.still)))
        self.steps = torch.randn(200, 4, 16)
        self.lengths = [200, 1, 77, 200]
        with torch.no_grad():
            self.streamed = self.still(self.steps)[0].numpy()
            self.ragged = self.still(self.steps, lengths=self.lengths)[0].numpy()
        self.gradients = self._trained(self.still)

    def _put(self, version: int) -> None:
        for name, value in self.versions[version].items():
            getattr(self.written, name).copy_(value)

    def _trained(self, lstm: LSTM) -> list[torch.Tensor]:
        lstm.zero_grad()
        lstm(self.steps[:40])[0].square().sum().backward()
        return [p.grad.clone() for p in lstm.parameters() if p.grad is not None]

    def check(self, ok: bool, what: str) -> None:
        self.calls[what] += 1
        if not ok:
            self.faults.append(f"{what}: a wrong result in call {self.calls[what]} of this kind")
            self.stop.set()

    # --- what threads do -------------------------------------------------------------------------

    def read(self, draw: random.Random) -> None:
        before = self.clock
        y = self.written(self.x)[0]
        if before % 2 == 0 and self.clock == before:
            self.check(torch.equal(y, self.right[before // 2 % 2]), "reader between two writes")

    def write(self, draw: random.Random) -> None:
        for _ in range(draw.choice((1, 2, 2, 3))):  # two: there and back within a reader's call
            version = (self.clock // 2 + 1) % 2
            self.clock += 1
            self._put(version)
            self.clock += 1
            time.sleep(draw.choice((0, 0.00005, 0.00015, 0.0004)))
        time.sleep(draw.choice((0, 0.0005, 0.005, 0.02)))

    def stream(self, draw: random.Random) -> None:
        stream, x = self.model.stream(4), self.steps.numpy()
        y = np.stack([stream.step(row) for row in x[: draw.randrange(1, 200)]])
        self.check(np.array_equal(y, self.streamed[: len(y)]), "stream")

    def run(self, draw: random.Random) -> None:
        y, _ = self.model.run(self.steps.numpy(), lengths=self.lengths)
        self.check(np.array_equal(y, self.ragged), "ragged run")

    def train(self, draw: random.Random) -> None:
        own = copy.deepcopy(self.still)
        found = self._trained(own)
        same = all(torch.equal(a, b) for a, b in zip(found, self.gradients, strict=True))
        self.check(same, "training")

    def release(self, draw: random.Random) -> None:
        release = getattr(gatewise, "release_memory", None)
        if release is not None:
            release()
        time.sleep(0.01)

    def fork(self, draw: random.Random) -> None:
        time.sleep(draw.random() * 0.03)
        child = os.fork()
        if child == 0:
            os._exit(self._in_child())
        deadline = time.monotonic() + CHILD_S
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
                if code:
                    self.faults.append(f"a forked child ended with {code}")
                self.check(code == 0, "forked child")
                return
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        self.faults.append(f"HANG: a forked child did not finish within {CHILD_S:.0f} s")
        self.stop.set()

    def _in_child(self) -> int:
        """A call of each kind; nothing here takes a lock of Python that a thread may have held."""
        try:
            self.written(self.x)  # whose weights other threads were packing, or writing
            self.still(self.steps)  # with a tape
            y = self.model.run(self.steps.numpy(), lengths=self.lengths)[0]
            with torch.no_grad():
                z = self.still(self.steps)[0].numpy()
            return 0 if np.array_equal(y, self.ragged) and np.array_equal(z, self.streamed) else 3
        except BaseException:
            return 4

    # --- the round -------------------------------------------------------------------------------

    def last(self, seconds: float) -> None:
        """Run all of them for this time, interrupts in between."""
        tasks = [self.read, self.read, self.read, self.write, self.stream, self.run, self.train,
                 self.fork]  # fmt: skip
        if self.draw.random() < 0.4:  # fewer, so that reads and writes meet more often
            tasks = [self.read, self.read, self.write, self.fork]
        elif hasattr(gatewise, "release_memory"):
            tasks[2] = self.release
        threads = [
            threading.Thread(target=self._repeat, args=(task, self.draw.random()), daemon=True)
            for task in tasks
        ]
        for thread in threads:
            thread.start()
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.stop.is_set():
            self._interrupted()
        self.stop.set()
        for thread in threads:
            thread.join()
        for _ in range(2):
            y = self.written(self.x)[0]
            self.check(torch.equal(y, self.right[self.clock // 2 % 2]), "call after the last write")
            if self.faults:
                return
            self.write(self.draw)

    def _repeat(self, task: Callable[[random.Random], None], seed: float) -> None:
        torch.set_num_threads(THREADS)
        draw = random.Random(seed)
        try:
            while not self.stop.is_set():
                task(draw)
        except BaseException as error:
            self.faults.append(f"{task.__name__}: {type(error).__name__}: {error}")
            self.stop.set()

    def _interrupted(self) -> None:
        """A long call in the main thread, which alone gets a KeyboardInterrupt."""
        torch.set_num_threads(THREADS)
        x = self.steps.repeat(60, 1, 1).numpy()
        # No thread of Python's sends it: `join` does not survive an interrupt (CPython 3.11).
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, 1e-4 + self.draw.random() * 0.3)
            self.model.run(x)
            time.sleep(CHILD_S)  # if it has not come, it comes here
        except KeyboardInterrupt:
            self.calls["interrupt"] += 1
        y = self.model.run(self.steps.numpy(), lengths=self.lengths)[0]
        self.check(np.array_equal(y, self.ragged), "call after an interrupt")
