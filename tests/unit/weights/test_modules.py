"""Weights read from modules; what is no LSTM is named, with what helps."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch

from gatewise.errors import DtypeError, ModuleError
from gatewise.nn import LSTM
from gatewise.trace import record
from gatewise.weights import LSTMWeights, from_module, save_lstm


def holder():
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Module())
    model[1].rnn = torch.nn.LSTM(3, 4)
    return model


def quantized():
    model = torch.nn.Sequential(torch.nn.LSTM(3, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's quantization is deprecated, in many places
        return torch.ao.quantization.quantize_dynamic(model, {torch.nn.LSTM})[0]


def scripted():
    with pytest.warns(DeprecationWarning, match="torch.jit.script"):
        return torch.jit.script(torch.nn.LSTM(3, 4))


def normed():
    return torch.nn.utils.parametrizations.weight_norm(torch.nn.LSTM(3, 4), "weight_hh_l0")


def resized():
    lstm = torch.nn.LSTM(3, 4)
    lstm.hidden_size = 5
    return lstm


OTHERS = {
    "a module that holds one": (holder, r"holds one as '1\.rnn': expected a torch\.nn\.LSTM"),
    "a module without one": (lambda: torch.nn.Linear(3, 3), "is not an LSTM and holds none"),
    "a module with a mode": (lambda: torch.nn.Upsample(scale_factor=2), "is not an LSTM"),
    "a GRU": (lambda: torch.nn.GRU(3, 4), r"\.GRU is a recurrent layer of another kind"),
    "an RNN": (lambda: torch.nn.RNN(3, 4), r"\.RNN is a recurrent layer of another kind"),
    "a cell": (lambda: torch.nn.LSTMCell(3, 4), "LSTMCell is not an LSTM and holds none"),
    "quantized": (quantized, "holds quantized weights.*before quantization"),
    "scripted": (scripted, "is compiled by TorchScript"),
    "a class": (lambda: torch.nn.LSTM, "Got the class LSTM.*Make one first"),
    "no module": (lambda: {"weight_ih_l0": 3}, r"builtins\.dict is no module"),
    "nothing": (lambda: None, "NoneType is no module"),
    "a text": (lambda: "lstm.safetensors", r"builtins\.str is no module"),
    "parametrized": (normed, "has other parameters.*remove_parametrizations"),
    "resized by hand": (resized, "has other parameters"),
    "without numbers": (lambda: torch.nn.LSTM(3, 4, device="meta"), "device meta.*no numbers"),
}


@pytest.mark.parametrize(("make", "fault"), OTHERS.values(), ids=OTHERS)
def test_what_is_no_lstm_is_named(tmp_path, make, fault):
    module = make()
    for read in (from_module, lambda m: save_lstm(m, tmp_path / "m"), lambda m: record(m, [[0.0]])):
        with pytest.raises(ModuleError, match=fault) as caught:
            read(module)
        assert "\n" not in str(caught.value)
        assert isinstance(caught.value, TypeError)
    assert not [*tmp_path.iterdir()]


def test_a_dtype_that_numpy_lacks_is_named():
    with pytest.raises(DtypeError, match=r"weight_ih_l0 has dtype torch\.bfloat16"):
        from_module(torch.nn.LSTM(3, 4).bfloat16())


def test_layer_picks_one_direction_by_the_names_of_the_equations():
    lstm = LSTM(4, 6, num_layers=2, bidirectional=True)
    own = from_module(lstm).layer(1, 1)
    assert own.keys() == {"w_ih", "w_hh", "b_ih", "b_hh"}
    np.testing.assert_array_equal(own["w_hh"], lstm.weight_hh_l1_reverse.detach())


def test_weights_are_equal_by_their_bits():
    lstm = LSTM(3, 4)
    a = from_module(lstm)
    b = LSTMWeights(a.config, {k: v.copy() for k, v in a.arrays.items()})
    assert a == b
    assert hash(a) == hash(b)
    for other in (copy.copy(a), copy.deepcopy(a), pickle.loads(pickle.dumps(a))):
        assert other == a
    b.arrays["bias_ih_l0"][0] += 1
    assert a != b
    assert a != from_module(lstm.double())
    assert a != "weights"
    missing = {k: v for k, v in a.arrays.items() if k != "bias_ih_l0"}
    assert a != LSTMWeights(a.config, missing)
    nan = LSTMWeights(a.config, {k: np.full_like(v, np.nan) for k, v in a.arrays.items()})
    assert nan == copy.deepcopy(nan)
