"""Backward of what the core ran, by PyTorch operations: where the core's own will not do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gatewise.nn import composite
from gatewise.nn.composite import LayerWeights
from gatewise.nn.options import Options
from gatewise.nn.spec import Spec


def backward(
    spec: Spec,
    options: Options,
    given: Sequence[Tensor | None],
    grads: Sequence[Tensor | None],
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """Run forward again with PyTorch operations, and differentiate that.

    With a graph if backward's own is wanted; without, for gradients that the core cannot read: many
    at once (``is_grads_batched=True``), subclasses, those that a mode wants to see.

    Args:
        spec, options: as forward had them.
        given: x, h0, c0 and the parameters.
        grads: of y, h_n and c_n, None for zeros.
        needed: which of `given` need a gradient.
    """
    create_graph = torch.is_grad_enabled()
    # Views stand in for the inputs, so that their gradients stop here and do not run on into
    # whatever computed them.
    with torch.enable_grad():
        stand_ins: list[Any] = [None if t is None else t.view_as(t) for t in given]
        results = _composite(spec, options, *stand_ins)
    used = [
        (r, g)
        for r, g in zip(results, grads, strict=True)
        if g is not None and r.requires_grad  # a result may depend on nothing that is wanted
    ]
    if not used:
        return [None] * len(given)
    wanted = [
        t if wants and t is not None else None for t, wants in zip(stand_ins, needed, strict=True)
    ]
    found = iter(
        torch.autograd.grad(
            [r for r, _ in used],
            [t for t in wanted if t is not None],
            [g for _, g in used],
            create_graph=create_graph,
            allow_unused=True,
        )
    )
    return [None if t is None else next(found) for t in wanted]


def _composite(
    spec: Spec,
    options: Options,
    x: Tensor,
    h0: Tensor | None,
    c0: Tensor | None,
    *parameters: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    L, D, names = spec.L, spec.D, spec.names
    lengths = None
    if options.batch_sizes is not None:
        x, lengths = pad_packed_sequence(PackedSequence(x, options.batch_sizes))
    B = x.shape[1]
    h0 = x.new_zeros(L * D, B, spec.P) if h0 is None else h0
    c0 = x.new_zeros(L * D, B, spec.H) if c0 is None else c0
    weights = [
        LayerWeights(**dict(zip(names, parameters[k * len(names) :], strict=False)))
        for k in range(L * D)
    ]
    masks = None
    if options.noise is not None:
        masks = [options.noise.masks(k, options.batch_sizes) for k in range(L * D)]
    y, h_n, c_n = composite.run_layers(x, h0, c0, weights, spec.cell, L, lengths, masks)
    return y if lengths is None else pack_padded_sequence(y, lengths).data, h_n, c_n
