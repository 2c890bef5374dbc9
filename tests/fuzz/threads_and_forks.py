"""Threads, writers, forks and interrupts beside each other, for as long as is asked.

    python -m tests.fuzz.threads_and_forks --minutes 10 --seed 1

Rounds of some seconds, each a process of its own, so that a crash or a hang is seen and named by
the seed of its round. What is checked stands in tests/fuzz/crowd.py.
"""

from __future__ import annotations

import argparse
import faulthandler
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROUND_S, START_S = 8.0, 120.0


def one_round(seed: int, seconds: float) -> str | None:
    """Return what went wrong in a process of its own, if anything did."""
    command = [sys.executable, "-m", "tests.fuzz.threads_and_forks", "--seed", str(seed),
               "--round", str(seconds)]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        said, _ = process.communicate(timeout=seconds + START_S + 30)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
        return f"HANG\n{said[-4000:]}"
    print(f"  {said.splitlines()[-1] if said else ''}", flush=True)
    return None if process.returncode == 0 else f"exit code {process.returncode}\n{said[-4000:]}"


def in_this_process(seed: int, seconds: float) -> int:
    import os

    # Workers asleep in a lock that nobody opens: say where all stand, and end.
    faulthandler.enable()
    faulthandler.dump_traceback_later(seconds + START_S, exit=True)
    from tests.fuzz.crowd import Crowd

    crowd = Crowd(seed)
    faulthandler.cancel_dump_traceback_later()
    faulthandler.dump_traceback_later(seconds + 40, exit=True)
    crowd.last(seconds)
    for fault in crowd.faults:
        print(fault)
    print(", ".join(f"{n} {kind}" for kind, n in sorted(crowd.calls.items())), flush=True)
    os._exit(bool(crowd.faults))  # no destructors: daemon threads may be stuck


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    parser.add_argument("--minutes", type=float, default=10, help="how long")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first round")
    parser.add_argument("--round", type=float, help=argparse.SUPPRESS)  # be one, of these seconds
    a = parser.parse_args()
    if a.round is not None:
        return in_this_process(a.seed, a.round)
    began, seed, wrong = time.monotonic(), a.seed, 0
    while (left := a.minutes * 60 - (time.monotonic() - began)) > 0:
        print(f"round of seed {seed}, {left:.0f} s left", flush=True)
        seconds = min(ROUND_S, max(left, 1.0))
        fault = one_round(seed, seconds)
        if fault:
            wrong += 1
            print(f"WRONG: --seed {seed} --minutes {seconds / 60:.2f}\n{fault}", flush=True)
        seed += 1
    print(f"{wrong} faults in {seed - a.seed} rounds.")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
