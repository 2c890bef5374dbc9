"""A layer of any cell as a loop over the steps in PyTorch: as people write it, and tuned.

    plain   every operation of the cell by itself, the inputs' product among them, at each step: the
            cell of PyTorch's own example of a custom LSTM (benchmarks/fastrnns/custom_lstms.py)
    tuned   the fastest of those that were tried: the inputs' products for all steps ahead, one
            `addmm` per step, fused multiply-adds. One sigmoid over several gates was no faster

Both take the steps by `unbind`, as that example does: indexing, whose backward fills a whole
gradient at each step, took 1.1 to 1.8 times as long. Neither has weights for a gate that is not
there, nor an operation that its cell does not need.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter, functional

from gatewise.cell import GATE_ORDER, SITES, Cell

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


class Weights(NamedTuple):
    """Of the G gates that are there.

    Attributes:
        w_ih, w_hh: [G*H, I] and [G*H, H].
        b_ih, b_hh: [G*H].
        peephole: [3, H] to i, f and o, or None.
    """

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor
    b_hh: Tensor
    peephole: Tensor | None


class Way(NamedTuple):
    """What the two loops do differently.

    Attributes:
        sums: (a row, h, weights) -> the gates' sums [B, G*H].
        plus: (a, b, c) -> a + b ⊙ c.
        mix: (c, g, i) -> (1 - i) ⊙ c + i ⊙ g, of a coupled cell.
    """

    sums: Callable[[Tensor, Tensor, Weights], Tensor]
    plus: Callable[[Tensor, Tensor, Tensor], Tensor]
    mix: Callable[[Tensor, Tensor, Tensor], Tensor]


PLAIN: Final = Way(
    lambda x, h, w: x @ w.w_ih.T + w.b_ih + h @ w.w_hh.T + w.b_hh,
    lambda a, b, c: a + b * c,
    lambda c, g, i: (1 - i) * c + i * g,
)
TUNED: Final = Way(
    lambda product, h, w: torch.addmm(product, h, w.w_hh.t()), torch.addcmul, torch.lerp
)

Step = Callable[[Tensor, Tensor, Tensor, Weights], tuple[Tensor, Tensor]]


class Loop(torch.nn.Module):
    """One layer of any cell without layer norm, under the parameter names of `torch.nn.LSTM`.

    Args:
        I, H: input and hidden size.
        cell: which LSTM.
        way: `PLAIN` or `TUNED`.
        compiled: with `torch.compile`, `COMPILED_STEPS` at a time.
    """

    def __init__(self, I: int, H: int, cell: Cell, way: Way, compiled: bool = False) -> None:
        super().__init__()
        self.weight_ih_l0 = Parameter(torch.empty(4 * H, I))
        self.weight_hh_l0 = Parameter(torch.empty(4 * H, H))
        self.bias_ih_l0 = Parameter(torch.empty(4 * H))
        self.bias_hh_l0 = Parameter(torch.empty(4 * H))
        self.weight_peephole_l0 = Parameter(torch.empty(3, H)) if cell.peephole else None
        self._gates, self._way, self._compiled = _gates(cell), way, compiled
        self._run = partial(_block, _step(cell, way))
        if compiled:
            torch._dynamo.reset()  # else the second shape is compiled for sizes that vary
            torch._inductor.config.compile_threads = 1  # pyright: ignore[reportAttributeAccessIssue]
            self._run = torch.compile(self._run, dynamic=False)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run [T, B, I]."""
        w = Weights(
            self._kept(self.weight_ih_l0),
            self._kept(self.weight_hh_l0),
            self._kept(self.bias_ih_l0),
            self._kept(self.bias_hh_l0),
            self.weight_peephole_l0,
        )
        ahead = self._way is TUNED
        rows = functional.linear(x, w.w_ih, w.b_ih + w.b_hh) if ahead else x
        state = x.new_zeros(2, x.shape[1], w.w_hh.shape[1])
        if not self._compiled:
            y, h, c = self._run(rows, state[0], state[1], w)
            return y, (h, c)
        # As in later pieces, gradients go on from here: else the first is compiled on its own.
        h, c = (part.clone().requires_grad_() for part in state)
        blocks = []
        for block in rows.split(COMPILED_STEPS):
            y, h, c = self._run(block, h, c, w)
            blocks.append(y)
        return torch.cat(blocks), (h, c)

    def _kept(self, weight: Tensor) -> Tensor:
        """Drop the rows of gates that are not there."""
        if len(self._gates) == len(GATE_ORDER):
            return weight
        parts: dict[str, Tensor] = dict(zip(GATE_ORDER, weight.chunk(4), strict=True))
        return torch.cat([parts[gate] for gate in self._gates])


def _block(
    step: Step, rows: Tensor, h: Tensor, c: Tensor, w: Weights
) -> tuple[Tensor, Tensor, Tensor]:
    """Advance many steps."""
    y = []
    for row in rows.unbind(0):
        h, c = step(row, h, c, w)
        y.append(h)
    return torch.stack(y), h, c


def _step(cell: Cell, way: Way) -> Step:
    """Return one step of a cell, with no operation that it does not need."""
    gates = _gates(cell)
    *sites, psi = (_ACTIVATIONS[cell.activation(site).name] for site in SITES)
    squash: dict[str, Callable[[Tensor], Tensor]] = dict(zip(GATE_ORDER, sites, strict=True))

    def step(row: Tensor, h: Tensor, c: Tensor, w: Weights) -> tuple[Tensor, Tensor]:
        pre = dict(zip(gates, way.sums(row, h, w).chunk(len(gates), 1), strict=True))

        def gate(name: str, seen: Tensor) -> Tensor | None:
            if name not in pre:
                return None
            if w.peephole is None or name == "g":
                return squash[name](pre[name])
            return squash[name](way.plus(pre[name], w.peephole["ifo".index(name)], seen))

        i, f, g = gate("i", c), gate("f", c), gate("g", c)
        if g is None:
            g = torch.ones_like(c)
        new = g if i is None else i * g
        if cell.coupled:
            c = g if i is None else way.mix(c, g, i)
        else:
            c = c + new if f is None else way.plus(new, f, c)
        o, squashed = gate("o", c), psi(c)
        return squashed if o is None else o * squashed, c

    return step


def _gates(cell: Cell) -> tuple[str, ...]:
    """Return which of the four need weights."""
    return tuple(gate for gate, used in zip(GATE_ORDER, cell.used_gates, strict=True) if used)
