"""The usual call, made quick: on a dense batch, by an LSTM that is as it was before.

A call of `gatewise.nn.LSTM` finds out much that holds for the next call, too: which path it takes,
where its parameters stand, which shapes they have. `Usual` keeps that. It looks whether all is as
it was, and then calls the core; anything else takes the long way, which makes a new `Usual`.
"""

from __future__ import annotations

from operator import attrgetter, is_
from typing import Any

import torch
from torch import Tensor
from torch.jit._trace import is_tracing

from gatewise.nn import native, paths
from gatewise.nn.engine import Engine
from gatewise.nn.options import Options

State = tuple[Tensor, Tensor]

# All attributes of an LSTM that a call depends on.
_configuration = attrgetter(
    "num_layers", "bidirectional", "input_size", "hidden_size", "proj_size", "bias", "batch_first",
    "training", "dropout", "cell", "precision", "recurrent_dropout", "weight_dropout", "_zoneout",
    "learn_initial_state", "checkpoint_every", "_weights_frozen",
)  # fmt: skip


class Usual:
    """What a call found out about its LSTM. Immutable, so threads may share it."""

    __slots__ = ("_all", "_cache", "_configuration", "_dtype", "_engine", "_flat", "_options",
                 "_parameters", "_registered", "_shapes", "_sizes")  # fmt: skip

    def __init__(self, lstm: Any, engine: Engine, parameters: list[Any]) -> None:
        spec = engine.spec
        self._configuration = _configuration(lstm)
        self._registered = list(lstm._parameters.values())
        self._flat = list(lstm._flat_weights)
        self._all = parameters
        self._parameters = [p for p in parameters if p is not None]
        self._dtype = self._parameters[0].dtype
        self._shapes = [p.shape for p in self._parameters]
        self._sizes = spec.I, spec.L * spec.D, spec.D * spec.P, spec.P, spec.H
        self._options = Options(checkpoint_every=lstm.checkpoint_every)
        self._engine = engine
        self._cache = engine.cache(self._dtype)

    def call(self, lstm: Any, x: Any, hx: State | None) -> tuple[Tensor, State] | None:
        """Return what the LSTM returns; None, and nothing done, if this is not the usual call."""
        if (
            paths.are_modes_active()
            or paths.is_transformed()
            or is_tracing()
            or torch.is_autocast_enabled("cpu")
            or _configuration(lstm) != self._configuration
        ):
            return None
        registered, flat = lstm._parameters, lstm._flat_weights
        parameters, dtype = self._parameters, self._dtype
        if (
            len(registered) != len(self._registered)
            or not all(map(is_, registered.values(), self._registered))
            or len(flat) != len(self._flat)
            or not all(map(is_, flat, self._flat))
            or [p.shape for p in parameters] != self._shapes
        ):
            return None
        for p in parameters:  # plain before, and the same objects; `.data` may have changed them
            if (
                p.dtype is not dtype
                or not p.is_contiguous()
                or not p.is_cpu
                or p.is_neg()
                or p._is_zerotensor()
            ):
                return None
        given = [x]
        if hx is not None:
            if type(hx) is not tuple or len(hx) != 2:
                return None
            given += hx
        for t in given:
            if not paths.is_plain(t) or t.dtype is not dtype or not t.is_contiguous():
                return None
        shape = x.shape
        I, count, columns, P, H = self._sizes
        if len(shape) != 3 or shape[2] != I or not shape[0] or not shape[1]:
            return None
        T, B, _ = shape
        if hx is not None and (hx[0].shape != (count, B, P) or hx[1].shape != (count, B, H)):
            return None
        if torch.is_grad_enabled():
            states = hx or (None, None)
            y, h_n, c_n = native.run(self._engine, x, *states, self._all, self._options)
            return y, (h_n, c_n)
        addresses = [p.data_ptr() for p in parameters]
        start, *states = [t.data_ptr() for t in given]
        if min(start, *states, *addresses) < paths.LOWEST:
            return None  # perhaps no memory behind a tensor: the long way looks
        h0, c0 = states or (0, 0)
        # The quickest way to new memory that PyTorch has.
        y = x.new_empty_strided((T, B, columns), (B * columns, columns, 1))
        h_n = x.new_empty_strided((count, B, P), (B * P, P, 1))
        c_n = torch.empty_like(h_n) if P == H else x.new_empty_strided((count, B, H), (B * H, H, 1))
        self._cache.run(
            addresses, T, B, torch.get_num_threads(), start, h0, c0,
            y.data_ptr(), h_n.data_ptr(), c_n.data_ptr(),
        )  # fmt: skip
        return y, (h_n, c_n)


def usual(lstm: Any, engine: Engine, parameters: list[Any]) -> Usual | None:
    """Return what is usual for an LSTM whose call takes the native path; None if nothing is.

    Args:
        lstm: a `gatewise.nn.LSTM`.
        engine: of all its layers.
        parameters: `Core.parameters_of` it.
    """
    if lstm.is_regularised or lstm.batch_first or lstm.learn_initial_state or engine.frozen:
        return None
    if lstm.dropout and lstm.training:
        return None
    registered = set(map(id, lstm._parameters.values()))
    if any(p is not None and (id(p) not in registered or not p.is_leaf) for p in parameters):
        return None  # computed anew at each call, as by a parametrization, and part of a graph
    return Usual(lstm, engine, parameters)
