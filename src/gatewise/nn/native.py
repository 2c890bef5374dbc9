"""Layers of the default cell on the native core, as one autograd function.

What is handed to the core are addresses: a tensor's view as an array costs more than a short call.
`paths.choose` has seen to it that they may be.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from gatewise.cell import Cell
from gatewise.nn import composite
from gatewise.nn.composite import LayerWeights
from gatewise.nn.engine import Engine

_CELL = Cell()
_PER_DIRECTION = 4  # w_ih, w_hh, b_ih, b_hh
_POOLED_SIZE = 1 << 18  # elements of a tape, from which on the core's own memory is worth its fee
_BATCHED = tuple(map(torch._C._dispatch_key_parse, ("Batched", "FuncTorchBatched")))


class Options(NamedTuple):
    """How to run; see `gatewise.nn.LSTM`."""

    batch_first: bool = False
    checkpoint_every: int = 0


def run(
    engine: Engine,
    x: Tensor,
    h0: Tensor | None,
    c0: Tensor | None,
    parameters: list[Tensor | None],
    options: Options,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run the layers of an engine.

    Args:
        engine: of these layers.
        x: [T, B, I], a view of any strides.
        h0, c0: [L*D, B, H] initial states, or None for zeros.
        parameters: w_ih, w_hh, b_ih, b_hh of each layer and direction.
        options: how.

    Returns:
        y [T, B, D*H] (in memory [B, T, D*H] if batch_first), h_n [L*D, B, H], c_n [L*D, B, H].
    """
    if torch.is_grad_enabled() and any(
        t is not None and t.requires_grad for t in (x, h0, c0, *parameters)
    ):
        outputs = _Layers.apply(engine, options, x, h0, c0, *parameters)
        return cast(tuple[Tensor, Tensor, Tensor], outputs)
    return _forward(engine, options, x, h0, c0, parameters)[:3]


