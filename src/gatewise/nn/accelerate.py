"""An existing model's LSTMs made native in place, a summary of them, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch.nn.utils.parametrize import is_parametrized

from gatewise.nn import tools
from gatewise.nn.cell import LSTMCell
from gatewise.nn.lstm import LSTM

M = TypeVar("M", bound=torch.nn.Module)

_NATIVE = {torch.nn.LSTM: LSTM, torch.nn.LSTMCell: LSTMCell}
_BASES = {ours: base for base, ours in _NATIVE.items()}


def accelerate(module: M) -> M:
    """Make every `torch.nn.LSTM` inside a model a `gatewise.nn.LSTM`, in place.

    Parameters, buffers, hooks, names and the identity of every module stay, so optimizers,
    checkpoints and shared modules keep working. Subclasses of `torch.nn.LSTM` (parametrized ones
    among them) are left as they are: their own forward may do something else. `accelerated` tells
    what became of each, `restore` takes it back.

    Args:
        module: any module; it may itself be a `torch.nn.LSTM`.

    Returns:
        The same module.

    >>> model = torch.nn.Sequential(torch.nn.LSTM(4, 8))
    >>> accelerate(model) is model, type(model[0]).__module__
    (True, 'gatewise.nn.lstm')
    """
    for child in module.modules():
        native = _NATIVE.get(type(child))
        if native is not None:
            child.__class__ = native
    return module


def restore(module: M) -> M:
    """Make every `gatewise.nn.LSTM` inside a model a `torch.nn.LSTM` again, in place.

    The inverse of `accelerate`, for tools that know PyTorch's modules by their type. An LSTM that
    PyTorch does not have (another cell, regularisers, a learnt state, bfloat16 weights) stays as it
    is. `checkpoint_every` and `freeze_weights`, which change no result, are let go.

    Args:
        module: any module.

    Returns:
        The same module.

    >>> model = restore(accelerate(torch.nn.Sequential(torch.nn.LSTM(4, 8))))
    >>> type(model[0]).__module__
    'torch.nn.modules.rnn'
    """
    for child in module.modules():
        base = _BASES.get(type(child))
        if base is not None and tools.why_not_pytorch(child) is None:
            tools.become_pytorch(child, base, "restore")
    return module


@dataclass(frozen=True)
class Summary:
    """The LSTMs and LSTM cells of a model; prints as one line for each.

    Attributes:
        native: names of those of `gatewise.nn`.
        left: the others' names, each with what keeps `accelerate` from it, or what it needs.

    >>> model = torch.nn.Sequential(LSTM(4, 8), torch.nn.LSTM(8, 2), torch.nn.Linear(2, 1))
    >>> summary = accelerated(model)
    >>> summary.native, list(summary.left)
    (('0',), ['1'])
    """

    native: tuple[str, ...]
    left: dict[str, str]

    def __str__(self) -> str:
        count = len(self.native) + len(self.left)
        lines = [f"{len(self.native)} of {count} LSTMs and LSTM cells are of gatewise.nn."]
        lines += [f"  {name}: of gatewise.nn" for name in self.native]
        lines += [f"  {name}: left alone, because {why}" for name, why in self.left.items()]
        return "\n".join(lines)


def accelerated(module: torch.nn.Module) -> Summary:
    """Tell which LSTMs of a model `accelerate` has made native, and why not the others.

    Args:
        module: any module, accelerated or not.

    >>> print(accelerated(accelerate(torch.nn.Sequential(torch.nn.LSTM(4, 8)))))
    1 of 1 LSTMs and LSTM cells are of gatewise.nn.
      0: of gatewise.nn
    """
    native, left = [], {}
    for name, child in module.named_modules():
        if isinstance(child, (LSTM, LSTMCell)):
            native.append(name or "(the module itself)")
        else:
            why = _why_left(child)
            if why is not None:
                left[name or "(the module itself)"] = why
    return Summary(tuple(native), left)


def _why_left(module: Any) -> str | None:
    """What keeps `accelerate` from a module; None if it is no LSTM."""
    name = type(module).__name__
    if isinstance(module, torch.jit.ScriptModule):
        scripted = getattr(module, "original_name", None)
        return (
            f"torch.jit has compiled this {scripted}" if scripted in ("LSTM", "LSTMCell") else None
        )
    if name in ("LSTM", "LSTMCell") and type(module).__module__.startswith("torch.ao."):
        return "it is quantised"
    if not isinstance(module, tuple(_NATIVE)):
        return None
    if is_parametrized(module):
        return "it is parametrised, which makes it a subclass. Accelerate it before"
    if type(module) in _NATIVE:
        return "it is PyTorch's: not accelerated since it was made, or scripted since"
    return f"{name} is a subclass: its own forward may do something else"
