"""In-place work on y, h_n and c_n between forward and backward: the gradients of work on copies."""

import gc
import weakref

import pytest
import torch
from torch.nn.functional import dropout
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.checkpoint import checkpoint
from twins import assert_same, gradients

from gatewise import Cell
from gatewise.nn import LSTM

WORK = {
    "mul_": lambda t: t.mul_(2),
    "dropout": lambda t: dropout(t, 0.5, training=True, inplace=True),
    "mask": lambda t: t.__setitem__(t > 0.05, 0),
    "+=": lambda t: t.__iadd__(1),
    "relu_": lambda t: t.relu_(),
    "a slice": lambda t: t[1:].zero_(),
    "a view": lambda t: t.transpose(0, 1).mul_(0.5),
    "no_grad": lambda t: t.detach().zero_(),
}
MODULES = {
    "plain": {},
    "deep": {"num_layers": 2, "bidirectional": True, "batch_first": True},
    "projected": {"proj_size": 3, "bias": False},
    "cell": {"cell": Cell(candidate="softsign", peephole=True, layer_norm=True)},
    "regularised": {"recurrent_dropout": 0.4, "zoneout": 0.2, "weight_dropout": 0.3},
    "dropout": {"num_layers": 3, "dropout": 0.4},
    "checkpointed": {"checkpoint_every": 2},
}


def outcome(kw, work, dtype, form, copied):
    torch.manual_seed(0)
    m = LSTM(4, 6, dtype=dtype, **kw)
    x = torch.randn(5, 5, 4, dtype=dtype, requires_grad=True)
    if form == "packed":
        y, state = m(pack_padded_sequence(x, [5, 3, 3, 2, 1], m.batch_first))
        y = y.data
    elif form == "one row":
        y, state = m(x[0])
    else:
        y, state = m(x)
    outputs = [t.clone() if copied else t for t in (y, *state)]
    for t in outputs:
        if copied and work is WORK["no_grad"]:
            continue  # what autograd does not see, it does not differentiate
        torch.manual_seed(1)
        work(t)
    loss = sum((k + 1) * t.sin().sum() for k, t in enumerate(outputs))
    if copied and work is WORK["no_grad"]:
        loss = sum((k + 1) * t.sum() for k, t in enumerate(outputs))  # cos 0 = 1
    loss.backward()
    return x.grad, gradients(m)


@pytest.mark.parametrize("form", ["padded", "packed", "one row"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kw", MODULES.values(), ids=MODULES)
def test_gradients_are_those_of_work_on_copies(kw, dtype, form):
    for name, work in WORK.items():
        if form == "one row" and name == "a view":
            continue
        got, expected = (outcome(kw, work, dtype, form, copied) for copied in (False, True))
        assert_same(got, expected, rtol=0, atol=0)


def test_weights_changed_where_pytorch_does_not_count_leave_the_y_of_forward():
    found = []
    for change in (False, True):
        torch.manual_seed(0)
        m, x = LSTM(4, 6), torch.randn(5, 3, 4)
        y, _ = m(x)
        if change:
            y.mul_(1)
            m.weight_hh_l0.data.mul_(3)
        y.sum().backward()
        found.append(gradients(m))
    assert_same(*found, rtol=0, atol=0)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_inside_a_checkpointed_function(use_reentrant):
    found = []
    for run in (lambda f, x: checkpoint(f, x, use_reentrant=use_reentrant), lambda f, x: f(x)):
        torch.manual_seed(0)
        m = LSTM(4, 6, dtype=torch.float64)
        x = torch.randn(5, 3, 4, dtype=torch.float64, requires_grad=True)
        run(lambda x, m=m: m(x)[0].mul_(2).sin(), x).square().sum().backward()
        found.append([x.grad, gradients(m)])
    assert_same(*found, rtol=0, atol=0)


def test_an_input_changed_before_backward_is_still_refused():
    m, x = LSTM(4, 6), torch.randn(5, 3, 4)
    y, _ = m(x)
    y.mul_(2)
    x.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_results_go_when_nobody_holds_them():
    m = LSTM(4, 6)
    gc.disable()
    try:
        y, _ = m(torch.randn(5, 3, 4))
        gone = weakref.ref(y)
        y.mul_(2)
        del y, _
        assert gone() is None
    finally:
        gc.enable()
