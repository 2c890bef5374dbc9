"""Peers for other cells: a loop over the steps in PyTorch, plain, tuned and compiled."""

from __future__ import annotations

from typing import Final

import torch

from gatewise.bench.cells import CELLS, COMPILED
from gatewise.bench.peers import torch_modules
from gatewise.bench.peers.interface import Prepared
from gatewise.bench.peers.torch_loops import PLAIN, TUNED, Loop
from gatewise.bench.problem import Problem

COMPILED_PLAIN_FROM: Final = 128
"""Batch from which on the plain loop is compiled, below it the tuned one.

Compiled, the tuned one took .69 to .85 of the plain one's time at batch 1 and 8, .9 to 1.05 at 32,
and 1.07 to 1.18 at 128 (H 32 to 256, one thread).
"""


def load(name: str, threads: int) -> LoopPeer:
    """Load one of the peers."""
    torch.set_num_threads(threads)
    return LoopPeer(name)


class LoopPeer:
    """Runs `Loop` for the cells that PyTorch does not have.

    Args:
        name: ``torch-loop``, as people write it; ``torch-tuned-loop``; or ``torch-compiled``,
            whichever of the two `torch.compile` makes faster, of one cell and in training only.
    """

    tolerance = 1e-3

    def __init__(self, name: str) -> None:
        self._name = name
        self.version = f"torch {torch.__version__}"

    def prepare(self, problem: Problem) -> Prepared | None:
        """Build the loop with the problem's weights, and run it."""
        case, shape = problem.case, problem.case.shape
        if case.cell.is_default or case.ragged:
            return None
        compiled = self._name == "torch-compiled"
        if compiled and (case.mode != "training" or case.cell != CELLS[COMPILED]):
            return None
        tuned = shape.B < COMPILED_PLAIN_FROM if compiled else self._name == "torch-tuned-loop"
        way = TUNED if tuned else PLAIN
        return torch_modules.prepare(Loop(shape.I, shape.H, case.cell, way, compiled), problem)
