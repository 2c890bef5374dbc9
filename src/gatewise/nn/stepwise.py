"""An LSTM module on the composite path: step by step, in PyTorch operations."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from gatewise.nn import arguments, composite, masks, ragged
from gatewise.nn.spec import Spec
from gatewise.nn.variants import warn_of_a_detour
from gatewise.weights import INITIAL_STATE_NAMES

State = tuple[Tensor, Tensor]


def run(
    lstm: Any, x: Tensor, hx: State | None, lengths: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Run all layers.

    Args:
        lstm: a `gatewise.nn.LSTM`.
        x: [T, B, I].
        hx: (h0 [L*D, B, P], c0 [L*D, B, H]), or None for zeros.
        lengths: [B] valid steps of each row.

    Returns:
        y [T, B, D*P], h_n [L*D, B, P], c_n [L*D, B, H].
    """
    T, B, _ = x.shape
    h0, c0 = hx or zeros(lstm, B, x)
    if not lstm.cell.has_callables:  # of those was warned before
        warn_of_a_detour(x, ragged=lengths is not None)
    weights = [
        lstm.layer_weights(layer, d)
        for layer in range(lstm.num_layers)
        for d in range(lstm.directions)
    ]
    return composite.run_layers(
        x, h0, c0, weights, lstm.cell, lstm.num_layers, lengths, masks.draw(lstm, T, B),
        lstm.dropout if lstm.training else 0.0,
    )  # fmt: skip


def run_packed(lstm: Any, input: PackedSequence, hx: State | None) -> tuple[PackedSequence, State]:
    """Run a ragged batch: padded, with steps beyond the end masked.

    Rows stand in the caller's order here, that of the states and of the masks.
    """
    x, lengths = pad_packed_sequence(input)
    hx = hx or zeros(lstm, x.shape[1], x)
    lstm.check_forward_args(input.data, hx, input.batch_sizes)
    y, h_n, c_n = run(lstm, x, hx, lengths.to(x.device))
    return ragged.packed_like(input, y, lengths), (h_n, c_n)


def zeros(lstm: Any, B: int, like: Tensor) -> State:
    """Return the states of B rows that start at zero."""
    states, H = lstm.num_layers * lstm.directions, lstm.hidden_size
    return like.new_zeros(states, B, lstm.proj_size or H), like.new_zeros(states, B, H)


def learnt_state(lstm: Any, spec: Spec, input: Tensor | PackedSequence) -> State | None:
    """Return the learnable states for each row; None if PyTorch refuses the input."""
    h, c = (getattr(lstm, name) for name in INITIAL_STATE_NAMES)
    if isinstance(input, PackedSequence):
        B = int(input.batch_sizes[0])
    elif not arguments.are_regular(spec, lstm.batch_first, input, None):
        return None
    elif input.dim() == 2:
        return h.squeeze(1), c.squeeze(1)
    else:
        B = input.shape[0 if lstm.batch_first else 1]
    return h.expand(-1, B, -1), c.expand(-1, B, -1)
