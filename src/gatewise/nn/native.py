"""One layer (both directions of it) on the native core, as an autograd function."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gatewise import _native
from gatewise.cell import Cell
from gatewise.nn import composite
from gatewise.nn.composite import LayerWeights

_CELL = Cell()
_PER_DIRECTION = 4  # w_ih, w_hh, b_ih, b_hh
_BATCHED = tuple(map(torch._C._dispatch_key_parse, ("Batched", "FuncTorchBatched")))


def run_layer(
    x: Tensor, h0: Tensor, c0: Tensor, weights: list[LayerWeights], batch_first: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer of the default cell.

    Args:
        x: [T, B, I], a view of any strides but the last.
        h0, c0: [D, B, H] initial states.
        weights: one per direction, the second runs in reverse.
        batch_first: lay y out as [B, T, D*H] in memory (returned as [T, B, D*H] all the same).

    Returns:
        y [T, B, D*H], h_n [D, B, H], c_n [D, B, H].
    """
    parameters = [p for w in weights for p in (w.w_ih, w.w_hh, w.b_ih, w.b_hh)]
    if torch.is_grad_enabled() and any(
        t is not None and t.requires_grad for t in (x, h0, c0, *parameters)
    ):
        return _Layer.apply(batch_first, x, h0, c0, *parameters)  # type: ignore[no-any-return]
    y, h_n, c_n, _ = _forward(batch_first, x, h0, c0, parameters, keep=False)
    return y, h_n, c_n


