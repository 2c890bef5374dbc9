"""Names and weights of a model's networks as arrays; JSON's lists as tuples."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gatewise.forecast.features.static import StaticCode

Arrays = dict[str, NDArray[Any]]


def tuples(value: Any) -> Any:
    """Make tuples of JSON's lists, where the dataclasses have them; dicts keep their keys."""
    if isinstance(value, dict):
        return {k: tuples(v) for k, v in value.items()}
    return tuple(tuples(v) for v in value) if isinstance(value, list) else value


def bounded(floor: float) -> float | None:
    """A floor as JSON has it: None for -inf."""
    return floor if np.isfinite(floor) else None


def floor(bounded: float | None) -> float:
    """The inverse of `bounded`."""
    return -np.inf if bounded is None else bounded


def codes(coded: list[dict[str, Any]]) -> tuple[StaticCode, ...]:
    """Codes of static columns out of JSON."""
    return tuple(StaticCode(**tuples(code)) for code in coded)


def weights(network: torch.nn.Module, prefix: str) -> Arrays:
    """Every weight of a network, its name after a prefix."""
    return {prefix + name: value.numpy() for name, value in network.state_dict().items()}


def loaded(network: Any, arrays: Arrays, prefix: str) -> Any:
    """Give a network the weights that `weights` returned."""
    network.load_state_dict(
        {
            name.removeprefix(prefix): torch.from_numpy(values.copy())
            for name, values in arrays.items()
            if name.startswith(prefix)
        }
    )
    return network.eval()
