"""Layers of any cell of built-in activations on the native core, as one autograd function.

What is handed to the core are addresses: a tensor's view as an array costs more than a short call.
`paths.choose` has seen to it that they may be.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gatewise import _native
from gatewise.nn import composite
from gatewise.nn.composite import LayerWeights
from gatewise.nn.engine import Engine
from gatewise.nn.noise import Noise

_POOLED_SIZE = 1 << 18  # elements of a tape, from which on the core's own memory is worth its fee
_BATCHED = tuple(map(torch._C._dispatch_key_parse, ("Batched", "FuncTorchBatched")))


class Options(NamedTuple):
    """How to run; see `gatewise.nn.LSTM`.

    Attributes:
        batch_first: y lies in memory as [B, T, D*P].
        checkpoint_every: as in `gatewise.nn.LSTM`; 0 where there is noise.
        batch_sizes: [T] int64, of a `PackedSequence`: x and y hold the rows of all steps, [N, *].
        ragged: the same as the core takes it, `ragged_of(batch_sizes)`.
        noise: what disturbs the states.
    """

    batch_first: bool = False
    checkpoint_every: int = 0
    batch_sizes: Tensor | None = None
    ragged: _native.Ragged | None = None
    noise: Noise | None = None


def ragged_of(batch_sizes: Tensor) -> _native.Ragged:
    """Return the batch of these sizes, of a `gatewise.nn.ragged.is_well_packed` sequence."""
    batch_sizes = batch_sizes.contiguous()
    return _native.Ragged(batch_sizes.data_ptr(), batch_sizes.shape[0])


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
        h0, c0: [L*D, B, P] and [L*D, B, H] initial states, or None for zeros.
        parameters: `engine.names` of each layer and direction.
        options: how.

    Returns:
        y [T, B, D*P] (in memory [B, T, D*P] if batch_first), h_n [L*D, B, P], c_n [L*D, B, H].
    """
    if torch.is_grad_enabled() and any(
        t is not None and t.requires_grad for t in (x, h0, c0, *parameters)
    ):
        outputs = _Layers.apply(engine, options, x, h0, c0, *parameters)
        return cast(tuple[Tensor, Tensor, Tensor], outputs)
    return forward(engine, options, x, h0, c0, parameters)[:3]


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
        y, h_n, c_n, tape, ctx.weights = forward(
            engine, options, x, h0, c0, list(parameters), keep=True
        )
        ctx.save_for_backward(x, h0, c0, y, tape, *parameters)
        ctx.engine, ctx.options = engine, options
        ctx.set_materialize_grads(False)
        return y, h_n, c_n

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        x, h0, c0, y, tape, *parameters = ctx.saved_tensors
        if torch.is_grad_enabled() or any(map(_is_batched, grads)):
            return None, None, *_differentiable_backward(ctx, x, h0, c0, parameters, grads)
        call = (ctx.engine, ctx.options, x, h0, c0, parameters)
        return None, None, *backward(*call, ctx.weights, y, tape, grads, ctx.needs_input_grad[2])


def forward(
    engine: Engine,
    options: Options,
    x: Tensor,
    h0: Tensor | None,
    c0: Tensor | None,
    parameters: list[Tensor | None],
    keep: bool = False,
) -> Any:
    """Return y, h_n, c_n, the tape (None without `keep`), and the packed weights."""
    L, D, _, H = engine.sizes
    P, dtype = engine.projection or H, x.dtype
    T, B = _steps_and_rows(x, options)
    ragged = options.ragged
    weights = engine.pack(parameters, dtype)
    if options.batch_first:
        y = x.new_empty((B, T, D * P)).transpose(0, 1)
    else:
        y = x.new_empty((*x.shape[:-1], D * P))
    h_n = x.new_empty((L * D, B, P))
    c_n = torch.empty_like(h_n) if P == H else x.new_empty((L * D, B, H))
    every = options.checkpoint_every if keep else 0
    tape = _tape(weights, T, B, every, ragged, dtype) if keep else None
    x, h0, c0 = _with_dense_rows(x), _dense(h0), _dense(c0)
    weights.forward(
        _call(options, T, B, x, h0, c0, every),
        y=_rows(y), h_n=h_n.data_ptr(), c_n=c_n.data_ptr(), tape=_address(tape),
    )  # fmt: skip
    return y, h_n, c_n, tape, weights


def _steps_and_rows(x: Tensor, options: Options) -> tuple[int, int]:
    """T and B."""
    ragged = options.ragged
    return (x.shape[0], x.shape[1]) if ragged is None else (ragged.T, ragged.B)


def _call(
    options: Options, T: int, B: int, x: Tensor, h0: Tensor | None, c0: Tensor | None, every: int
) -> _native.Call:
    """What forward and backward share, as the core takes it."""
    return _native.Call(
        T=T, B=B, threads=torch.get_num_threads(), x=_rows(x), h0=_address(h0), c0=_address(c0),
        checkpoint_every=every, ragged=options.ragged, noise=_noise(options.noise),
    )  # fmt: skip


