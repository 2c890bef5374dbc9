"""What is told: `lstm.explain` of a call, `accelerated` of a model."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils.rnn import pack_sequence

from gatewise import Cell
from gatewise.nn import LSTM, LSTMCell, accelerate, accelerated, composite, native

X = torch.randn(5, 3, 4)
PACKED = pack_sequence([X[:, 0], X[:3, 1]])
CALLS = {
    "plain": (lambda: LSTM(4, 6), (X,), "native", "The native core runs this call."),
    "packed": (lambda: LSTM(4, 6), (PACKED,), "native", "native core"),
    "lengths": (lambda: LSTM(4, 6), (X, None, [5, 2, 1]), "native", "native core"),
    "bfloat16": (
        lambda: LSTM(4, 6).bfloat16(),
        (X.bfloat16(),),
        "torch",
        "PyTorch's own LSTM runs this call, because the core computes in float32 and float64, not",
    ),
    "another cell": (
        lambda: LSTM(4, 6, cell=Cell(candidate="relu")).bfloat16(),
        (X.bfloat16(),),
        "composite",
        "step by step, because the core computes",
    ),
    "function": (
        lambda: LSTM(4, 6, cell=Cell(candidate=torch.sin)),
        (X,),
        "composite",
        "step by step, because an activation of the cell is a Python function",
    ),
    "dtypes": (lambda: LSTM(4, 6), (X.double(),), "torch", "different dtypes"),
    "device": (lambda: LSTM(4, 6).to("meta"), (X.to("meta"),), "torch", "is on meta"),
    "subclass": (
        lambda: LSTM(4, 6),
        (X.as_subclass(type("Own", (torch.Tensor,), {})),),
        "torch",
        "a tensor is a Own",
    ),
    "empty": (lambda: LSTM(4, 6), (X[:, :0],), "torch", "the input is empty, or"),
    "shape": (lambda: LSTM(4, 6), (X[..., :3],), "torch", "shapes that this LSTM does not take"),
}


@pytest.mark.parametrize(("make", "call", "path", "words"), CALLS.values(), ids=CALLS)
@pytest.mark.filterwarnings("ignore:The Python function:UserWarning")
def test_a_call_is_explained(make, call, path, words):
    lstm = make()
    told = lstm.explain(*call)
    assert told.path == path
    assert (told.reason is None) == (path == "native")
    assert words in str(told)


@pytest.mark.parametrize(("make", "call", "path", "words"), CALLS.values(), ids=CALLS)
@pytest.mark.filterwarnings("ignore:The Python function:UserWarning")
@pytest.mark.filterwarnings("ignore:An LSTM that PyTorch does not have:UserWarning")
def test_the_path_told_is_the_path_taken(make, call, path, words, monkeypatch):
    lstm, taken = make(), []
    for module, name, of in (
        (native, "run", "native"),
        (composite, "run_layers", "composite"),
        (nn.LSTM, "forward", "torch"),
    ):
        monkeypatch.setattr(module, name, lambda *_, of=of: taken.append(of) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        lstm(*call)
    assert taken == [path]


def test_a_transform_is_explained():
    lstm, told = LSTM(4, 6), []
    torch.func.grad(lambda x: (told.append(lstm.explain(x)), lstm(x)[0].sum())[1])(X)
    assert str(told[0]).endswith("because a torch.func transform or forward-mode AD is at work.")


def test_nothing_is_drawn_or_computed(monkeypatch):
    lstm = LSTM(4, 6, zoneout=0.2)
    monkeypatch.setattr(native, "run", lambda *_: pytest.fail("computed"))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    lstm.explain(X)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_a_model_is_summarised_with_a_reason_for_each_that_is_left():
    class Own(nn.LSTM):
        pass

    parametrised = nn.LSTM(3, 4)
    parametrizations.weight_norm(parametrised, "weight_hh_l0")
    model = nn.ModuleDict(
        {
            "lstm": nn.LSTM(3, 4),
            "cell": nn.LSTMCell(3, 4),
            "own": Own(3, 4),
            "parametrised": parametrised,
            "scripted": torch.jit.script(nn.LSTM(3, 4)),
            "quantised": nn.Sequential(nn.LSTM(3, 4)),
            "gru": nn.GRU(3, 4),
        }
    )
    model["quantised"] = torch.ao.quantization.quantize_dynamic(model["quantised"])
    before = accelerated(model)
    assert before.native == ()
    assert before.left["lstm"] == (
        "it is PyTorch's: not accelerated since it was made, or scripted since"
    )
    after = accelerated(accelerate(model))
    assert after.native == ("lstm", "cell")
    assert set(after.left) == {"own", "parametrised", "scripted", "quantised.0"}
    lines = str(after).splitlines()
    assert lines[0] == "2 of 6 LSTMs and LSTM cells are of gatewise.nn."
    for name, why in (
        ("own", "Own is a subclass"),
        ("parametrised", "it is parametrised"),
        ("scripted", "torch.jit has compiled"),
        ("quantised.0", "it is quantised"),
    ):
        assert any(line.startswith(f"  {name}: left alone, because {why}") for line in lines)


def test_a_bare_lstm_is_summarised():
    assert accelerated(LSTM(3, 4)).native == ("(the module itself)",)
    assert accelerated(LSTMCell(3, 4)).left == {}
