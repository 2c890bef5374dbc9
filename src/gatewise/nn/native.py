"""Layers of any cell of built-in activations on the native core, as one autograd function.

Usual calls hand their tensors to the core, which reads them itself; all others hand over addresses
(`docs/decisions/0021-tensors-in-the-core.md`). `paths.choose` has seen to it that they may.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from gatewise import _native
from gatewise.errors import ShapeError
from gatewise.nn import compiler, differentiable, paths
from gatewise.nn.engine import Engine
from gatewise.nn.options import Options
from gatewise.nn.paths import address

_NOTHING = torch.empty(0, device="cpu")
_OF_HOOKS = "A hook of saved tensors shall unpack what it was given to pack."
_BATCHED = tuple(map(torch._C._dispatch_key_parse, ("Batched", "FuncTorchBatched")))


@compiler.eager
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
        y, h_n, c_n, tape, ctx.weights = forward(engine, options, x, h0, c0, parameters, keep=True)
        kept, ctx.changes = without_count(y)
        ctx.save_for_backward(x, h0, c0, kept, tape, *parameters)
        tensors = (x, h0, c0, y, tape, *parameters)
        ctx.shapes = tuple([None if t is None else t.shape for t in tensors])
        ctx.engine, ctx.options, ctx.dtype = engine, options, x.dtype
        ctx.set_materialize_grads(False)
        return y, h_n, c_n

    @staticmethod
    @compiler.eager
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors  # once: checkpoint computes them here
        x, h0, c0, y, tape, *parameters = saved
        needed, options = ctx.needs_input_grad[2:], ctx.options
        needs_composite = (
            torch.is_grad_enabled() or paths.are_modes_active() or paths.is_transformed()
        )
        if not needs_composite and options.is_usual and not ctx.changes._version:
            found = ctx.weights.backward_tensors(
                saved,
                ctx.shapes,
                grads,
                needed,
                torch.get_num_threads(),
                min(options.checkpoint_every, x.shape[0]),
            )
            if found is not None:
                return None, None, *found
        if needs_composite or any(map(_is_odd, grads)):
            spec, given = ctx.engine.spec, [x, h0, c0, *parameters]
            return None, None, *differentiable.backward(spec, options, given, grads, needed)
        check_tensors(saved, ctx.shapes, ctx.dtype, _OF_HOOKS)
        call = (ctx.engine, options, x, h0, c0, parameters)
        if ctx.changes._version:
            y = forward(*call, weights=ctx.weights)[0]
        return None, None, *backward(*call, ctx.weights, y, tape, grads, needed)


def without_count(y: Tensor) -> tuple[Tensor, Tensor]:
    """Return an output as backward may keep it, and what counts the changes of the output.

    PyTorch lets in-place work follow an operation whose backward does not need its output. Ours
    needs y, but can compute it once more. So it keeps y's numbers under a count of their own, and
    looks at the count of y, which an empty tensor shares. Neither leads back to the graph.
    """
    changes = y.detach()
    changes.data = _NOTHING
    return y.data, changes


def forward(
    engine: Engine,
    options: Options,
    x: Tensor,
    h0: Tensor | None,
    c0: Tensor | None,
    parameters: Sequence[Tensor | None],
    keep: bool = False,
    weights: Any = None,
) -> Any:
    """Return y, h_n, c_n, the tape (None without `keep`), and the packed weights.

    Those are `weights` if given, else the parameters' of now.
    """
    if engine.frozen and weights is None:
        weights = engine.pack(parameters, x.dtype)
    if options.is_usual:
        shapes = engine.usual_shapes if h0 is None else engine.usual_shapes_with_states
        found = engine.cache(x.dtype).forward_tensors(
            (x, h0, c0, *parameters), shapes, torch.get_num_threads(), keep,
            min(options.checkpoint_every, x.shape[0]), weights,
        )  # fmt: skip
        if found is not None:
            return found
    L, D, _, H = engine.sizes
    P, dtype = engine.projection or H, x.dtype
    T, B = _steps_and_rows(x, options)
    ragged = options.ragged
    weights = weights or engine.pack(parameters, dtype)
    if options.batch_first:  # not a view, which could not be worked on in place
        y = x.new_empty_strided((T, B, D * P), (D * P, T * D * P, 1))
    else:
        y = x.new_empty((*x.shape[:-1], D * P))
    h_n = x.new_empty((L * D, B, P))
    c_n = torch.empty_like(h_n) if P == H else x.new_empty((L * D, B, H))
    every = min(options.checkpoint_every, T) if keep else 0
    tape = weights.tape_like(x, T, B, every, ragged) if keep else None
    x, h0, c0 = _with_dense_rows(x), dense(h0), dense(c0)
    weights.forward(
        _call(options, T, B, x, h0, c0, every),
        y=_rows(y), h_n=h_n.data_ptr(), c_n=c_n.data_ptr(), tape=address(tape),
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
    noise = options.noise
    return _native.make_call(
        address, _rows, T=T, B=B, threads=torch.get_num_threads(), x=x, h0=h0, c0=c0,
        checkpoint_every=every, ragged=options.ragged, masks=noise and noise[:3],
        rates=noise.rates if noise else (0.0, 0.0),
    )  # fmt: skip


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
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """Return the gradients of x, h0, c0 and the parameters, each None unless it is needed.

    Args:
        engine, options, x, h0, c0, parameters: as forward had them.
        weights, y, tape: as forward gave them.
        grads: of y, h_n and c_n, None for zeros.
        needed: whether x, h0, c0 and each parameter needs a gradient; what is None never does.
    """
    L, D, _, H = engine.sizes
    T, B = _steps_and_rows(x, options)
    dy, dh_n, dc_n = grads
    dy = None if dy is None else _with_dense_rows(materialised(dy))
    dh_n, dc_n = (None if g is None else dense(materialised(g)) for g in (dh_n, dc_n))
    want_dx, want_dh0, want_dc0, *want = needed
    dx = empty_rows_like(x) if want_dx else None
    dh0 = x.new_empty((L * D, B, engine.projection or H)) if want_dh0 else None
    dc0 = x.new_empty((L * D, B, H)) if want_dc0 else None
    found = [_room_like(p) if w else None for p, w in zip(parameters, want, strict=True)]
    count, addresses = len(engine.names), []  # the core gives both biases one gradient
    for k in range(0, len(found), count):
        w_ih, w_hh, b_ih, b_hh, *others = found[k : k + count]
        own = (w_ih, w_hh, b_hh if b_ih is None else b_ih, *others)
        addresses += [0 if g is None else g.data_ptr() for g in own]
    x, h0, c0 = _with_dense_rows(x), dense(h0), dense(c0)
    y, tape = _with_dense_rows(y), tape.contiguous()  # hooks of saved tensors may have moved them
    weights.backward(
        _call(options, T, B, x, h0, c0, options.checkpoint_every),
        y=_rows(y), tape=address(tape), dy=_rows(dy), dh_n=address(dh_n), dc_n=address(dc_n),
        dx=_rows(dx), dh0=address(dh0), dc0=address(dc0), gradients=tuple(addresses),
    )  # fmt: skip
    for k in range(2, len(found), count):
        b_ih, b_hh = found[k : k + 2]
        if b_ih is not None and b_hh is not None:
            b_hh.copy_(b_ih)
    return [dx, dh0, dc0, *found]


def _is_odd(gradient: Tensor | None) -> bool:
    """Whether the core cannot read it."""
    return gradient is not None and (type(gradient) is not Tensor or is_many(gradient))


def is_many(gradient: Tensor | None) -> bool:
    """Whether it is many at once: under vmap, or the older one of is_grads_batched."""
    keys = None if gradient is None else torch._C._dispatch_keys(gradient)
    return keys is not None and any(keys.has(k) for k in _BATCHED)


def check_tensors(
    tensors: Sequence[Tensor | None], shapes: Sequence[Any], dtype: torch.dtype, remedy: str
) -> None:
    """Refuse tensors of which the core would read, or write, other memory than is theirs.

    Raises:
        ShapeError: one is not of its shape and of this dtype, in plain memory.
    """
    for t, shape in zip(tensors, shapes, strict=True):
        if t is not None and not (t.shape == shape and t.dtype is dtype and paths.is_plain(t)):
            raise ShapeError(
                f"A tensor is a {type(t).__name__} of shape {tuple(t.shape)}, {t.dtype} on "
                f"{t.device}: expected {tuple(shape)}, {dtype} on the CPU. {remedy}"
            )


def materialised(t: Tensor) -> Tensor:
    """Numbers in memory: gradients may arrive as a pending negation, or as zeros without memory."""
    return t.new_zeros(t.shape) if t._is_zerotensor() else t.resolve_neg()


def dense(t: Tensor | None) -> Tensor | None:
    """The same numbers without gaps."""
    if t is None or t.is_contiguous():
        return t
    address(t)  # before it is copied
    return t.contiguous()


def _with_dense_rows(t: Tensor) -> Tensor:
    """The same numbers with unit stride along the last axis."""
    return t if _has_unit_stride(t) else cast(Tensor, dense(t))


def empty_rows_like(t: Tensor) -> Tensor:
    """Room for dx, each row in a place of its own; laid out like x where x is dense."""
    room = torch.empty_like(t)
    return room if _has_unit_stride(room) else t.new_empty(t.shape)


def _room_like(t: Tensor) -> Tensor:
    """Room for a tensor of the same shape, dense: `empty_like` takes half the time of others."""
    return torch.empty_like(t, memory_format=torch.contiguous_format)


def _has_unit_stride(t: Tensor) -> bool:
    return t.stride(-1) == 1 or t.shape[-1] == 1


def _rows(t: Tensor | None) -> tuple[int, int, int]:
    """Address, and the strides of time and batch; of a ragged batch, [N, *], only that of rows."""
    return (0, 0, 0) if t is None else (address(t), t.stride(0), t.stride(-2))
