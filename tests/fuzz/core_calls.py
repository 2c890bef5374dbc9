"""Valid calls of `gatewise._native.arrays.Network`: the core with its noise, without torch."""

from __future__ import annotations

import numpy as np
from tests.fuzz import draws, oracle
from tests.fuzz.draws import Rng, chance, pick
from tests.parity import networks

from gatewise import _native, native_info


def run(rng: Rng, number: int) -> str:
    """Forward and backward of one drawn network, all room full of NaN before.

    Raises:
        WrongResultError: it is not what it must be.
    """
    s = draws.sizes(rng)
    setup = networks.Setup(
        draws.cell(rng), s.T, s.B, s.I, s.H, s.proj, s.L, s.D, pick(rng, networks.NOISES),
        chance(rng, 0.4), pick(rng, (np.float32, np.float64)),
    )  # fmt: skip
    threads, isa = pick(rng, draws.THREADS), pick(rng, native_info()["available"])
    _native.select_isa(isa)
    try:
        # Half of the usual scale: fewer networks explode, and each is drawn once.
        problem = networks.draw(setup, number, scale=0.5)
        got = networks.native(problem, threads)
        alone = networks.native(problem, 1)
        oracle.check_same_bits(got, alone, f"with {threads} threads than with 1")
        with np.errstate(all="ignore"):
            expected = networks.by_reference(problem)
            if oracle.is_wild(expected):
                return "bits"
            oracle.check_near(got, expected, setup.dtype, lambda: _otherwise(problem))
        return "oracle"
    except Exception as fault:
        fault.add_note(f"{setup} threads={threads} isa={isa}")
        raise


def _otherwise(problem: networks.Problem) -> list[oracle.Results]:
    with oracle.computing_in(problem.setup.dtype):
        found = list(networks.by_reference_rounded_otherwise(problem))
        if oracle.is_kinked(problem.setup.cell):
            found += networks.by_reference_rounded_otherwise(problem, draws=12, units=16.0)
    return found
