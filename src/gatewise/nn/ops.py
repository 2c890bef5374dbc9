"""The native core as PyTorch operators, which torch.compile and torch.export leave as they are.

    gatewise::lstm            forward; with `keep` also the tape
    gatewise::lstm_backward   the gradients of all tensors that forward read

An operator takes tensors and plain values only. What else a call is made of stands in `config`, as
JSON; packed weights are found again by the memory of the first parameter.

PyTorch's compiler breaks the graph at every `torch.nn.LSTM`, and so at ours, unless it is told not
to: ``torch._dynamo.config.allow_rnn = True``. Else the LSTM's layers become a graph of their own.
"""

from __future__ import annotations

import json
from dataclasses import fields
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.flop_counter import register_flop_formula

from gatewise import _native
from gatewise.cell import Activation, Cell
from gatewise.errors import ConfigError, DtypeError, ShapeError, shortened, shown
from gatewise.nn import compiler, differentiable, masks, native, paths
from gatewise.nn.engine import Engine
from gatewise.nn.noise import Noise
from gatewise.nn.options import Options
from gatewise.nn.spec import Spec
from gatewise.nn.variants import check_whole

Maybe = Tensor | None

_CELL_FIELDS = tuple(field.name for field in fields(Cell))

# noise: the three masks of `Noise`, or nothing.
_CALL = "Tensor x, Tensor? h0, Tensor? c0, Tensor?[] parameters, Tensor?[] noise, str config"
torch.library.define("gatewise::lstm", f"({_CALL}, bool keep) -> (Tensor, Tensor, Tensor, Tensor)")
torch.library.define(
    "gatewise::lstm_backward",
    f"({_CALL}, Tensor y, Tensor tape, Tensor? dy, Tensor? dh_n, Tensor? dc_n, bool want_dx)"
    " -> Tensor[]",
)