class _Layers(torch.autograd.Function):
    """Forward keeps a tape; backward runs natively.

    When backward's own graph is wanted (``create_graph=True``) it runs through the composite path.
    """

    @staticmethod
    def forward(
        ctx: Any,
        engine: Engine,
        options: Options,
        x: Tensor,
        h0: Tensor | None,
        c0: Tensor | None,
        *parameters: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        y, h_n, c_n, tape, ctx.weights = _forward(
            engine, options, x, h0, c0, list(parameters), keep=True
        )
        ctx.save_for_backward(x, h0, c0, y, tape, *parameters)
        ctx.sizes, ctx.options = engine.sizes, options
        ctx.set_materialize_grads(False)
        return y, h_n, c_n

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        x, h0, c0, y, tape, *parameters = ctx.saved_tensors
        if torch.is_grad_enabled() or any(map(_is_batched, grads)):
            return None, None, *_differentiable_backward(ctx, x, h0, c0, parameters, grads)
        return None, None, *_backward(ctx, x, h0, c0, y, tape, parameters, grads)


def _forward(
    engine: Engine,
    options: Options,
    x: Tensor,
    h0: Tensor | None,
    c0: Tensor | None,
    parameters: list[Tensor | None],
    keep: bool = False,
) -> Any:
    """Return y, h_n, c_n, and with `keep` the tape and the packed weights."""
    L, D, _, H = engine.sizes
    (T, B, _), dtype = x.shape, x.dtype
    weights = engine.pack(parameters, dtype)
    if options.batch_first:
        y = x.new_empty((B, T, D * H)).transpose(0, 1)
    else:
        y = x.new_empty((T, B, D * H))
    h_n = x.new_empty((L * D, B, H))
    c_n = torch.empty_like(h_n)
    every = options.checkpoint_every if keep else 0
    tape = _tape(weights, T, B, every, dtype) if keep else None
    x, h0, c0 = _with_dense_rows(x), _dense(h0), _dense(c0)
    weights.forward(
        T, B, torch.get_num_threads(), *_rows(x), _address(h0), _address(c0), *_rows(y),
        h_n.data_ptr(), c_n.data_ptr(), _address(tape), every,
    )  # fmt: skip
    return y, h_n, c_n, tape, weights


def _tape(weights: Any, T: int, B: int, checkpoint_every: int, dtype: torch.dtype) -> Tensor:
    size = weights.tape_size(T, B, checkpoint_every)
    if size < _POOLED_SIZE:
        return torch.empty(size, dtype=dtype)
    return weights.tape(T, B, checkpoint_every)


def _backward(
    ctx: Any,
    x: Tensor,
    h0: Tensor | None,
    c0: Tensor | None,
    y: Tensor,
    tape: Tensor,
    parameters: list[Tensor | None],
    grads: tuple[Tensor | None, ...],
) -> list[Tensor | None]:
    L, D, _, H = ctx.sizes
    T, B, _ = x.shape
    dy, dh_n, dc_n = grads
    dy = None if dy is None else _with_dense_rows(_materialised(dy))
    dh_n, dc_n = (None if g is None else _dense(_materialised(g)) for g in (dh_n, dc_n))
    dx = _empty_rows_like(x) if ctx.needs_input_grad[2] else None
    dh0, dc0 = (torch.empty((L * D, B, H), dtype=x.dtype) for _ in range(2))
    found = []  # dw_ih, dw_hh, db of each layer and direction
    for p in parameters[::_PER_DIRECTION]:
        assert p is not None
        found += [torch.empty(p.shape, dtype=x.dtype), torch.empty((4 * H, H), dtype=x.dtype),
                  torch.empty(4 * H, dtype=x.dtype)]  # fmt: skip
    x, h0, c0 = _with_dense_rows(x), _dense(h0), _dense(c0)
    ctx.weights.backward(
        T, B, torch.get_num_threads(), *_rows(x), _address(h0), _address(c0), *_rows(y),
        tape.data_ptr(), *_rows(dy), _address(dh_n), _address(dc_n), *_rows(dx), dh0.data_ptr(),
        dc0.data_ptr(), tuple([g.data_ptr() for g in found]), ctx.options.checkpoint_every,
    )  # fmt: skip
    d_parameters: list[Tensor | None] = []
    for k in range(L * D):
        dw_ih, dw_hh, db = found[3 * k : 3 * k + 3]
        _, _, b_ih, b_hh = parameters[_PER_DIRECTION * k : _PER_DIRECTION * (k + 1)]
        d_parameters += [dw_ih, dw_hh, None if b_ih is None else db,
                         None if b_hh is None else db.clone()]  # fmt: skip
    return [dx, None if h0 is None else dh0, None if c0 is None else dc0, *d_parameters]


def _differentiable_backward(
    ctx: Any,
    x: Tensor,
    h0: Tensor | None,
    c0: Tensor | None,
    parameters: list[Tensor | None],
    grads: tuple[Tensor | None, ...],
) -> list[Tensor | None]:
    """Run forward again with PyTorch operations, and differentiate that.

    With a graph if backward's own is wanted; without, for the batched gradients of
    ``is_grads_batched=True``.
    """
    create_graph = torch.is_grad_enabled()
    # Views stand in for the inputs, so that their gradients stop here and do not run on into
    # whatever computed them.
    with torch.enable_grad():
        stand_ins: list[Any] = [
            None if t is None else t.view_as(t) for t in (x, h0, c0, *parameters)
        ]
        results = _composite(ctx.sizes, *stand_ins)
    used = [(r, g) for r, g in zip(results, grads, strict=True) if g is not None]
    wanted = [
        t if needed and t is not None else None
        for t, needed in zip(stand_ins, ctx.needs_input_grad[2:], strict=True)
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
    sizes: tuple[int, int, int, int],
    x: Tensor,
    h0: Tensor | None,
    c0: Tensor | None,
    *parameters: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    L, D, _, H = sizes
    zeros = x.new_zeros(L * D, x.shape[1], H)
    h0, c0 = zeros if h0 is None else h0, zeros if c0 is None else c0
    h_n, c_n = [], []
    for layer in range(L):
        outputs = []
        for d in range(D):
            k = layer * D + d
            w = LayerWeights(*parameters[k * _PER_DIRECTION : (k + 1) * _PER_DIRECTION])
            y, h, c = composite.run(x, h0[k], c0[k], w, _CELL, reverse=d == 1)
            outputs.append(y)
            h_n.append(h)
            c_n.append(c)
        x = torch.cat(outputs, dim=2)
    return x, torch.stack(h_n), torch.stack(c_n)


def _is_batched(t: Tensor | None) -> bool:
    """Whether a gradient is many at once: under vmap, or the older one of is_grads_batched."""
    keys = None if t is None else torch._C._dispatch_keys(t)
    return keys is not None and any(keys.has(k) for k in _BATCHED)


def _materialised(t: Tensor) -> Tensor:
    """Numbers in memory: gradients may arrive as a pending negation, or as zeros without memory."""
    return torch.zeros(t.shape, dtype=t.dtype) if t._is_zerotensor() else t.resolve_neg()


def _dense(t: Tensor | None) -> Tensor | None:
    return None if t is None else t.contiguous()


def _with_dense_rows(t: Tensor) -> Tensor:
    """The same numbers with unit stride along the last axis."""
    return t if _has_unit_stride(t) else t.contiguous()


def _empty_rows_like(t: Tensor) -> Tensor:
    """Room for dx, each row in a place of its own; laid out like x where x is dense."""
    room = torch.empty_like(t)
    return room if _has_unit_stride(room) else t.new_empty(t.shape)


def _has_unit_stride(t: Tensor) -> bool:
    return t.stride(2) == 1 or t.shape[2] == 1


def _address(t: Tensor | None) -> int:
    return 0 if t is None else t.data_ptr()


def _rows(t: Tensor | None) -> tuple[int, int, int]:
    return (0, 0, 0) if t is None else (t.data_ptr(), t.stride(0), t.stride(1))
