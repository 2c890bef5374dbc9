"""What `LSTM` and `LSTMCell` share about cells other than PyTorch's: checks and parameters."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import Parameter

from gatewise.cell import SITES, Cell
from gatewise.errors import ConfigError
from gatewise.nn import compiler
from gatewise.nn.callers import level_of_the_caller
from gatewise.weights import PARAMETER_NAMES, variant_shapes

_COST: Final = "runs step by step in PyTorch, 3 to 100 times slower (small sizes the most) than"

_DETOUR: Final = (
    f"An LSTM that PyTorch does not have (another cell, or regularisers) {_COST} on the core: it "
    "was called "
)
_SURPRISES: Final = {
    "dtype": _DETOUR + "in float16 or bfloat16. Make it float32 with module.float(): that runs on "
    'the core, and with precision="bfloat16" on weights of half the bytes.',
    "autocast": _DETOUR
    + 'under torch.autocast. Call it under torch.autocast("cpu", enabled=False).',
    "packed": _DETOUR + "with a packed sequence or lengths while torch.compile compiles. Call it "
    "in a function under torch.compiler.disable.",
    "float32": "Under torch.autocast an LSTM computes in float32 here, and only its outputs have "
    "autocast's dtype: PyTorch cannot run it on this processor, and the core emulates bfloat16 "
    'alone, without regularisers. Call it under torch.autocast("cpu", enabled=False) to have '
    "float32 outputs.",
}
"""What a call may do that its caller does not expect, and what to do about it."""


def checked_cell(cell: Any) -> Cell:
    """Return the cell; warn once for each Python function in it.

    Raises:
        ConfigError: it is not a `Cell`.
    """
    if not isinstance(cell, Cell):
        raise ConfigError(
            f"cell is a {type(cell).__name__}: expected gatewise.Cell. Pass cell=Cell(...)."
        )
    for site in SITES:
        if callable(getattr(cell, site)):
            _warn_of_the_cost(getattr(cell, site))
    return cell


def check_whole(checkpoint_every: Any) -> None:
    """Refuse what is no number of steps.

    Raises:
        ConfigError: it is none, or negative.
    """
    if type(checkpoint_every) is not int or checkpoint_every < 0:
        raise ConfigError(
            f"checkpoint_every is {checkpoint_every!r}: expected 0 (keep all) or a number of steps."
        )


def register_parameters(module: Any, cell: Cell, suffixes: Iterable[str], like: Any) -> bool:
    """Give a module the parameters that its cell has beyond PyTorch's, not initialised.

    Args:
        module: the LSTM or LSTMCell.
        cell: which one.
        suffixes: what follows a parameter's name, for each layer and direction.
        like: a tensor of the dtype and device to take.

    Returns:
        Whether there are any.
    """
    shapes = variant_shapes(cell, module.hidden_size)
    for suffix in suffixes:
        for name, shape in shapes.items():
            value = torch.empty(shape, device=like.device, dtype=like.dtype)
            module.register_parameter(PARAMETER_NAMES[name] + suffix, Parameter(value))
    return bool(shapes)


def warn_of_a_detour(x: Tensor, ragged: bool) -> None:
    """Warn, once for each reason, of a composite run that the core could have done.

    Args:
        x: the input, of an LSTM that PyTorch does not have.
        ragged: whether it came packed, or with lengths.
    """
    if not x.is_cpu:
        return
    if torch.is_autocast_enabled("cpu"):
        _warn_while_compiling_too("autocast")
    elif x.dtype in (torch.float16, torch.bfloat16):
        _warn_while_compiling_too("dtype")
    elif ragged and torch.compiler.is_compiling():
        _warn_while_compiling_too("packed")


def warn_of_float32() -> None:
    """Warn, once, of a call under autocast that the core computes in float32."""
    _warn_while_compiling_too("float32")


@compiler.constant
def _warn_while_compiling_too(surprise: str) -> None:
    _warn_once(surprise)


@cache
def _warn_once(surprise: str) -> None:
    warnings.warn(_SURPRISES[surprise], UserWarning, stacklevel=level_of_the_caller())


@cache
def _warn_of_the_cost(function: Callable[..., Any]) -> None:
    warnings.warn(
        f"The Python function {getattr(function, '__name__', function)!s} as an activation "
        f"{_COST} a built-in activation. Use one of gatewise.ACTIVATIONS where it will do.",
        UserWarning,
        stacklevel=level_of_the_caller(),
    )
