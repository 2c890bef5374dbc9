"""Peers for other cells: a loop over the steps in PyTorch, eager and compiled.

The loop is the fastest of those that were tried: the inputs' products for all steps ahead, one
`addmm` per step, `unbind` and not indexing (whose backward fills a whole gradient at each step),
fused multiply-adds, and no weights for a gate that is not there. One sigmoid over several gates at
once was no faster.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import torch
from torch import Tensor
from torch.nn import Parameter, functional

from gatewise.bench.peers import torch_modules
from gatewise.bench.peers.interface import Peer, Prepared
from gatewise.bench.problem import Problem
from gatewise.bench.variants import CELLS, COMPILED
from gatewise.cell import GATE_ORDER, SITES, Cell

Step = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]
Block = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor, Tensor]]

COMPILED_STEPS: Final = 10
"""Steps in one compiled piece, called T/10 times.

Compiling takes about 4 s for one step, 10 s for ten and 20 s for 25, for each shape; a piece of ten
ran two to three times faster than single steps at batch 1, and 25 hardly faster than ten at 32.
"""

_ACTIVATIONS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "hard_sigmoid": functional.hardsigmoid,
    "hard_tanh": functional.hardtanh,
    "relu": torch.relu,
    "softsign": functional.softsign,
    "identity": lambda x: x,
    "one": torch.ones_like,
}


def load(name: str, threads: int) -> Peer:
    """Load one of the peers."""
    torch.set_num_threads(threads)
    return LoopPeer(compiled=name == "torch-compiled")


class LoopPeer:
    """Runs `Loop` for the cells that PyTorch does not have.

    Args:
        compiled: with `torch.compile`, and then one cell only, in training.
    """

    tolerance = 1e-3

    def __init__(self, compiled: bool) -> None:
        self._compiled = compiled
        self.version = f"torch {torch.__version__}"

    def prepare(self, problem: Problem) -> Prepared | None:
        """Build the loop with the problem's weights, and run it."""
        case = problem.case
        if case.cell.is_default or case.ragged:
            return None
        if self._compiled and (case.mode != "training" or case.cell != CELLS[COMPILED]):
            return None
        loop = Loop(case.shape.I, case.shape.H, case.cell, self._compiled)
        return torch_modules.prepare(loop, problem)


class Loop(torch.nn.Module):
    """One layer of any cell without layer norm, under the parameter names of `torch.nn.LSTM`.

    Args:
        I, H: input and hidden size.
        cell: which LSTM.
        compiled: with `torch.compile`, `COMPILED_STEPS` at a time.
    """

    def __init__(self, I: int, H: int, cell: Cell, compiled: bool) -> None:
        super().__init__()
        self.weight_ih_l0 = Parameter(torch.empty(4 * H, I))
        self.weight_hh_l0 = Parameter(torch.empty(4 * H, H))
        self.bias_ih_l0 = Parameter(torch.empty(4 * H))
        self.bias_hh_l0 = Parameter(torch.empty(4 * H))
        self.weight_peephole_l0 = Parameter(torch.empty(3, H)) if cell.peephole else None
        self._gates = _gates(cell)
        self._run: Block = partial(_block, _step(cell))
        if compiled:
            torch._dynamo.reset()  # else the second shape is compiled for sizes that vary
            torch._inductor.config.compile_threads = 1  # pyright: ignore[reportAttributeAccessIssue]
            self._run = torch.compile(self._run, dynamic=False)
        self._compiled = compiled

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run [T, B, I]."""
        bias = self._kept(self.bias_ih_l0 + self.bias_hh_l0)
        pre = functional.linear(x, self._kept(self.weight_ih_l0), bias)
        w = self._kept(self.weight_hh_l0).t()
        state = x.new_zeros(2, x.shape[1], w.shape[0])
        if not self._compiled:
            y, h, c = self._run(pre, state[0], state[1], w, self.weight_peephole_l0)
            return y, (h, c)
        # As in later pieces, gradients go on from here: else the first is compiled on its own.
        h, c = (part.clone().requires_grad_() for part in state)
        blocks = []
        for block in pre.split(COMPILED_STEPS):
            y, h, c = self._run(block, h, c, w, self.weight_peephole_l0)
            blocks.append(y)
        return torch.cat(blocks), (h, c)

    def _kept(self, weight: Tensor) -> Tensor:
        """Drop the rows of gates that are not there."""
        if len(self._gates) == len(GATE_ORDER):
            return weight
        parts: dict[str, Tensor] = dict(zip(GATE_ORDER, weight.chunk(4), strict=True))
        return torch.cat([parts[gate] for gate in self._gates])


def _gates(cell: Cell) -> tuple[str, ...]:
    """Return which of the four need weights."""
    return tuple(gate for gate, used in zip(GATE_ORDER, cell.used_gates, strict=True) if used)


def _block(
    step: Step, pre: Tensor, h: Tensor, c: Tensor, w: Tensor, peephole: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Advance many steps."""
    y = []
    for row in pre.unbind(0):
        h, c = step(row, h, c, w, peephole)
        y.append(h)
    return torch.stack(y), h, c


def _step(cell: Cell) -> Step:
    """Return one step of a cell, with no operation that it does not need."""
    gates = _gates(cell)
    *sites, psi = (_ACTIVATIONS[cell.activation(site).name] for site in SITES)
    squash: dict[str, Callable[[Tensor], Tensor]] = dict(zip(GATE_ORDER, sites, strict=True))

    def step(
        row: Tensor, h: Tensor, c: Tensor, w: Tensor, peephole: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        pre = dict(zip(gates, torch.addmm(row, h, w).chunk(len(gates), 1), strict=True))

        def gate(name: str, seen: Tensor) -> Tensor | None:
            if name not in pre:
                return None
            if peephole is None or name == "g":
                return squash[name](pre[name])
            return squash[name](torch.addcmul(pre[name], peephole["ifo".index(name)], seen))

        i, f, g = gate("i", c), gate("f", c), gate("g", c)
        if g is None:
            g = torch.ones_like(c)
        new = g if i is None else i * g
        if cell.coupled:
            c = g if i is None else torch.lerp(c, g, i)
        else:
            c = c + new if f is None else torch.addcmul(new, f, c)
        o, squashed = gate("o", c), psi(c)
        return squashed if o is None else o * squashed, c

    return step
