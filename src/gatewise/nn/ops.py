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
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.multiprocessing.reductions import StorageWeakRef

from gatewise.cell import Cell
from gatewise.nn import native
from gatewise.nn.engine import Engine
from gatewise.nn.native import Options
from gatewise.nn.noise import Noise
from gatewise.nn.spec import Spec

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
    forward twice. Neither has second derivatives.

    Args:
        spec: what the layers are.
        x, h0, c0, parameters, options: as in `native.run`, of a padded batch.

    Returns:
        y, h_n, c_n as from `native.run`.
    """
    keep = not torch.compiler.is_exporting() and _wants_gradients(x, h0, c0, *parameters)
    noise, rates = ([], None) if options.noise is None else (options.noise[:3], options.noise.rates)
    # PyTorch's compiler takes constants apart, but no dataclass.
    cell = tuple(getattr(spec.cell, name) for name in _CELL_FIELDS)
    config = _encoded((*spec[:-1], cell), options._replace(noise=None), rates)
    y, h_n, c_n, _ = torch.ops.gatewise.lstm(x, h0, c0, parameters, noise, config, keep)
    return y, h_n, c_n


def _wants_gradients(*tensors: Maybe) -> bool:
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


class _Config(NamedTuple):
    """What a call is made of beside tensors."""

    spec: Spec
    options: Options  # but for the noise
    rates: tuple[float, float] | None

    def with_noise(self, masks: list[Maybe]) -> Options:
        if self.rates is None:
            return self.options
        masks = [None if mask is None else mask.contiguous() for mask in masks]
        noise = Noise(*masks, rates=self.rates)
        return self.options._replace(noise=noise)


@torch.compiler.assume_constant_result
def _encoded(
    spec: tuple[Any, ...], options: Options, rates: tuple[float, float] | None = None
) -> str:
    """A call's `_Config` as JSON; the spec's last field is the cell, as a tuple."""
    return json.dumps([spec, options, rates])


@cache
def _decoded(config: str) -> _Config:
    (*sizes, cell), options, rates = json.loads(config)
    rates = None if rates is None else tuple(rates)
    return _Config(Spec(*sizes, cell=Cell(*cell)), Options(*options), rates)


_engines: dict[tuple[int, str], tuple[StorageWeakRef, Engine]] = {}


def _engine(parameters: list[Maybe], config: str) -> Engine:
    """Return an engine that goes when the memory of the first parameter does.

    What it holds packed need not be these parameters: `Engine.pack` looks at their bits.
    """
    first = parameters[0]
    assert first is not None  # the biases may be missing, w_ih never is
    memory = StorageWeakRef(first.untyped_storage())
    key = (memory.cdata, config)
    found = _engines.get(key)
    if found is None:
        for old, (owner, _) in list(_engines.items()):
            if owner.expired():
                _engines.pop(old, None)
        found = _engines.setdefault(key, (memory, Engine(_decoded(config).spec)))
    return found[1]


@torch.library.impl("gatewise::lstm", "CPU")
@torch.compiler.disable
def _forward(
    x: Tensor, h0: Maybe, c0: Maybe, parameters: list[Maybe], noise: list[Maybe], config: str,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
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
    first, second = (B, T) if options.batch_first else (T, B)
    y = x.new_empty((first, second, D * P))
    h_n, c_n = (x.new_empty((L * D, B, size)) for size in (P, H))
    # How long a tape is, is the core's own affair.
    size = torch.library.get_ctx().new_dynamic_size() if keep else 0
    return y.transpose(0, 1) if options.batch_first else y, h_n, c_n, x.new_empty(size)


@torch.library.impl("gatewise::lstm_backward", "CPU")
def _backward(
    x: Tensor, h0: Maybe, c0: Maybe, parameters: list[Maybe], noise: list[Maybe], config: str,
    y: Tensor, tape: Tensor, dy: Maybe, dh_n: Maybe, dc_n: Maybe, want_dx: bool,
) -> list[Tensor]:  # fmt: skip
    engine, options = _engine(parameters, config), _decoded(config).with_noise(noise)
    weights = engine.pack(parameters, x.dtype)
    found = native.backward(
        engine, options, x, h0, c0, parameters, weights, y, tape, (dy, dh_n, dc_n), want_dx
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
        ctx.save_for_backward(x, h0, c0, y, tape, *parameters)
        ctx.config, ctx.keep, ctx.noise = config, keep, noise
        ctx.mark_non_differentiable(tape)
        ctx.set_materialize_grads(False)
        return y, h_n, c_n, tape

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Maybe) -> tuple[Maybe, ...]:  # type: ignore[override]
        x, h0, c0, y, tape, *parameters = ctx.saved_tensors
        call = (x, h0, c0, parameters, ctx.noise, ctx.config)
        if not ctx.keep:
            tape = torch.ops.gatewise.lstm(*call, True)[3]
        want_dx = ctx.needs_input_grad[3]
        found = iter(torch.ops.gatewise.lstm_backward(*call, y, tape, *grads[:3], want_dx))
        dx = next(found) if want_dx else None
        others = (None if t is None else next(found) for t in (h0, c0, *parameters))
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
