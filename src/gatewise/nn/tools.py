"""PyTorch's tools that know its LSTM by name or type, and how ours meets them.

torch.fx.symbolic_trace              a leaf of the graph, as torch.nn's modules are
torch.jit.script                     a torch.nn.LSTM of the same parameters stands in, which PyTorch
                                     puts into the model itself: accelerate the model again
torch.ao.quantization                given a qconfig, ours becomes PyTorch's; given none, or where
                                     PyTorch has no such LSTM, it warns and stays in float
"""

from __future__ import annotations

import copy
import warnings
from typing import Any, Final

import torch
from torch.fx import Proxy

from gatewise.errors import ConfigError
from gatewise.nn.callers import level_of_the_caller

_OWN: Final = (
    "_core", "_weights_frozen", "_zoneout", "cell", "checkpoint_every", "learn_initial_state",
    "precision", "recurrent_dropout", "weight_dropout",
)  # fmt: skip
"""What our modules have beyond PyTorch's."""


def why_not_pytorch(module: Any) -> str | None:
    """Return what an LSTM or cell of ours has that PyTorch's has not; None if nothing."""
    if not module.cell.is_default:
        return f"its cell is {module.cell}"
    if getattr(module, "has_regularisers", False):
        return "it has regularisers (recurrent_dropout, zoneout or weight_dropout)"
    if getattr(module, "learn_initial_state", False):
        return "it learns its initial state"
    if rounds(module) and module.weight_ih_l0.dtype is torch.float32:
        return f"its precision is {module.precision}"
    return None


def rounds(module: Any) -> bool:
    """Return whether an LSTM or cell of ours rounds its float32 weights to bfloat16."""
    return getattr(module, "precision", "full") == "bfloat16" and not (
        module.proj_size or module.cell.layer_norm or module.has_regularisers
    )


def become_pytorch(module: torch.nn.Module, base: type[torch.nn.Module], wish: str) -> None:
    """Make a module of ours PyTorch's own, in place: the same parameters, hooks and identity.

    Args:
        module: the LSTM or cell.
        base: PyTorch's class of it.
        wish: who asks, for the message.

    Raises:
        ConfigError: PyTorch has no such LSTM.
    """
    reason = why_not_pytorch(module)
    if reason is not None:
        raise ConfigError(
            f"{wish} expects an LSTM that PyTorch has, but of this {type(module).__name__} "
            f"{reason}. Leave this module out; torch.export and torch.compile take it."
        )
    module.__class__ = base
    for name in _OWN:
        module.__dict__.pop(name, None)


def scriptable(module: torch.nn.Module, base: type[torch.nn.Module]) -> torch.nn.Module:
    """Return a PyTorch module of the same parameters, which torch.jit.script can read."""
    other = copy.copy(module)
    become_pytorch(other, base, "torch.jit.script")
    return other


def meet_quantiser(module: torch.nn.Module, base: type[torch.nn.Module], qconfig: Any) -> None:
    """Do what a qconfig asks for: PyTorch's quantisers know modules by their very type."""
    reason = why_not_pytorch(module)
    if qconfig is not None and reason is None:
        become_pytorch(module, base, "torch.ao.quantization")
        return
    if reason is None:
        why = (
            f"it looks for torch.nn.{base.__name__} by its type. Call gatewise.nn.restore(model) "
            f"first to have it quantised, or name gatewise.nn.{base.__name__} in qconfig_spec."
        )
    else:  # one for a whole model is meant for what can be quantised in it
        module.__dict__["qconfig"] = None
        why = f"PyTorch has no such {base.__name__}, since {reason}."
    warnings.warn(
        f"A quantiser passes over this gatewise.nn.{base.__name__}, which stays as it is: {why}",
        UserWarning,
        stacklevel=level_of_the_caller(),
    )


def leaf_call(module: torch.nn.Module, input: Proxy, *others: Any) -> Any:
    """Record a call of the module as one node, while torch.fx.symbolic_trace runs.

    Raises:
        ConfigError: the module has hooks, which would run twice.
    """
    if module._forward_hooks or module._forward_pre_hooks:
        raise ConfigError(
            f"torch.fx meets hooks of a {type(module).__name__}: expected none, since they would "
            "stand in the graph and run inside the module too. Trace with a torch.fx.Tracer whose "
            "is_leaf_module knows the module."
        )
    while others and others[-1] is None:
        others = others[:-1]
    tracer: Any = input.tracer
    path = tracer.path_of_module(module)
    return tracer.create_proxy("call_module", path, (input, *others), {})
