"""Many networks in one call give the bits of one after the other."""

import pickle

import numpy as np
import pytest
import torch

from gatewise import Cell
from gatewise.errors import ConfigError, DtypeError, ShapeError
from gatewise.nn import LSTM, LSTMGroup

KINDS = {
    "default": {},
    "two layers, both directions": {"num_layers": 2, "bidirectional": True},
    "projection": {"proj_size": 3},
    "no bias": {"bias": False},
    "peephole": {"cell": Cell(peephole=True)},
    "layer norm": {"cell": Cell(layer_norm=True)},
    "coupled": {"cell": Cell(coupled=True, cell_output="identity")},
}
SIZES = ((3, 7, 6, 2, 5), (5, 1, 1, 1, 1), (2, 9, 130, 3, 17), (1, 4, 3, 1, 4), (17, 3, 2, 2, 8))


@pytest.fixture(params=[1, 2, 16])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_a_group_has_the_bits_of_its_members(isa, threads, kind, dtype):
    torch.manual_seed(3)
    for G, T, B, I, H in SIZES:
        if H < 4 and kind == "projection":
            continue
        lstms = [LSTM(I, H, dtype=dtype, **KINDS[kind]) for _ in range(G)]
        group = LSTMGroup(lstms)
        x = torch.randn(G, T, B, I, dtype=dtype, requires_grad=True)
        y = group(x)
        wanted = torch.randn_like(y)
        (y * wanted).sum().backward()
        for g, lstm in enumerate(lstms):
            own = x[g].detach().requires_grad_()
            alone = lstm(own)[0]
            (alone * wanted[g]).sum().backward()
            assert torch.equal(alone, y[g])
            assert torch.equal(own.grad, x.grad[g])
            for name, parameter in lstm.named_parameters():
                assert torch.equal(parameter.grad, getattr(group, name).grad[g]), name
            assert torch.equal(group.lstm(g)(own)[0], y[g])


def test_weights_that_change_after_forward_do_not_reach_its_backward():
    group = LSTMGroup([LSTM(2, 4), LSTM(2, 4)])
    x = torch.randn(2, 5, 3, 2)
    y = group(x)
    with torch.no_grad():
        group.weight_hh_l0.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_without_gradients_nothing_is_kept():
    group = LSTMGroup([LSTM(2, 4)])
    with torch.no_grad():
        assert not group(torch.randn(1, 5, 3, 2)).requires_grad
    frozen = LSTMGroup([LSTM(2, 4)]).requires_grad_(False)
    x = torch.randn(1, 5, 3, 2, requires_grad=True)
    frozen(x).sum().backward()
    assert x.grad is not None
    assert frozen.weight_hh_l0.grad is None


def test_a_view_as_input_and_a_pickle():
    group = LSTMGroup([LSTM(2, 4) for _ in range(3)])
    x = torch.randn(5, 3, 6, 2)
    other = pickle.loads(pickle.dumps(group))
    np.testing.assert_array_equal(
        group(x.transpose(0, 1)).detach(), other(x.transpose(0, 1).contiguous()).detach()
    )


@pytest.mark.parametrize(
    ("lstms", "fault"),
    [
        ([], "expected gatewise.nn.LSTMs"),
        ([torch.nn.LSTM(2, 3)], "expected gatewise.nn.LSTMs"),
        ([LSTM(2, 3), LSTM(2, 4)], "hidden_size 3 and 4"),
        ([LSTM(2, 3), LSTM(2, 3, cell=Cell(coupled=True))], "cell"),
        ([LSTM(2, 3, zoneout=0.1)], "zoneout"),
        ([LSTM(2, 3, recurrent_dropout=0.1)], "recurrent_dropout"),
        ([LSTM(2, 3, batch_first=True)], "batch_first"),
        ([LSTM(2, 3), LSTM(2, 3, dtype=torch.float64)], "float64"),
        ([LSTM(2, 3, learn_initial_state=True)], "learn_initial_state"),
        ([LSTM(2, 3, precision="bfloat16")], "precision"),
        ([LSTM(2, 3, dtype=torch.float16)], "float16"),
    ],
)
def test_what_is_no_group_is_refused(lstms, fault):
    with pytest.raises(ConfigError, match=fault):
        LSTMGroup(lstms)


