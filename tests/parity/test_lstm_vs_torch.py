"""`gatewise.nn.LSTM` against `torch.nn.LSTM`: every option, outputs and every gradient."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from layers import assert_near
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

from gatewise.nn import LSTM, native, paths

# PyTorch says so once per process, for float32 projections.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

DTYPES = (torch.float32, torch.float64)
options = st.fixed_dictionaries(
    {
        "num_layers": st.integers(1, 3),
        "bidirectional": st.booleans(),
        "bias": st.booleans(),
        "batch_first": st.booleans(),
        "proj_size": st.sampled_from([0, 0, 0, 2]),
    }
)
layouts = st.sampled_from(["batched", "unbatched", "packed", "packed_unsorted"])


def pair(I, H, dtype, **kw):
    """Ours in `dtype`, and PyTorch's with the same numbers in float64."""
    torch.manual_seed(1)
    ours = LSTM(I, H, dtype=dtype, **kw)
    theirs = torch.nn.LSTM(I, H, dtype=torch.float64, **kw)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    return ours, theirs


def inputs_of(layout, shape, batch_first, dtype):
    T, B, I = shape
    if layout == "unbatched":
        return torch.randn(T, I, dtype=dtype)
    x = torch.randn((B, T, I) if batch_first else (T, B, I), dtype=dtype)
    if layout == "batched":
        return x
    lengths = torch.randint(1, T + 1, (B,))
    if layout == "packed":
        lengths = lengths.sort(descending=True).values
    return pack_padded_sequence(x, lengths, batch_first, layout == "packed")


def states_of(lstm, layout, B, dtype):
    k = lstm.num_layers * (2 if lstm.bidirectional else 1)
    batch = () if layout == "unbatched" else (B,)
    H = lstm.hidden_size
    sizes = (lstm.proj_size or H, H)
    return tuple(torch.randn(k, *batch, size, dtype=dtype) for size in sizes)


def leaf(t, dtype):
    if t is None:
        return None
    return t.detach().to(dtype).requires_grad_()


def run(lstm, x, hx, loss, dtype):
    """Outputs and gradients by name; a gradient that does not exist is None."""
    packed = isinstance(x, PackedSequence)
    own = leaf(x.data if packed else x, dtype)
    states = None if hx is None else tuple(leaf(s, dtype) for s in hx)
    y, (h, c) = lstm(x._replace(data=own) if packed else own, states)
    if packed:
        assert torch.equal(y.batch_sizes, x.batch_sizes)
        y = y.data
    loss(y, h, c).backward()
    found = {"y": y.detach(), "h_n": h.detach(), "c_n": c.detach(), "dx": own.grad}
    if states is not None:
        found |= {"dh0": states[0].grad, "dc0": states[1].grad}
    return found | {k: p.grad for k, p in lstm.named_parameters()}


def everything(y, h, c):
    return (y.sin() * 2).sum() + (h * h).sum() + c.tanh().sum()


def compare(ours, theirs, x, hx, dtype, *, loss=everything):
    got, expected = run(ours, x, hx, loss, dtype), run(theirs, x, hx, loss, torch.float64)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        if value is None:
            assert got[name] is None, name
        else:
            assert got[name].dtype is dtype
            assert_near(got[name], value, got[name].numpy().dtype, name)


@pytest.mark.parametrize("dtype", DTYPES)
@given(
    shape=st.tuples(*[st.sampled_from([1, 2, 7, 17])] * 3),
    H=st.sampled_from([3, 7, 17, 33]),
    layout=layouts,
    kw=options,
    with_state=st.booleans(),
)
def test_outputs_and_gradients_equal_torch(isa, dtype, shape, H, layout, kw, with_state):
    ours, theirs = pair(shape[2], H, dtype, **kw)
    x = inputs_of(layout, shape, kw["batch_first"], dtype)
    hx = states_of(ours, layout, shape[1], dtype) if with_state else None
    compare(ours, theirs, x, hx, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["batched", "unbatched", "packed_unsorted"])
def test_a_wide_deep_bidirectional_lstm_equals_torch(isa, dtype, layout):
    ours, theirs = pair(33, 129, dtype, num_layers=3, bidirectional=True, batch_first=True)
    x = inputs_of(layout, (17, 33, 33), True, dtype)
    compare(ours, theirs, x, states_of(ours, layout, 33, dtype), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "loss",
    [lambda y, h, c: y.sum(), lambda y, h, c: h.sum(), lambda y, h, c: c.sum()],
    ids=["y", "h_n", "c_n"],
)
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_loss_on_one_output_alone_equals_torch(dtype, loss, num_layers, bidirectional):
    ours, theirs = pair(3, 7, dtype, num_layers=num_layers, bidirectional=bidirectional)
    x = torch.randn(5, 4, 3, dtype=dtype)
    compare(ours, theirs, x, states_of(ours, "batched", 4, dtype), dtype, loss=loss)


@pytest.mark.parametrize("H", [5, 129])
@pytest.mark.parametrize("batch_first", [False, True])
def test_an_empty_batch_equals_torch(batch_first, H):
    ours, theirs = pair(3, H, torch.float64, num_layers=2, batch_first=batch_first)
    x = torch.randn((0, 4, 3) if batch_first else (4, 0, 3), dtype=torch.float64)
    compare(ours, theirs, x, None, torch.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["transposed", "sliced", "expanded", "flipped_stride"])