def run(
    spec: Spec,
    x: Tensor,
    h0: Maybe,
    c0: Maybe,
    parameters: list[Maybe],
    options: Options,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run layers as one operator.

    It keeps a tape where gradients are wanted. An exported program keeps none: training one runs
    forward twice. Compiled, neither has second derivatives.

    Args:
        spec: what the layers are.
        x, h0, c0, parameters, options: as in `native.run`, of a padded batch.

    Returns:
        y, h_n, c_n as from `native.run`.
    """
    keep = not torch.compiler.is_exporting() and _wants_gradients(x, h0, c0, *parameters)
    noise, rates = ([], None) if options.noise is None else (options.noise[:3], options.noise.rates)
    # PyTorch's compiler takes constants apart, but no dataclass.
    cell = tuple(_plain(getattr(spec.cell, name)) for name in _CELL_FIELDS)
    config = _encoded((*spec[:-1], cell), options._replace(noise=None), rates)
    y, h_n, c_n, _ = torch.ops.gatewise.lstm(x, h0, c0, parameters, noise, config, keep)
    return y, h_n, c_n


def _plain(value: Any) -> Any:
    """A field of a cell as `Cell.as_tuple` has it."""
    if isinstance(value, Activation):
        return value.name, value.scale, value.slope, value.shift
    return value


def _wants_gradients(*tensors: Maybe) -> bool:
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


class _Config(NamedTuple):
    """What a call is made of beside tensors."""

    spec: Spec
    options: Options  # but for the noise
    rates: tuple[float, float] | None

    def with_noise(self, drawn: list[Maybe]) -> Options:
        if self.rates is None:
            return self.options
        dense = [None if mask is None else mask.contiguous() for mask in drawn]
        noise = Noise(*dense, rates=self.rates)
        return self.options._replace(noise=noise, checkpoint_every=0)


@compiler.constant
def _encoded(
    spec: tuple[Any, ...], options: Options, rates: tuple[float, float] | None = None
) -> str:
    """A call's `_Config` as JSON; the spec's last field is the cell, as a tuple."""
    return json.dumps([spec, options, rates])


@lru_cache(256)
def _decoded(config: str) -> _Config:
    """Read what `_encoded` wrote: anyone may call an operator, with any text.

    Raises:
        ConfigError, ShapeError: it is none, or of an LSTM that there cannot be.
    """
    try:
        (*sizes, cell), options, rates = json.loads(config)
        spec, options = Spec(*sizes, cell=Cell.from_tuple(cell)), Options(*options)
        rates = None if rates is None else masks.checked_zoneout(tuple(rates))
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"config is {shown(config)} ({shortened(error)}): expected what gatewise.nn wrote. "
            "Take it from a graph that holds a call of the operator."
        ) from None
    L, D, I, H, projection, bias, bfloat16, _ = spec
    for holds, expected in (
        (len(sizes) + 1 == len(spec), f"{len(spec)} fields of the LSTM"),
        (len(cell) == len(_CELL_FIELDS), f"{len(_CELL_FIELDS)} fields of the cell"),
        (all(type(n) is int for n in (L, D, I, H, projection)), "whole numbers as sizes"),
        (all(type(b) is bool for b in (bias, bfloat16)), "true or false for bias and bfloat16"),
        (options[2:] == (None, None, None), "a padded batch"),
    ):
        if not holds:
            raise ConfigError(f"config is {shown(config)}: expected {expected}.")
    _native.check_sizes(L, D, I, H, projection)
    check_whole(options.checkpoint_every)
    return _Config(spec, options, rates)


_engines: dict[tuple[int, str], tuple[StorageWeakRef, Engine]] = {}


def _engine(parameters: list[Maybe], config: str) -> Engine:
    """Return an engine that goes when the memory of the first parameter does.

    What it holds packed need not be these parameters: `Engine.pack` looks at their bits.
    """
    first = parameters[0]
    assert first is not None  # `_check` has seen it
    memory = StorageWeakRef(first.untyped_storage())
    key = (memory.cdata, config)
    found = _engines.get(key)
    if found is None:
        for old, (owner, _) in list(_engines.items()):
            if owner.expired():
                _engines.pop(old, None)
        found = _engines.setdefault(key, (memory, Engine(_decoded(config).spec)))
    return found[1]


_REMEDY = "Give the operator what forward had and gave."


def _check(
    x: Tensor, h0: Maybe, c0: Maybe, parameters: list[Maybe], noise: list[Maybe], config: str
) -> tuple[Spec, int, int]:
    """Return spec, T and B of a call: anyone may call an operator, and the core trusts addresses.

    Raises:
        ShapeError, DtypeError: the tensors do not fit the configuration or each other.
    """
    spec, _, rates = _decoded(config)
    if x.dtype not in paths.NATIVE_DTYPES:
        raise DtypeError(f"x is {x.dtype}: expected float32 or float64. Convert x and the module.")
    T, B, I = x.shape if x.dim() == 3 and x.numel() else (0, 0, 0)
    if I != spec.I:
        raise ShapeError(
            f"x has shape {tuple(x.shape)}: expected [T, B, {spec.I}], none of them 0. "
            "The operator takes padded batches."
        )
    count, masked = spec.L * spec.D * len(spec.names), 3 if rates else 0
    if len(parameters) != count or len(noise) != masked:
        raise ShapeError(
            f"There are {len(parameters)} parameters and {len(noise)} masks: expected {count} and "
            f"{masked}. {_REMEDY}"
        )
    spec.check(parameters)
    states = (spec.L * spec.D, B)
    shapes = [x.shape, (*states, spec.P), (*states, spec.H), *spec.shapes]
    native.check_tensors((x, h0, c0, *parameters), shapes, x.dtype, _REMEDY)
    steps = (spec.L * spec.D, T, B)
    drawn = [(*states, spec.P), (*steps, spec.P), (*steps, spec.H)]
    native.check_tensors(noise, drawn[: len(noise)], x.dtype, _REMEDY)
    return spec, T, B


@torch.library.impl("gatewise::lstm", "CPU")
@compiler.not_compiled
def _forward(
    x: Tensor, h0: Maybe, c0: Maybe, parameters: list[Maybe], noise: list[Maybe], config: str,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    with paths.unseen():
        _check(x, h0, c0, parameters, noise, config)
        engine, options = _engine(parameters, config), _decoded(config).with_noise(noise)
        y, h_n, c_n, tape, _ = native.forward(engine, options, x, h0, c0, parameters, keep)
    return y, h_n, c_n, x.new_empty(0) if tape is None else tape


@torch.library.register_fake("gatewise::lstm")
def _forward_shapes(
    x: Tensor, h0: Maybe, c0: Maybe, parameters: list[Maybe], noise: list[Maybe], config: str,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    spec, options, _ = _decoded(config)
    L, D, H, P = spec.L, spec.D, spec.H, spec.P
    T, B, _ = x.shape
    h_n, c_n = (x.new_empty((L * D, B, size)) for size in (P, H))
    if options.batch_first:
        y = x.new_empty_strided((T, B, D * P), (D * P, T * D * P, 1))
    else:
        y = x.new_empty((T, B, D * P))
    return y, h_n, c_n, x.new_empty(_tape_size(spec, T, B) if keep else 0)


def _tape_size(spec: Spec, T: Any, B: Any) -> Any:
    """How long a tape is, is the core's own affair: a number that is not known yet."""
    context = torch.library.get_ctx()
    if context._shape_env is not None:
        return context.new_dynamic_size()
    return (
        5 * spec.L * spec.D * T * B * spec.H
    )  # as documented; FakeTensorMode alone has no symbols


@torch.library.impl("gatewise::lstm_backward", "CPU")
def _backward(
    x: Tensor, h0: Maybe, c0: Maybe, parameters: list[Maybe], noise: list[Maybe], config: str,
    y: Tensor, tape: Tensor, dy: Maybe, dh_n: Maybe, dc_n: Maybe, want_dx: bool,
) -> list[Tensor]:  # fmt: skip
    with paths.unseen():
        spec, T, B = _check(x, h0, c0, parameters, noise, config)
        engine, options = _engine(parameters, config), _decoded(config).with_noise(noise)
        weights = engine.pack(parameters, x.dtype)
        rows, states = (T, B, spec.D * spec.P), (spec.L * spec.D, B)
        size = weights.tape_size(T, B, min(options.checkpoint_every, T), None)
        shapes = (rows, (size,), rows, (*states, spec.P), (*states, spec.H))
        native.check_tensors((y, tape, dy, dh_n, dc_n), shapes, x.dtype, _REMEDY)
        needed = [want_dx, *(t is not None for t in (h0, c0, *parameters))]
        found = native.backward(
            engine, options, x, h0, c0, parameters, weights, y, tape, (dy, dh_n, dc_n), needed
        )
    return [g for g in found if g is not None]


@torch.library.register_fake("gatewise::lstm_backward")
def _backward_shapes(
    x: Tensor, h0: Maybe, c0: Maybe, parameters: list[Maybe], noise: list[Maybe], config: str,
    y: Tensor, tape: Tensor, dy: Maybe, dh_n: Maybe, dc_n: Maybe, want_dx: bool,
) -> list[Tensor]:  # fmt: skip
    others = [t.new_empty(t.shape) for t in (h0, c0, *parameters) if t is not None]
    return [native.empty_rows_like(x), *others] if want_dx else others


class _LSTM(torch.autograd.Function):
    """The operators as a differentiable function; without a tape, backward runs forward for one."""

    @staticmethod
    def forward(
        ctx: Any, config: str, keep: bool, noise: list[Maybe], x: Tensor, h0: Maybe, c0: Maybe,
        *parameters: Maybe,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
        call = (x, h0, c0, list(parameters), noise, config)
        with torch._C._AutoDispatchBelowAutograd():
            y, h_n, c_n, tape = torch.ops.gatewise.lstm(*call, keep)
        # A compiler's own tensors are not worked on in place.
        kept, ctx.changes = native.without_count(y) if type(y) is Tensor else (y, None)
        ctx.save_for_backward(x, h0, c0, kept, tape, *parameters)
        ctx.config, ctx.keep, ctx.noise = config, keep, noise
        ctx.mark_non_differentiable(tape)
        ctx.set_materialize_grads(False)
        return y, h_n, c_n, tape

    @staticmethod
    def backward(ctx: Any, *grads: Maybe) -> tuple[Maybe, ...]:  # type: ignore[override]
        x, h0, c0, y, tape, *parameters = ctx.saved_tensors
        needed = ctx.needs_input_grad[3:]
        if torch.is_grad_enabled() or any(map(native.is_many, grads)):
            spec, given = _decoded(ctx.config).spec, [x, h0, c0, *parameters]
            options = _decoded(ctx.config).with_noise(ctx.noise)
            found = differentiable.backward(spec, options, given, grads[:3], needed)
            return None, None, None, *found
        call = (x, h0, c0, parameters, ctx.noise, ctx.config)
        if not ctx.keep:
            tape = torch.ops.gatewise.lstm(*call, True)[3]
        if ctx.changes is not None and ctx.changes._version:
            y = torch.ops.gatewise.lstm(*call, False)[0]
        rest = iter(torch.ops.gatewise.lstm_backward(*call, y, tape, *grads[:3], needed[0]))
        dx = next(rest) if needed[0] else None
        others = (None if t is None else next(rest) for t in (h0, c0, *parameters))
        return None, None, None, dx, *others


@torch.library.impl("gatewise::lstm", "Autograd")
def _with_autograd(
    x: Tensor, h0: Maybe, c0: Maybe, parameters: list[Maybe], noise: list[Maybe], config: str,
    keep: bool,
) -> Any:  # fmt: skip
    if _wants_gradients(x, h0, c0, *parameters):
        return _LSTM.apply(config, keep, noise, x, h0, c0, *parameters)
    with torch._C._AutoDispatchBelowAutograd():
        return torch.ops.gatewise.lstm(x, h0, c0, parameters, noise, config, keep)


@register_flop_formula(torch.ops.gatewise.lstm)
def _forward_flops(
    x: Any, h0: Any, c0: Any, parameters: Any, noise: Any, config: str, keep: bool, **_: Any
) -> int:
    """What `torch.utils.flop_counter` counts of PyTorch's operators: the products alone."""
    return sum(_flops(x, config))


@register_flop_formula(torch.ops.gatewise.lstm_backward)
def _backward_flops(
    x: Any, h0: Any, c0: Any, parameters: Any, noise: Any, config: str, y: Any, tape: Any, dy: Any,
    dh_n: Any, dc_n: Any, want_dx: bool, **_: Any,
) -> int:  # fmt: skip
    """Each product of forward twice; no dx of the first layer unless wanted."""
    found = _flops(x, config)
    return 2 * sum(found) - (0 if want_dx else found[0])


def _flops(x: Any, config: str) -> tuple[int, int]:
    """Of the first layer's products with its input, and of all others."""
    spec = _decoded(config).spec
    T, B, _ = x
    rows = 2 * T * B * spec.D * 4 * spec.H
    above = (spec.L - 1) * spec.D * spec.P + spec.L * spec.P
    projections = 2 * T * B * spec.D * spec.L * spec.H * spec.projection
    return rows * spec.I, rows * above + projections
