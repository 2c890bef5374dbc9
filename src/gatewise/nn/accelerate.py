"""`accelerate`: an existing model, its LSTMs made native in place."""

from __future__ import annotations

from typing import TypeVar

import torch

from gatewise.nn.cell import LSTMCell
from gatewise.nn.lstm import LSTM

M = TypeVar("M", bound=torch.nn.Module)

_NATIVE = {torch.nn.LSTM: LSTM, torch.nn.LSTMCell: LSTMCell}


def accelerate(module: M) -> M:
    """Make every `torch.nn.LSTM` inside a model a `gatewise.nn.LSTM`, in place.

    Parameters, buffers, hooks, names and the identity of every module stay, so optimizers,
    checkpoints and shared modules keep working. Subclasses of `torch.nn.LSTM` (parametrized ones
    among them) are left as they are: their own forward may do something else.

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
