"""Any cell as differentiable PyTorch operations: the path for what the core does not compute.

The same equations as `gatewise.reference`, one operation each, so autograd, double backward and
torch.func transforms all apply. Slow: some ten operations per step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from gatewise.cell import Cell
from gatewise.reference import EPSILON

ACTIVATIONS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    # Not functional.hardsigmoid: that rounds 1/6 to float32 and has no second derivative.
    "hard_sigmoid": lambda x: functional.hardtanh(x / 6 + 0.5, 0.0, 1.0),
    "hard_tanh": functional.hardtanh,
    "relu": torch.relu,
    "softsign": functional.softsign,
    "identity": lambda x: x,
    "one": torch.ones_like,
}
"""The table of `gatewise.cell` in PyTorch's words; a test holds them together."""


@dataclass(frozen=True)
class LayerWeights:
    """Parameters of one layer and direction; see `gatewise.reference.Weights` for the shapes."""

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None = None
    b_hh: Tensor | None = None
    w_hr: Tensor | None = None
    peephole: Tensor | None = None
    norm_ih: Tensor | None = None
    norm_hh: Tensor | None = None
    norm_c: Tensor | None = None


def step(x: Tensor, h: Tensor, c: Tensor, w: LayerWeights, cell: Cell) -> tuple[Tensor, Tensor]:
    """Advance one step.

    Args:
        x: [B, I] input.
        h, c: [B, P] and [B, H] state before the step.
        w: parameters.
        cell: which LSTM.

    Returns:
        h, c after the step.
    """
    sigma_i, sigma_f, phi, sigma_o, psi = (
        ACTIVATIONS[name]
        for name in (
            cell.input_gate,
            cell.forget_gate,
            cell.candidate,
            cell.output_gate,
            cell.cell_output,
        )
    )
    from_x = _normalise(functional.linear(x, w.w_ih), w.norm_ih)
    from_h = _normalise(functional.linear(h, w.w_hh), w.norm_hh)
    pre = from_x + from_h
    if w.b_ih is not None:
        pre = pre + w.b_ih
    if w.b_hh is not None:
        pre = pre + w.b_hh
    pre_i, pre_f, pre_g, pre_o = pre.chunk(4, dim=-1)
    if w.peephole is not None:
        pre_i = pre_i + w.peephole[0] * c
        pre_f = pre_f + w.peephole[1] * c
    i, g = sigma_i(pre_i), phi(pre_g)
    f = 1 - i if cell.coupled else sigma_f(pre_f)
    c = f * c + i * g
    if w.peephole is not None:
        pre_o = pre_o + w.peephole[2] * c
    h = sigma_o(pre_o) * psi(_normalise(c, w.norm_c))
    if w.w_hr is not None:
        h = functional.linear(h, w.w_hr)
    return h, c


def run(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    w: LayerWeights,
    cell: Cell,
    reverse: bool = False,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer in one direction.

    Args:
        x: [T, B, I] input.
        h, c: [B, P] and [B, H] initial state.
        w: parameters.
        cell: which LSTM.
        reverse: run from the last step to the first.
        lengths: [B] valid steps of each row; steps beyond leave the state alone and output zero.

    Returns:
        y [T, B, P], and the final h [B, P] and c [B, H].
    """
    outputs: list[Tensor] = []
    times = range(len(x))
    for t in reversed(times) if reverse else times:
        h_next, c_next = step(x[t], h, c, w, cell)
        if lengths is None:
            h, c = h_next, c_next
            outputs.append(h)
        else:
            valid = (t < lengths).unsqueeze(1)
            h, c = torch.where(valid, h_next, h), torch.where(valid, c_next, c)
            outputs.append(torch.where(valid, h_next, torch.zeros_like(h_next)))
    return torch.stack(outputs[::-1] if reverse else outputs), h, c


def _normalise(v: Tensor, gain_shift: Tensor | None) -> Tensor:
    if gain_shift is None:
        return v
    return functional.layer_norm(v, v.shape[-1:], gain_shift[0], gain_shift[1], EPSILON)
