"""The LSTMs of a state_dict are found, whatever stands beside them."""

import numpy as np
import pytest
import torch
from torch import nn

from gatewise import Cell
from gatewise import nn as ours
from gatewise.errors import ModelFileError
from gatewise.weights import from_module, lstms_of

KINDS = [
    {},
    {"num_layers": 3, "bidirectional": True, "proj_size": 2},
    {"bias": False, "dtype": torch.float64},
]


@pytest.mark.parametrize("kw", KINDS, ids=repr)
def test_each_is_the_module_s(kw):
    model = nn.ModuleDict({"a": nn.LSTM(3, 4, **kw), "gru": nn.GRU(3, 4), "rnn": nn.RNN(3, 4),
                           "deep": nn.Sequential(nn.Linear(2, 2), nn.LSTM(5, 6))})  # fmt: skip
    found = lstms_of({"epoch": 1, "net": {"state": model.state_dict()}})
    assert {*found} >= {"a", "deep.1"}
    assert "gru" not in found
    assert found["a"] == from_module(model["a"])
    assert list(lstms_of(model["a"].state_dict())) == [""]


def test_half_precision_is_read_as_float32():
    lstm = nn.LSTM(3, 4).bfloat16()
    (found,) = lstms_of(lstm.state_dict()).values()
    assert found.dtype == np.float32


BEYOND = [
    {"cell": Cell(peephole=True), "bidirectional": True},
    {"cell": Cell(layer_norm=True)},
    {"learn_initial_state": True},
]


@pytest.mark.parametrize("kw", BEYOND, ids=repr)
@pytest.mark.parametrize("inside", [False, True])
def test_what_a_plain_lstm_has_not_is_never_left_out(kw, inside):
    module = ours.LSTM(3, 4, **kw)
    model = nn.ModuleDict({"a": nn.LSTM(3, 4), "b": module}) if inside else module
    with pytest.raises(ModelFileError, match=r"which no plain LSTM has.*save_lstm"):
        lstms_of(model.state_dict())


def test_the_same_names_elsewhere_do_no_harm():
    content = nn.LSTM(3, 4).state_dict() | {"start.h_0": torch.zeros(1)}
    assert list(lstms_of(content)) == [""]


NONE = {
    "nothing": None, "a number": 3, "empty": {}, "no tensor": {"x": 1},
    "another layer": nn.Linear(2, 2).state_dict(), "no matrix": {"weight_ih_l0": torch.zeros(3)},
}  # fmt: skip


@pytest.mark.parametrize("content", NONE.values(), ids=NONE)
def test_what_holds_none_is_refused(content):
    with pytest.raises(ModelFileError, match="no LSTM in the checkpoint"):
        lstms_of(content)
