"""`recording` of models that it cannot record, found out before they run; and of bfloat16."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch.nn.utils.rnn import pack_padded_sequence
from traced_cells import lstm_of

from gatewise import Cell
from gatewise.errors import ConfigError, DtypeError, ModuleError
from gatewise.trace import Keep, record, recording
from gatewise.weights import from_module

X = torch.randn(9, 3, 4, generator=torch.Generator().manual_seed(1))


def squash(v):
    return v.tanh()


def odd_models():
    with pytest.warns(UserWarning, match="Python function squash"):
        function = lstm_of(Cell(candidate=squash))
    pruned = nn.LSTM(4, 6)
    prune.l1_unstructured(pruned, "weight_hh_l0", 0.5)
    return [
        (function, None, ConfigError, "holds a Python function"),
        (pruned, None, ModuleError, "other parameters than its sizes say"),
        (nn.LSTM(4, 6), ["c"], ConfigError, "no variable 'c'"),
        (nn.LSTM(4, 6), Keep(units=[6], steps=[99]), ConfigError, "units is"),
        (nn.LSTM(4, 6), 3, ConfigError, "keep is 3"),
    ]


def test_what_cannot_be_recorded_is_refused_before_the_model_runs():
    for lstm, keep, error, fault in odd_models():
        model = nn.ModuleDict({"plain": nn.LSTM(4, 6), "odd": lstm})
        with pytest.raises(error, match=fault), recording(model, keep):
            pytest.fail("the model may run")
        assert not any(m._forward_hooks for m in model.modules())


def test_names_from_an_iterator_hold_for_every_call():
    lstm = nn.LSTM(4, 6)
    with recording(lstm, iter(["cell_state"])) as traces:
        lstm(X)
        lstm(X)
    assert [[*t.data.data_vars] for t in traces.calls[""]] == [["cell_state"]] * 2


@pytest.mark.parametrize("kind", ["plain", "packed", "with a state"])
@pytest.mark.parametrize("make", [nn.LSTM, lambda *sizes: lstm_of(sizes=sizes)])
def test_bfloat16_is_recorded_in_float32(make, kind):
    lstm = make(4, 6).bfloat16()
    x = X.bfloat16()
    lengths = torch.tensor([9, 2, 5]) if kind == "packed" else None
    state = torch.randn(2, 1, 3, 6).bfloat16() if kind == "with a state" else None
    given = x if lengths is None else pack_padded_sequence(x, lengths, enforce_sorted=False)
    with recording(lstm) as traces:
        lstm(given, *([] if state is None else [(state[0], state[1])]))
    weights = from_module(lstm, widen=True)
    assert weights.dtype == np.float32
    wide = None if state is None else (state[0].float(), state[1].float())
    assert traces[""] == record(weights, x.float(), wide, lengths)
    with pytest.raises(DtypeError, match=r"has dtype torch\.bfloat16"):
        record(lstm, x)
