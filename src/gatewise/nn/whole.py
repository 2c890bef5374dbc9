"""A whole LSTM module on the native core: its parameters, its packed weights, and how it is cut.

All layers go through the core in one call, but for PyTorch's dropout between layers: that is drawn
by PyTorch, so each layer is a call of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from gatewise import _native
from gatewise.cell import Cell
from gatewise.nn import masks, ops
from gatewise.nn.engine import Engine
from gatewise.nn.native import Options, ragged_of
from gatewise.nn.noise import Noise, together
from gatewise.weights import PARAMETER_NAMES, parameter_suffix

if TYPE_CHECKING:
    from gatewise.nn.lstm import LSTM

State = tuple[Tensor, Tensor]


def run(
    lstm: LSTM, x: Tensor, hx: State | None, parameters: list[Any], batch_first: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Run all layers.

    Args:
        lstm: the module.
        x: [T, B, I], a view of any strides.
        hx: (h0 [L*D, B, P], c0 [L*D, B, H]), or None for zeros.
        parameters: `parameters_of(lstm)`.
        batch_first: y lies in memory as [B, T, D*P].

    Returns:
        y [T, B, D*P], h_n [L*D, B, P], c_n [L*D, B, H].
    """
    options = Options(batch_first, lstm.checkpoint_every)
    if lstm.is_regularised:
        parameters, noise = _regularised(lstm, parameters, x.shape[0], x.shape[1])
        options = options._replace(noise=noise, checkpoint_every=0)
    return _run_layers(lstm, x, hx, parameters, options)


def run_packed(
    lstm: LSTM, input: PackedSequence, hx: State | None, parameters: list[Any]
) -> tuple[PackedSequence, State]:
    """Run all layers over a ragged batch as it is packed, without padding.

    Args:
        lstm: the module.
        input: data [N, I].
        hx: as in `run`, rows in the caller's order.
        parameters: `parameters_of(lstm)`.

    Returns:
        The outputs, packed like the input, and (h_n, c_n) with rows in the caller's order.
    """
    x, sizes, to_sorted, to_unsorted = input
    batch = ragged_of(sizes)
    options = Options(batch_sizes=sizes, ragged=batch)
    if lstm.is_regularised:
        parameters, noise = _regularised(lstm, parameters, batch.T, batch.B)
        options = options._replace(noise=noise and noise.packed(input))
    if hx is not None and to_sorted is not None:
        hx = _reordered(hx, to_sorted)
    y, *states = _run_layers(lstm, x, hx, parameters, options)
    state = states[0], states[1]
    if to_unsorted is not None:
        state = _reordered(state, to_unsorted)
    return PackedSequence(y, sizes, to_sorted, to_unsorted), state


def _reordered(state: State, rows: Tensor) -> State:
    return state[0].index_select(1, rows), state[1].index_select(1, rows)


def parameters_of(lstm: LSTM) -> list[Any]:
    """Return the parameters as they are at this moment, parametrised or swapped ones too.

    `Engine.names` of each layer and direction; None for a bias that the module does not have.
    """
    names = _kept(lstm).names
    registered = lstm._parameters
    return [
        registered[name] if name in registered else None if name is None else getattr(lstm, name)
        for name in names
    ]


def freeze(lstm: LSTM, frozen: bool) -> None:
    """See `gatewise.nn.LSTM.freeze_weights`."""
    lstm.__dict__["_weights_frozen"] = frozen
    for engine in _kept(lstm).engines.values():
        engine.frozen = frozen


def _names(lstm: LSTM) -> list[str | None]:
    missing = () if lstm.bias else ("b_ih", "b_hh")
    return [
        None if name in missing else PARAMETER_NAMES[name] + parameter_suffix(layer, direction)
        for layer in range(lstm.num_layers)
        for direction in range(lstm.directions)
        for name in _native.parameter_names(lstm.cell, lstm.proj_size)
    ]


def _run_layers(
    lstm: LSTM, x: Tensor, hx: State | None, parameters: list[Any], options: Options
) -> tuple[Tensor, Tensor, Tensor]:
    h0, c0 = hx or (None, None)
    L, D = lstm.num_layers, lstm.directions
    if not (lstm.dropout and lstm.training and L > 1):
        return ops.run(_engine(lstm, 0, L), x, h0, c0, parameters, options)
    h_n, c_n, per_layer, noise = [], [], len(parameters) // L, options.noise
    for layer in range(L):
        states = slice(layer * D, (layer + 1) * D)
        x, h, c = ops.run(
            _engine(lstm, layer, layer + 1),
            functional.dropout(x, lstm.dropout) if layer else x,
            None if h0 is None else h0[states],
            None if c0 is None else c0[states],
            parameters[layer * per_layer : (layer + 1) * per_layer],
            options._replace(
                batch_first=options.batch_first and layer == L - 1,
                noise=noise and noise.of(states.start, states.stop),
            ),
        )
        h_n.append(h)
        c_n.append(c)
    return x, torch.cat(h_n), torch.cat(c_n)


def _regularised(
    lstm: LSTM, parameters: list[Any], T: int, B: int
) -> tuple[list[Any], Noise | None]:
    """Draw the masks; return the parameters with those of the weights, and the others."""
    drawn = masks.draw(lstm, T, B)
    names = _native.parameter_names(lstm.cell, lstm.proj_size)
    parameters = list(parameters)
    for k, own in enumerate(drawn):
        if own.weight is not None:
            w_hh = k * len(names) + names.index("w_hh")
            parameters[w_hh] = parameters[w_hh] * own.weight
    return parameters, together(drawn)


class _Kept(NamedTuple):
    """What a module keeps from call to call, as long as its cell is the same."""

    cell: Cell
    names: list[str | None]
    engines: dict[tuple[int, int, bool], Engine]


def _kept(lstm: LSTM) -> _Kept:
    kept = lstm.__dict__.get("_kept_for_the_core")
    if kept is None or kept.cell is not lstm.cell:
        kept = lstm.__dict__["_kept_for_the_core"] = _Kept(lstm.cell, _names(lstm), {})
    return kept


def _engine(lstm: LSTM, first: int, end: int) -> Engine:
    """Return the packed weights of some layers."""
    plain = not (lstm.proj_size or lstm.cell.layer_norm or lstm.has_regularisers)
    bfloat16 = plain and lstm.precision == "bfloat16"
    D, H, P = lstm.directions, lstm.hidden_size, lstm.proj_size
    I = D * (P or H) if first else lstm.input_size
    if torch.compiler.is_compiling():  # a graph needs to know what it is, no more
        return Engine(end - first, D, I, H, bfloat16, lstm.cell, P)
    engines = _kept(lstm).engines
    engine = engines.get((first, end, bfloat16))
    if engine is None:
        engine = Engine(end - first, D, I, H, bfloat16, lstm.cell, P)
        engine.frozen = lstm.__dict__.get("_weights_frozen", False)
        engine = engines.setdefault((first, end, bfloat16), engine)
    return engine
