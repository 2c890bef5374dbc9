"""Random calls, valid and not, of `gatewise.nn`, `gatewise.runtime` and the core.

    python -m tests.fuzz.random_calls --count 50000 --seed 1 [--first N]

A valid call is compared with the reference in float64, and bit by bit with itself on one thread; an
invalid one must raise an error and change nothing. See tests/fuzz/README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import resource
import sys
import warnings
from collections.abc import Callable

MEMORY_BYTES = 8 << 30
"""Of a worker: what asks for more is refused, as on a machine whose memory is full."""


def call_of(seed: int, only: str | None) -> Callable[[int], str]:
    """Return the function that runs the call of a number."""
    import numpy as np
    import torch
    from tests.fuzz import core_calls, nn_calls, refused_calls, runtime_calls

    kinds = {
        "nn": (nn_calls.run, 0.5), "runtime": (runtime_calls.run, 0.2),
        "core": (core_calls.run, 0.1), "refused": (refused_calls.run, 0.2),
    }  # fmt: skip
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")

    def call(number: int) -> str:
        rng = np.random.default_rng([seed, number])
        drawn = list(kinds)[int(rng.choice(len(kinds), p=[share for _, share in kinds.values()]))]
        return kinds[only or drawn][0](rng, number)

    return call


def main() -> int:
    from tests.fuzz import watch, workers

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=50_000, help="calls to make")
    parser.add_argument("--seed", type=int, default=1, help="seed of all of them")
    parser.add_argument("--first", type=int, default=0, help="number of the first call")
    parser.add_argument("--jobs", type=int, default=watch.cores(), help="processes at a time")
    parser.add_argument("--only", choices=("nn", "runtime", "core", "refused"), help="one kind")
    parser.add_argument("--step", type=int, default=0, help=argparse.SUPPRESS)  # be a worker
    a = parser.parse_args()
    numbers = list(range(a.first, a.first + a.count * max(a.step, 1), max(a.step, 1)))
    if a.step:
        faulthandler.enable()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        workers.serve(numbers, call_of(a.seed, a.only))
        return 0

    def command(share: list[int]) -> list[str]:
        step = share[1] - share[0] if len(share) > 1 else 1
        only = ["--only", a.only] if a.only else []
        return ["-m", "tests.fuzz.random_calls", "--seed", str(a.seed), "--first", str(share[0]),
                "--count", str(len(share)), "--step", str(step), *only]  # fmt: skip

    jobs = min(a.jobs, a.count)
    tally = asyncio.run(workers.run(numbers, jobs, command))
    print(f"{len(tally.faults)} faults in {tally.done} calls of seed {a.seed}.")
    return bool(tally.faults)


if __name__ == "__main__":
    sys.exit(main())