def test_a_python_function_is_refused():
    with pytest.warns(UserWarning, match="slower"):
        lstm = LSTM(2, 3, cell=Cell(candidate=torch.sin))
    with pytest.raises(ConfigError, match="Python function"):
        LSTMGroup([lstm])


def test_another_shape_or_dtype_is_refused():
    group = LSTMGroup([LSTM(2, 4)])
    for shape in ((5, 3, 2), (2, 5, 3, 2), (1, 5, 3, 3), (1, 0, 3, 2)):
        with pytest.raises(ShapeError, match="expected"):
            group(torch.randn(*shape))
    with pytest.raises(ShapeError, match="float64"):
        group(torch.randn(1, 5, 3, 2, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.complex64, torch.int64])
def test_dtypes_that_the_core_has_not(dtype):
    group = LSTMGroup([LSTM(2, 4)])
    group = group.to(dtype) if dtype.is_floating_point else group
    with pytest.raises(DtypeError, match="expected float32 or float64"):
        group(torch.zeros(1, 5, 3, 2, dtype=dtype))


@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0"])
@pytest.mark.parametrize(
    "shape", [(1,), (3, 1, 1), (2, 16, 2), (900, 16, 2), (3, 16, 2, 1)], ids=str
)
def test_parameters_that_were_replaced_by_others(name, shape):
    group = LSTMGroup([LSTM(2, 4) for _ in range(3)])
    if tuple(getattr(group, name).shape) == shape:
        return
    setattr(group, name, torch.nn.Parameter(torch.zeros(shape)))
    for G in {3, shape[0]}:
        with pytest.raises(ShapeError, match="expected"):
            group(torch.randn(G, 5, 2, 2))


def test_a_parameter_that_is_missing_or_resized_or_elsewhere():
    x = torch.randn(3, 5, 2, 2)
    for name in ("weight_hh_l0", "bias_hh_l0"):
        group = LSTMGroup([LSTM(2, 4) for _ in range(3)])
        setattr(group, name, None)
        with pytest.raises(ShapeError, match=f"{name} is missing"):
            group(x)
    group = LSTMGroup([LSTM(2, 4) for _ in range(3)])
    group.weight_hh_l0.untyped_storage().resize_(0)
    with pytest.raises(ShapeError):
        group(x)
    group = LSTMGroup([LSTM(2, 4) for _ in range(3)])
    for given, where in ((x.to("meta"), group), (x, group.to("meta"))):
        with pytest.raises(ShapeError, match="on the CPU"):
            where(given)
    with pytest.raises(ConfigError, match="on meta"):
        LSTMGroup([LSTM(2, 4, device="meta")])


def test_a_parameter_that_changes_its_shape_before_backward():
    group = LSTMGroup([LSTM(2, 4) for _ in range(3)])
    y = group(torch.randn(3, 5, 2, 2))
    group.weight_hh_l0.data = torch.zeros(1)
    with pytest.raises(RuntimeError, match=r"doesn't match|invalid gradient|modified"):
        y.sum().backward()


def test_pending_negations_and_zeros_without_memory():
    lstms = [LSTM(2, 4) for _ in range(3)]
    group, x = LSTMGroup(lstms), torch.randn(3, 5, 2, 2)
    assert torch.equal(group(torch._neg_view(x)), group(-x))
    y = group(x)
    y.backward(torch._neg_view(torch.ones_like(y)))
    found = group.weight_ih_l0.grad.clone()
    group.zero_grad()
    group(x).backward(-torch.ones_like(y))
    assert torch.equal(found, group.weight_ih_l0.grad)
    group.zero_grad()
    group(x).backward(torch._efficientzerotensor(y.shape))
    assert not group.weight_ih_l0.grad.any()