def test_inputs_with_gaps_equal_torch(dtype, layout):
    ours, theirs = pair(7, 9, dtype, bidirectional=True)
    x = {
        "transposed": torch.randn(7, 4, 6, dtype=dtype).permute(2, 1, 0),
        "sliced": torch.randn(12, 9, 20, dtype=dtype)[::2, 1:8:2, 3:17:2],
        "expanded": torch.randn(6, 1, 1, dtype=dtype).expand(6, 4, 7),
        "flipped_stride": torch.randn(4, 6, 7, dtype=dtype).transpose(0, 1),
    }[layout]
    hx = tuple(torch.randn(9, 4, 2, dtype=dtype).permute(2, 1, 0) for _ in range(2))
    with torch.no_grad():
        got = ours(x, hx)
        expected = theirs(x.double(), tuple(s.double() for s in hx))
    assert_near(got[0], expected[0], got[0].numpy().dtype)
    compare(ours, theirs, x, hx, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_output_gradient_with_gaps_equals_torch(dtype):
    ours, theirs = pair(3, 6, dtype, bidirectional=True, batch_first=True)
    x = torch.randn(4, 5, 3, dtype=dtype)
    compare(ours, theirs, x, None, dtype, loss=lambda y, h, c: y.mean(1).sum() + h[:, ::2].sum())


@pytest.mark.parametrize("num_layers", [2, 3])
def test_dropout_draws_the_same_numbers_as_torch(num_layers):
    ours, theirs = pair(5, 7, torch.float64, num_layers=num_layers, dropout=0.4, bidirectional=True)
    x = torch.randn(6, 4, 5, dtype=torch.float64)
    found = []
    for lstm in (ours, theirs):
        torch.manual_seed(7)
        found.append(run(lstm, x, None, everything, torch.float64))
    for name, value in found[1].items():
        assert_near(found[0][name], value, np.float64, name)
    assert not torch.equal(run(ours, x, None, everything, torch.float64)["y"], found[0]["y"])
    torch.testing.assert_close(ours.eval()(x)[0], theirs.eval()(x)[0], rtol=1e-12, atol=1e-12)


def test_pack_sequence_in_the_callers_order_equals_torch():
    ours, theirs = pair(3, 4, torch.float64, bidirectional=True)
    rows = [torch.randn(t, 3, dtype=torch.float64) for t in (2, 5, 1, 4)]
    packed = pack_sequence(rows, enforce_sorted=False)
    compare(ours, theirs, packed, states_of(ours, "packed", 4, torch.float64), torch.float64)
    y, _ = ours(packed)
    assert torch.equal(y.unsorted_indices, packed.unsorted_indices)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradcheck_and_gradgradcheck(isa, bias, bidirectional):
    torch.manual_seed(0)
    lstm = LSTM(2, 3, num_layers=2, bias=bias, bidirectional=bidirectional, dtype=torch.float64)
    names, values = zip(*lstm.named_parameters(), strict=True)
    k = 4 if bidirectional else 2
    x, h, c = (torch.randn(s, dtype=torch.float64) for s in ((3, 2, 2), (k, 2, 3), (k, 2, 3)))

    def call(x, h, c, *parameters):
        for name, value in zip(names, parameters, strict=True):
            del lstm._parameters[name]
            lstm._parameters[name] = value
        lstm._flat_weights = [lstm._parameters[n] for n in lstm._flat_weights_names]
        y, (h_n, c_n) = lstm(x, (h, c))
        return y, h_n, c_n

    leaves = [t.detach().clone().requires_grad_() for t in (x, h, c)]
    leaves += [torch.nn.Parameter(v.detach().clone()) for v in values]
    assert torch.autograd.gradcheck(call, leaves, fast_mode=False)
    assert torch.autograd.gradgradcheck(call, leaves, fast_mode=True)


def test_the_default_cell_does_run_natively(monkeypatch):
    calls = []
    run = native.run
    monkeypatch.setattr(native, "run", lambda *a: (calls.append(1), run(*a))[1])
    LSTM(3, 4, num_layers=2, bidirectional=True)(torch.randn(2, 2, 3))
    assert len(calls) == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["packed", "packed_unsorted"])
@pytest.mark.parametrize("proj_size", [0, 5])
@pytest.mark.parametrize("bias", [False, True])
def test_projected_and_packed_lstms_run_natively_too(
    isa, monkeypatch, dtype, layout, proj_size, bias
):
    kw = {"num_layers": 2, "bidirectional": True, "batch_first": True}
    ours, theirs = pair(7, 19, dtype, bias=bias, proj_size=proj_size, **kw)
    taken, choose = [], paths.choose
    monkeypatch.setattr(paths, "choose", lambda *a: taken.append(choose(*a)) or taken[-1])
    x = inputs_of(layout, (9, 13, 7), True, dtype)
    for hx in (None, states_of(ours, layout, 13, dtype)):
        compare(ours, theirs, x, hx, dtype)
    assert taken == ["native"] * 2
