"""A gatewise module and its PyTorch twin, and whether they do the same."""

import pytest
import torch

from gatewise import Cell
from gatewise.nn import LSTM, LSTMCell

KINDS = {
    "plain": {},
    "deep": {"num_layers": 3, "bidirectional": True},
    "projected": {"num_layers": 2, "proj_size": 3},
    "any cell": {"cell": Cell(candidate="relu", peephole=True, layer_norm=True)},
    "no bias": {"bias": False},
    "checkpoints": {"checkpoint_every": 3},
}
"""Options of an LSTM whose calls differ inside the core."""

PAIRS = {"LSTM": (LSTM, torch.nn.LSTM), "LSTMCell": (LSTMCell, torch.nn.LSTMCell)}


def twins(kind="LSTM", *args, seed=0, **kw):
    """Both modules, each initialised from the same seed."""
    made = []
    for cls in PAIRS[kind]:
        torch.manual_seed(seed)
        made.append(cls(*(args or (4, 6)), **kw))
    return made


def flat(result):
    """All tensors in a nested result, in order."""
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, dict):
        return [t for value in result.values() for t in flat(value)]
    if isinstance(result, (tuple, list)):
        return [t for value in result for t in flat(value)]
    return []


def assert_same(got, expected, **tolerance):
    got, expected = flat(got), flat(expected)
    assert len(got) == len(expected) > 0
    for a, b in zip(got, expected, strict=True):
        assert a.dtype is b.dtype
        torch.testing.assert_close(a, b, **tolerance)


def assert_same_outcome(do, modules):
    """Both give the same tensors, or both raise the same error; returns the twin's result."""
    ours, theirs = modules
    try:
        expected = do(theirs)
    except Exception as error:  # whatever PyTorch raises is what is expected of us
        raised = error
    else:
        assert_same(do(ours), expected)
        return expected
    with pytest.raises(type(raised)) as caught:
        do(ours)
    assert str(caught.value) == str(raised)
    return raised


def gradients(module):
    return {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