def _noise(noise: Noise | None) -> _native.Noise | None:
    if noise is None:
        return None
    return _native.Noise(
        recurrent_mask=_address(noise.recurrent),
        zoneout_h=_address(noise.zoneout_h),
        zoneout_c=_address(noise.zoneout_c),
        rate_h=noise.rates[0],
        rate_c=noise.rates[1],
    )


def _tape(
    weights: Any, T: int, B: int, every: int, ragged: _native.Ragged | None, dtype: torch.dtype
) -> Tensor:
    size = weights.tape_size(T, B, every, ragged)
    if size < _POOLED_SIZE:
        return torch.empty(size, dtype=dtype)
    return weights.tape(T, B, every, ragged)


def backward(
    engine: Engine,
    options: Options,
    x: Tensor,
    h0: Tensor | None,
    c0: Tensor | None,
    parameters: list[Any],
    weights: Any,
    y: Tensor,
    tape: Tensor,
    grads: tuple[Tensor | None, ...],
    want_dx: bool,
) -> list[Tensor | None]:
    """Return the gradients of x (None unless wanted), h0, c0 and the parameters.

    Args:
        engine, options, x, h0, c0, parameters: as forward had them.
        weights, y, tape: as forward gave them.
        grads: of y, h_n and c_n, None for zeros.
        want_dx: whether x needs one.
    """
    L, D, _, H = engine.sizes
    T, B = _steps_and_rows(x, options)
    dy, dh_n, dc_n = grads
    dy = None if dy is None else _with_dense_rows(_materialised(dy))
    dh_n, dc_n = (None if g is None else _dense(_materialised(g)) for g in (dh_n, dc_n))
    dx = empty_rows_like(x) if want_dx else None
    dh0, dc0 = (x.new_empty((L * D, B, size)) for size in (engine.projection or H, H))
    count = len(engine.names)
    found = []  # dw_ih, dw_hh, db and the others' of each layer and direction
    for k in range(L * D):
        w_ih, w_hh, _, _, *others = parameters[count * k : count * (k + 1)]
        shapes = (w_ih.shape, w_hh.shape, (4 * H,), *(p.shape for p in others))
        found.append([w_ih.new_empty(shape) for shape in shapes])
    x, h0, c0 = _with_dense_rows(x), _dense(h0), _dense(c0)
    weights.backward(
        _call(options, T, B, x, h0, c0, options.checkpoint_every),
        y=_rows(y), tape=tape.data_ptr(), dy=_rows(dy), dh_n=_address(dh_n), dc_n=_address(dc_n),
        dx=_rows(dx), dh0=dh0.data_ptr(), dc0=dc0.data_ptr(),
        gradients=tuple([g.data_ptr() for own in found for g in own]),
    )  # fmt: skip
    d_parameters: list[Tensor | None] = []
    for k, (dw_ih, dw_hh, db, *others) in enumerate(found):
        b_ih, b_hh = parameters[count * k + 2 : count * k + 4]
        d_parameters += [dw_ih, dw_hh, None if b_ih is None else db,
                         None if b_hh is None else db.clone(), *others]  # fmt: skip
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
        results = _composite(ctx.engine, ctx.options, *stand_ins)
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
    engine: Engine,
    options: Options,
    x: Tensor,
    h0: Tensor | None,
    c0: Tensor | None,
    *parameters: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    L, D, _, H = engine.sizes
    lengths = None
    if options.batch_sizes is not None:
        x, lengths = pad_packed_sequence(PackedSequence(x, options.batch_sizes))
    B, count = x.shape[1], len(engine.names)
    h0 = x.new_zeros(L * D, B, engine.projection or H) if h0 is None else h0
    c0 = x.new_zeros(L * D, B, H) if c0 is None else c0
    weights = [
        LayerWeights(**dict(zip(engine.names, parameters[k * count :], strict=False)))
        for k in range(L * D)
    ]
    masks = None
    if options.noise is not None:
        masks = [options.noise.masks(k, options.batch_sizes) for k in range(L * D)]
    y, h_n, c_n = composite.run_layers(x, h0, c0, weights, engine.cell, L, lengths, masks)
    return y if lengths is None else pack_padded_sequence(y, lengths).data, h_n, c_n


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


def empty_rows_like(t: Tensor) -> Tensor:
    """Room for dx, each row in a place of its own; laid out like x where x is dense."""
    room = torch.empty_like(t)
    return room if _has_unit_stride(room) else t.new_empty(t.shape)


def _has_unit_stride(t: Tensor) -> bool:
    return t.stride(-1) == 1 or t.shape[-1] == 1


def _address(t: Tensor | None) -> int:
    return 0 if t is None else t.data_ptr()


def _rows(t: Tensor | None) -> tuple[int, int, int]:
    """Address, and the strides of time and batch; of a ragged batch, [N, *], only that of rows."""
    return (0, 0, 0) if t is None else (t.data_ptr(), t.stride(0), t.stride(-2))