class _Layer(torch.autograd.Function):
    """Forward keeps a tape per direction; backward runs natively.

    When backward's own graph is wanted (``create_graph=True``) it runs through the composite path.
    """

    @staticmethod
    def forward(
        ctx: Any, batch_first: bool, x: Tensor, h0: Tensor, c0: Tensor, *parameters: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        y, h_n, c_n, tapes = _forward(batch_first, x, h0, c0, parameters, keep=True)
        ctx.save_for_backward(x, h0, c0, y, *parameters, *tapes)
        ctx.directions = len(tapes)
        ctx.isa = _native.isa_name()
        ctx.set_materialize_grads(False)
        return y, h_n, c_n

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        D = ctx.directions
        x, h0, c0, y, *rest = ctx.saved_tensors
        parameters, tapes = rest[: D * _PER_DIRECTION], rest[D * _PER_DIRECTION :]
        if torch.is_grad_enabled() or any(map(_is_batched, grads)):
            return None, *_differentiable_backward(ctx, x, h0, c0, parameters, grads)
        if ctx.isa != _native.isa_name():
            raise RuntimeError(
                f"The instruction set changed from {ctx.isa} to {_native.isa_name()} between "
                "forward and backward. Run forward again."
            )
        return None, *_backward(ctx, x, h0, c0, y, parameters, tapes, grads)


def _forward(
    batch_first: bool,
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    parameters: Any,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    T, B, I = x.shape
    D, _, H = h0.shape
    y = x.new_empty((B, T, D * H) if batch_first else (T, B, D * H))
    if batch_first:
        y = y.transpose(0, 1)
    h_n, c_n = c0.new_empty(c0.shape), c0.new_empty(c0.shape)
    size = _native.tape_size(T, B, I, H, x.dtype == torch.float64) if keep else 0
    tapes = [x.new_empty(size) for _ in range(D if keep else 0)]
    x_rows, h0_, c0_ = _rows(x), _dense(h0), _dense(c0)
    y_, h_n_, c_n_ = _array(y), _array(h_n), _array(c_n)
    for d in range(D):
        _native.forward(
            x_rows,
            h0_[d],
            c0_[d],
            *map(_dense, parameters[d * _PER_DIRECTION : (d + 1) * _PER_DIRECTION]),
            y_[..., d * H : (d + 1) * H],
            h_n_[d],
            c_n_[d],
            _array(tapes[d]) if keep else None,
            d == 1,
            torch.get_num_threads(),
        )
    return y, h_n, c_n, tapes


def _backward(
    ctx: Any,
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    y: Tensor,
    parameters: list[Any],
    tapes: list[Tensor],
    grads: tuple[Tensor | None, ...],
) -> list[Tensor | None]:
    D, _, H = h0.shape
    dy, dh_n, dc_n = grads
    dy_ = None if dy is None else _rows(dy)
    dh_n_, dc_n_ = _dense(dh_n), _dense(dc_n)
    dh0, dc0 = c0.new_empty(c0.shape), c0.new_empty(c0.shape)
    x_rows, y_, h0_, dh0_, dc0_ = _rows(x), _array(y), _dense(h0), _array(dh0), _array(dc0)
    dxs = [_empty_rows_like(x) for _ in range(D if ctx.needs_input_grad[1] else 0)]
    d_parameters: list[Tensor | None] = []
    for d in range(D):
        w_ih, w_hh, b_ih, b_hh = parameters[d * _PER_DIRECTION : (d + 1) * _PER_DIRECTION]
        dw_ih, dw_hh, db = (
            w_ih.new_empty(w_ih.shape),
            w_hh.new_empty(w_hh.shape),
            w_ih.new_empty(4 * H),
        )
        columns = slice(d * H, (d + 1) * H)
        _native.backward(
            x_rows,
            h0_[d],
            _dense(w_ih),
            _dense(w_hh),
            y_[..., columns],
            _array(tapes[d]),
            None if dy_ is None else dy_[..., columns],
            None if dh_n_ is None else dh_n_[d],
            None if dc_n_ is None else dc_n_[d],
            _array(dxs[d]) if dxs else None,
            dh0_[d],
            dc0_[d],
            _array(dw_ih),
            _array(dw_hh),
            _array(db),
            d == 1,
            torch.get_num_threads(),
        )
        d_parameters += [dw_ih, dw_hh, None if b_ih is None else db,
                         None if b_hh is None else db.clone()]  # fmt: skip
    dx = None if not dxs else dxs[0] if D == 1 else dxs[0].add_(dxs[1])
    return [dx, dh0, dc0, *d_parameters]


def _differentiable_backward(
    ctx: Any,
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
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
        x_, h0_, c0_, *parameters_ = stand_ins
        outputs = []
        for d in range(ctx.directions):
            w = LayerWeights(*parameters_[d * _PER_DIRECTION : (d + 1) * _PER_DIRECTION])
            outputs.append(composite.run(x_, h0_[d], c0_[d], w, _CELL, reverse=d == 1))
        results = (
            torch.cat([y for y, _, _ in outputs], dim=2),
            torch.stack([h for _, h, _ in outputs]),
            torch.stack([c for _, _, c in outputs]),
        )
    used = [(r, g) for r, g in zip(results, grads, strict=True) if g is not None]
    wanted = [
        t if needed and t is not None else None
        for t, needed in zip(stand_ins, ctx.needs_input_grad[1:], strict=True)
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


def _is_batched(t: Tensor | None) -> bool:
    """Whether a gradient is many at once: under vmap, or the older one of is_grads_batched."""
    keys = None if t is None else torch._C._dispatch_keys(t)
    return keys is not None and any(keys.has(k) for k in _BATCHED)


def _dense(t: Tensor | None) -> Any:
    """The same numbers without gaps, as the core reads them."""
    return None if t is None else _array(_materialised(t.detach()).contiguous())


def _materialised(t: Tensor) -> Tensor:
    """Numbers in memory: gradients may arrive as a pending negation, or as zeros without memory."""
    return torch.zeros(t.shape, dtype=t.dtype) if t._is_zerotensor() else t.resolve_neg()


def _rows(t: Tensor) -> Any:
    """The same numbers with unit stride along the last axis."""
    t = _materialised(t)
    return _array(t if _has_unit_stride(t) else t.contiguous())


def _empty_rows_like(t: Tensor) -> Tensor:
    """Room for `_rows(t)`, each row in a place of its own; laid out like t where t is dense."""
    room = torch.empty_like(t)
    return room if _has_unit_stride(room) else t.new_empty(t.shape)


def _has_unit_stride(t: Tensor) -> bool:
    return t.stride(2) == 1 or t.shape[2] == 1


def _array(t: Tensor) -> Any:
    """A NumPy view: the bindings take it five times sooner than a tensor."""
    return t.detach().numpy()
