"""Initialisers of LSTMs, in place, as `torch.nn.init` has them for tensors.

    torch_default_          uniform on ±1/√H: what PyTorch does
    forget_bias_            b_f = value                                   Gers et al. 2000
    chrono_                 biases for memories of T_min to T_max steps   Tallec & Ollivier 2018
    uniform_gate_           forget gates spread evenly over (0, 1)        Gu et al. 2020
    orthogonal_recurrent_   each gate's block of W_hh orthogonal          Saxe et al. 2014

Each takes a `gatewise.nn.LSTM`, `LSTMCell` or one of PyTorch's, and returns it. PyTorch's LSTM has
two biases whose sum counts: the value goes to ``bias_ih``, and the same part of ``bias_hh`` becomes
zero. Nothing here happens unless it is called.

>>> import torch
>>> lstm = forget_bias_(torch.nn.LSTM(4, 8))
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor

from gatewise.cell import GATE_ORDER, Cell
from gatewise.errors import ConfigError
from gatewise.weights import INITIAL_STATE_NAMES, parameter_suffix

M = TypeVar("M", bound=torch.nn.Module)

_LSTMS = (torch.nn.LSTM, torch.nn.LSTMCell)


@torch.no_grad()
def torch_default_(lstm: M, generator: torch.Generator | None = None) -> M:
    """Initialise as PyTorch does: every weight and bias uniform on ±1/√H.

    Layer norms become the identity, learnable initial states zero; neither draws anything, so that
    the other parameters are those of PyTorch's LSTM from the same seed.

    Args:
        lstm: the module.
        generator: default PyTorch's own.

    Raises:
        ConfigError: `lstm` is not an LSTM.

    >>> lstm = torch_default_(torch.nn.LSTM(4, 16))
    >>> bool(lstm.weight_hh_l0.abs().max() <= 0.25)
    True
    """
    H = _checked(lstm).hidden_size
    bound = 1 / math.sqrt(H) if H else 0.0
    for name, parameter in lstm.named_parameters():
        if name in INITIAL_STATE_NAMES:
            parameter.zero_()
        elif name.startswith("norm_"):
            parameter[0].fill_(1)
            parameter[1].zero_()
        else:
            torch.nn.init.uniform_(parameter, -bound, bound, generator)
    return lstm


@torch.no_grad()
def forget_bias_(lstm: M, value: float = 1.0) -> M:
    """Set the bias of every forget gate, so that a fresh cell remembers.

    Gers, Schmidhuber & Cummins 2000; Jozefowicz et al. 2015 (PMLR 37) found 1 a good value.

    Args:
        lstm: the module.
        value: the bias b_f. Default 1.

    Raises:
        ConfigError: `lstm` is not an LSTM, has no biases, or its cell has no forget gate.

    >>> lstm = forget_bias_(torch.nn.LSTM(4, 2), 3.0)
    >>> (lstm.bias_ih_l0 + lstm.bias_hh_l0)[2:4]
    tensor([3., 3.], grad_fn=<SliceBackward0>)
    """
    cell: Cell = getattr(_checked(lstm), "cell", Cell())
    if not cell.used_gates[GATE_ORDER.index("f")]:
        raise ConfigError(
            f"{cell} has no forget gate of its own: expected one whose bias can be set. "
            "Where f = 1 - i, chrono_ and uniform_gate_ set the input gate's bias."
        )
    for b_ih, b_hh in _biases(lstm):
        _set_bias(b_ih, b_hh, "f", torch.full_like(_gate(b_ih, "f"), value))
    return lstm


@torch.no_grad()
def chrono_(
    lstm: M, T_max: float, T_min: float = 1.0, generator: torch.Generator | None = None
) -> M:
    """Spread the memories of the units over T_min to T_max steps.

    b_f = log(u) with u uniform on [T_min, T_max - 1], and b_i = -b_f (Tallec & Ollivier 2018,
    arXiv 1804.11188): a unit with forget gate σ(b_f) forgets over some 1 + u steps.

    Args:
        lstm: the module.
        T_max: the longest range of dependencies, in steps.
        T_min: the shortest. Default 1.
        generator: default PyTorch's own.

    Raises:
        ConfigError: `lstm` is not an LSTM or has no biases, or not 0 < T_min <= T_max - 1.

    >>> lstm = chrono_(torch.nn.LSTM(4, 8), T_max=100)
    """
    if not 0 < T_min <= T_max - 1 < math.inf:
        raise ConfigError(
            f"T_min is {T_min!r} and T_max {T_max!r}: expected 0 < T_min <= T_max - 1. "
            "T_max is the longest range in steps."
        )
    for b_ih, b_hh in _biases(lstm):
        u = torch.empty_like(_gate(b_ih, "f")).uniform_(T_min, T_max - 1, generator=generator)
        _set_opposite_biases(b_ih, b_hh, u.log())
    return lstm


@torch.no_grad()
def uniform_gate_(lstm: M, generator: torch.Generator | None = None) -> M:
    """Spread the forget gates evenly over (0, 1).

    b_f = -log(1/u - 1) with u uniform on [1/H, 1 - 1/H], and b_i = -b_f (Gu et al. 2020, arXiv
    1910.09890: uniform gate initialisation).

    Args:
        lstm: the module.
        generator: default PyTorch's own.

    Raises:
        ConfigError: `lstm` is not an LSTM or has no biases.

    >>> lstm = uniform_gate_(torch.nn.LSTM(4, 8))
    """
    low = min(1 / max(_checked(lstm).hidden_size, 1), 0.5)  # one unit alone: 1/2
    for b_ih, b_hh in _biases(lstm):
        u = torch.empty_like(_gate(b_ih, "f")).uniform_(low, 1 - low, generator=generator)
        _set_opposite_biases(b_ih, b_hh, -(1 / u - 1).log())
    return lstm


@torch.no_grad()
def orthogonal_recurrent_(
    lstm: M, gain: float = 1.0, generator: torch.Generator | None = None
) -> M:
    """Make each gate's [H, P] block of W_hh orthogonal (Saxe et al. 2014, arXiv 1312.6120).

    Args:
        lstm: the module.
        gain: all singular values. Default 1.
        generator: default PyTorch's own.

    Raises:
        ConfigError: `lstm` is not an LSTM.

    >>> block = orthogonal_recurrent_(torch.nn.LSTM(4, 8)).weight_hh_l0[:8]
    >>> torch.allclose(block @ block.T, torch.eye(8), atol=1e-5)
    True
    """
    for suffix in _suffixes(lstm):
        for block in getattr(lstm, f"weight_hh{suffix}").chunk(len(GATE_ORDER)):
            torch.nn.init.orthogonal_(block, gain, generator)
    return lstm


def _checked(lstm: Any) -> Any:
    if not isinstance(lstm, _LSTMS):
        raise ConfigError(
            f"lstm is a {type(lstm).__name__}: expected an LSTM or LSTMCell. For a whole model, go "
            "through its modules()."
        )
    return lstm


def _suffixes(lstm: Any) -> list[str]:
    """What follows a parameter's name, for each layer and direction."""
    if isinstance(_checked(lstm), torch.nn.LSTMCell):
        return [""]
    return [
        parameter_suffix(layer, direction)
        for layer in range(lstm.num_layers)
        for direction in range(1 + lstm.bidirectional)
    ]


def _biases(lstm: Any) -> Iterator[tuple[Tensor, Tensor]]:
    if not _checked(lstm).bias:
        raise ConfigError("The LSTM has no biases: expected bias=True. Make it with bias=True.")
    for suffix in _suffixes(lstm):
        yield getattr(lstm, f"bias_ih{suffix}"), getattr(lstm, f"bias_hh{suffix}")


def _gate(bias: Tensor, gate: str) -> Tensor:
    return bias.chunk(len(GATE_ORDER))[GATE_ORDER.index(gate)]


def _set_bias(b_ih: Tensor, b_hh: Tensor, gate: str, value: Tensor) -> None:
    _gate(b_ih, gate).copy_(value)
    _gate(b_hh, gate).zero_()


def _set_opposite_biases(b_ih: Tensor, b_hh: Tensor, b_f: Tensor) -> None:
    _set_bias(b_ih, b_hh, "f", b_f)
    _set_bias(b_ih, b_hh, "i", -b_f)
