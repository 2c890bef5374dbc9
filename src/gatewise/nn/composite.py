"""Any cell as differentiable PyTorch operations: the path for what the core does not compute.

The same equations as `gatewise.reference`, one operation each, so autograd, double backward and
torch.func transforms all apply. Slow: some ten operations per step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from gatewise.cell import SITES, Activation, Cell
from gatewise.errors import ShapeError
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

Zoneout = tuple[float | Tensor, float | Tensor]
"""(z_h, z_c): how much of h and of c a step leaves as it was."""


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
class Masks:
    """What one layer and direction is multiplied with in one call; None changes nothing.

    Attributes:
        weight: [4H, P] for W_hh, 0 or 1/(1-p).
        recurrent: [B, P] for h where it meets W_hh, 0 or 1/(1-p).
        zoneout: (z_h, z_c), how much of h and of c a step leaves as it was: in training masks
            [T, B, P] and [T, B, H] of 0 and 1, or the number 0; in evaluation the rates.
    """

    weight: Tensor | None = None
    recurrent: Tensor | None = None
    zoneout: Zoneout | None = None


def step(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    w: LayerWeights,
    cell: Cell,
    recurrent_mask: Tensor | None = None,
    zoneout: Zoneout | None = None,
) -> tuple[Tensor, Tensor]:
    """Advance one step.

    Args:
        x: [B, I] input.
        h, c: [B, P] and [B, H] state before the step.
        w: parameters.
        cell: which LSTM.
        recurrent_mask: [B, P] multiplies h where it meets w_hh.
        zoneout: how much of h [B, P] and of c [B, H] stays as it was; see
            `gatewise.reference.forward`.

    Returns:
        h, c after the step.
    """
    sigma_i, sigma_f, phi, sigma_o, psi = (_function(cell, site) for site in SITES)
    used = cell.used_gates
    seen = h if recurrent_mask is None else h * recurrent_mask
    from_x = _normalise(functional.linear(x, w.w_ih), w.norm_ih, used)
    from_h = _normalise(functional.linear(seen, w.w_hh), w.norm_hh, used)
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
    c_new = f * c + i * g
    if w.peephole is not None:
        pre_o = pre_o + w.peephole[2] * c_new
    h_new = sigma_o(pre_o) * psi(_normalise(c_new, w.norm_c))
    if w.w_hr is not None:
        h_new = functional.linear(h_new, w.w_hr)
    if zoneout is None:
        return h_new, c_new
    z_h, z_c = zoneout
    return (1 - z_h) * h_new + z_h * h, (1 - z_c) * c_new + z_c * c


def run(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    w: LayerWeights,
    cell: Cell,
    reverse: bool = False,
    lengths: Tensor | None = None,
    masks: Masks = Masks(),
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer in one direction.

    Args:
        x: [T, B, I] input.
        h, c: [B, P] and [B, H] initial state.
        w: parameters.
        cell: which LSTM.
        reverse: run from the last step to the first.
        lengths: [B] valid steps of each row; steps beyond leave the state alone and output zero.
        masks: what regularisers drew.

    Returns:
        y [T, B, P], and the final h [B, P] and c [B, H].
    """
    if masks.weight is not None:
        w = replace(w, w_hh=w.w_hh * masks.weight)
    zoneout = masks.zoneout
    outputs: list[Tensor] = []
    times = range(len(x))
    for t in reversed(times) if reverse else times:
        kept = None if zoneout is None else (_at(zoneout[0], t), _at(zoneout[1], t))
        h_next, c_next = step(x[t], h, c, w, cell, masks.recurrent, kept)
        if lengths is None:
            h, c = h_next, c_next
            outputs.append(h)
        else:
            valid = (t < lengths).unsqueeze(1)
            h, c = torch.where(valid, h_next, h), torch.where(valid, c_next, c)
            outputs.append(torch.where(valid, h_next, torch.zeros_like(h_next)))
    return torch.stack(outputs[::-1] if reverse else outputs), h, c


def run_layers(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    weights: Sequence[LayerWeights],
    cell: Cell,
    num_layers: int,
    lengths: Tensor | None = None,
    masks: Sequence[Masks] | None = None,
    dropout: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run all layers and directions.

    Args:
        x: [T, B, I] input.
        h0, c0: [L*D, B, P] and [L*D, B, H] initial states.
        weights: parameters of each layer and direction.
        cell: which LSTM.
        num_layers: L.
        lengths: [B] valid steps of each row.
        masks: what regularisers drew, for each layer and direction.
        dropout: probability of an entry of the input of layers after the first to become zero.

    Returns:
        y [T, B, D*P], h_n [L*D, B, P], c_n [L*D, B, H].
    """
    D = len(weights) // num_layers
    h_n, c_n = [], []
    for layer in range(num_layers):
        if layer and dropout:
            x = functional.dropout(x, dropout)
        outputs = []
        for k in range(layer * D, (layer + 1) * D):
            drawn = Masks() if masks is None else masks[k]
            reverse = k % D == 1
            y, h, c = run(x, h0[k], c0[k], weights[k], cell, reverse, lengths, drawn)
            outputs.append(y)
            h_n.append(h)
            c_n.append(c)
        x = torch.cat(outputs, dim=2) if D == 2 else outputs[0]
    return x, torch.stack(h_n), torch.stack(c_n)


def _at(z: float | Tensor, t: int) -> float | Tensor:
    return z[t] if isinstance(z, Tensor) else z


def _function(cell: Cell, site: str) -> Callable[[Tensor], Tensor]:
    value = getattr(cell, site)
    if isinstance(value, Activation):
        own = ACTIVATIONS[value.name]
        return lambda x: value.scale * own(value.slope * x) + value.shift
    return ACTIVATIONS[value] if isinstance(value, str) else _checked(value, site)


def _checked(function: Callable[[Tensor], Tensor], site: str) -> Callable[[Tensor], Tensor]:
    def call(x: Tensor) -> Tensor:
        y = function(x)
        if not isinstance(y, Tensor) or y.shape != x.shape:
            got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
            raise ShapeError(
                f"The function at {site} returned {got}: expected a tensor of shape "
                f"{tuple(x.shape)}. An activation works element by element."
            )
        return y

    return call


def _normalise(
    v: Tensor, gain_shift: Tensor | None, used_gates: Sequence[bool] = (True,)
) -> Tensor:
    """Layer norm, its statistics over the used gates among those that v stacks."""
    if gain_shift is None or not any(used_gates):
        return v
    gain, shift = gain_shift[0], gain_shift[1]
    if all(used_gates):
        return functional.layer_norm(v, v.shape[-1:], gain, shift, EPSILON)
    gates = v.chunk(len(used_gates), dim=-1)
    seen = torch.cat([g for g, used in zip(gates, used_gates, strict=True) if used], dim=-1)
    variance, mean = torch.var_mean(seen, dim=-1, correction=0, keepdim=True)
    return (v - mean) * torch.rsqrt(variance + EPSILON) * gain + shift
