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

from gatewise import _native
from gatewise.nn import compiler, native, paths
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

    __slots__ = ("_bits", "_cache", "_configuration", "_dtype", "_engine", "_flat",
                 "_options", "_parameters", "_registered")  # fmt: skip

    def __init__(self, lstm: Any, engine: Engine, parameters: list[Any]) -> None:
        self._configuration = _configuration(lstm)
        self._registered = list(lstm._parameters.values())
        self._flat = list(lstm._flat_weights)
        self._parameters = parameters
        self._dtype = next(p.dtype for p in parameters if p is not None)
        self._bits = self._dtype.itemsize * 8
        self._options = Options(checkpoint_every=lstm.checkpoint_every)
        self._engine = engine
        self._cache = engine.cache(self._dtype)

    @compiler.eager
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
        if (
            len(registered) != len(self._registered)
            or not all(map(is_, registered.values(), self._registered))
            or len(flat) != len(self._flat)
            or not all(map(is_, flat, self._flat))
        ):
            return None
        engine, parameters = self._engine, self._parameters
        if hx is None:
            tensors, shapes = (x, None, None, *parameters), engine.usual_shapes
        elif type(hx) is tuple and len(hx) == 2:
            tensors, shapes = (x, *hx, *parameters), engine.usual_shapes_with_states
        else:
            return None
        recorded = torch.is_grad_enabled()
        if (recorded or engine.frozen) and not _native.are_plain(tensors, shapes, self._bits):
            return None
        if recorded:
            y, h_n, c_n = native.run(engine, *tensors[:3], parameters, self._options)
            return y, (h_n, c_n)
        packed = engine.pack(parameters, self._dtype) if engine.frozen else None
        threads = torch.get_num_threads()
        found = self._cache.forward_tensors(tensors, shapes, threads, False, 0, packed)
        if found is None:
            return None
        y, h_n, c_n, _, _ = found
        return y, (h_n, c_n)


def usual(lstm: Any, engine: Engine, parameters: list[Any]) -> Usual | None:
    """Return what is usual for an LSTM whose call takes the native path; None if nothing is.

    Args:
        lstm: a `gatewise.nn.LSTM`.
        engine: of all its layers.
        parameters: `Core.parameters_of` it.
    """
    if lstm.is_regularised or lstm.batch_first or lstm.learn_initial_state:
        return None
    if lstm.dropout and lstm.training:
        return None
    registered = set(map(id, lstm._parameters.values()))
    if any(p is not None and (id(p) not in registered or not p.is_leaf) for p in parameters):
        return None  # computed anew at each call, as by a parametrization, and part of a graph
    return Usual(lstm, engine, parameters)
