"""Worker processes that outlive no crash: who died, at which call, and the line that repeats it.

A worker says on standard output which call it begins and how that ended. If it dies or falls
silent, its parent knows the call, asks a fresh process whether that call alone does it, and goes on
after it with another worker.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz import watch

ROOT = Path(__file__).parents[2]
START_S, SILENT_S = 120, 30

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Of the oracle; calls of gatewise ask for their own."""


@dataclass
class Tally:
    """What has come of the calls so far."""

    wanted: int
    done: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def add(self, outcome: str) -> None:
        self.done += 1
        self.outcomes[outcome] += 1

    def add_fault(self, kind: str, text: str) -> None:
        self.add(kind)
        self.faults.append(text)
        print(f"\n{text}", flush=True)

    def show(self, end: str = "") -> None:
        spent = time.monotonic() - self.began
        left = spent / max(self.done, 1) * (self.wanted - self.done)
        outcomes = ", ".join(f"{n} {name}" for name, n in sorted(self.outcomes.items()))
        print(f"\r{self.done}/{self.wanted} calls, {spent:.0f} s, about {left:.0f} s left: "
              f"{outcomes}   ", end=end, flush=True)  # fmt: skip


async def run(numbers: list[int], jobs: int, command: Callable[[list[int]], list[str]]) -> Tally:
    """Run the calls of these numbers.

    Args:
        numbers: which.
        jobs: worker processes at a time.
        command: arguments of Python for a worker that runs some of the numbers, in their order.
    """
    tally = Tally(len(numbers))
    shares = [numbers[k::jobs] for k in range(jobs)]
    shown = asyncio.create_task(_show(tally))
    try:
        await asyncio.gather(*(_work(share, command, tally) for share in shares if share))
    finally:
        shown.cancel()
    tally.show(end="\n")
    return tally


async def _show(tally: Tally) -> None:
    pause = 1.0 if sys.stdout.isatty() else 20.0
    while True:
        await asyncio.sleep(pause)
        tally.show(end="" if sys.stdout.isatty() else "\n")


async def _work(
    numbers: list[int], command: Callable[[list[int]], list[str]], tally: Tally
) -> None:
    left = numbers
    while left:
        began = left
        done, fault = await _one_worker(left, command(left), tally)
        left = left[done:]
        if not fault:
            if left:
                raise RuntimeError(f"a worker ended early, before call {left[0]}")
            return
        if not left:
            tally.add_fault("died at exit", f"{fault} after its last call, {began[-1]}")
            return
        culprit, left = left[0], left[1:]
        _, alone = await _one_worker([culprit], command([culprit]), None)
        once = f"--first {culprit} --count 1"
        line = once if alone else f"--first {began[0]} --count {culprit - began[0] + 1} --jobs 1"
        note = "" if alone else f" (not by that call alone, {once}: by those before it, too)"
        tally.add_fault("crashed", f"{fault}: {line}{note}")


async def _one_worker(
    numbers: list[int], arguments: list[str], tally: Tally | None
) -> tuple[int, str | None]:
    """Return how many calls it finished, and how it died, if it did."""
    errors = asyncio.subprocess.PIPE if tally else asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=errors,
        limit=1 << 20, env=os.environ | ONE_THREAD,
    )  # fmt: skip
    assert process.stdout
    log = asyncio.create_task(process.stderr.read()) if process.stderr else None
    done, patience = 0, START_S
    while True:
        try:
            line = await asyncio.wait_for(process.stdout.readline(), patience)
        except TimeoutError:
            process.send_signal(signal.SIGABRT)  # faulthandler says where it stood
            await process.wait()
            return done, f"HANG of over {patience} s\n{_tail(log and await log)}"
        if not line:
            break
        patience = SILENT_S
        outcome, _, text = line.decode().rstrip("\n").partition("\t")
        done += 1
        if tally and outcome == "fault":
            tally.add_fault("wrong", text.replace("\\n", "\n  "))
        elif tally:
            tally.add(outcome)
    code = await process.wait()
    if code:
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return done, f"CRASH, {how}\n{_tail(log and await log)}"
    return done, None


def _tail(log: bytes | None) -> str:
    return "\n".join(
        "  " + text for text in (log or b"").decode(errors="replace").splitlines()[:12]
    )


def serve(numbers: Iterable[int], call: Callable[[int], str]) -> None:
    """Be a worker: run each call and say how it ended, faults with the line that repeats them."""
    for number in numbers:
        outcome = _timed(number, call)
        print(outcome, flush=True)


def _timed(number: int, call: Callable[[int], str]) -> str:
    spent = 0.0
    for _ in range(2):  # the machine may have been busy with something else
        watch.longest_s()
        try:
            outcome = call(number)
        except Exception as error:
            text = "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
            return f"fault\tWRONG: --first {number} --count 1\n{text}".replace("\n", "\\n")
        spent = watch.longest_s()
        if spent <= watch.SLOW_S:
            return outcome
    return f"fault\tSLOW, {spent:.1f} s: --first {number} --count 1"
