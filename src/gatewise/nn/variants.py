"""What `LSTM` and `LSTMCell` share about cells other than PyTorch's: checks and parameters."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import torch
from torch.nn import Parameter

from gatewise.cell import SITES, Cell
from gatewise.errors import ConfigError
from gatewise.weights import PARAMETER_NAMES, variant_shapes


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
        if not isinstance(getattr(cell, site), str):
            _warn_of_the_cost(getattr(cell, site))
    return cell


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


@cache
def _warn_of_the_cost(function: Callable[..., Any]) -> None:
    warnings.warn(
        f"The Python function {getattr(function, '__name__', function)!s} as an activation runs "
        "step by step in PyTorch, 5 to 15 times slower than a built-in activation. Use one of "
        "gatewise.ACTIVATIONS where it will do.",
        UserWarning,
        stacklevel=4,  # the line that makes the module
    )
