"""What does not fit is refused before the core sees it, and what changes is noticed."""

import pytest
import torch
from torch.nn import Parameter
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from gatewise import Cell
from gatewise.errors import DtypeError, ShapeError
from gatewise.nn import LSTM, LSTMCell
from gatewise.runtime import Model
from gatewise.weights import from_module

MALFORMED = {
    "too many rows": (3, [2] * 2000),
    "rising": (501, [1, 500]),
    "negative": (3, [3, -3, 3]),
    "too few rows": (9, [2, 1]),
    "overflowing": (3, [2**62, 2**62, 2**62, 2**62 - 1, 2, 2]),
    "ending with 0": (3, [2, 1, 0]),
}


KINDS = [{}, {"cell": Cell(candidate="relu")}, {"learn_initial_state": True}]


@pytest.mark.parametrize("kw", KINDS, ids=["default", "cell", "learnt state"])
@pytest.mark.parametrize(("rows", "sizes"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_packed_sequence_reaches_neither_the_core_nor_pytorch(
    rows, sizes, kw, monkeypatch
):
    monkeypatch.setattr("gatewise.nn.native.forward", lambda *_: pytest.fail("in the core"))
    monkeypatch.setattr(torch.nn.LSTM, "forward", lambda *_: pytest.fail("in PyTorch"))
    packed = PackedSequence(torch.randn(rows, 4), torch.tensor(sizes))
    for dtype in (torch.float32, torch.bfloat16):
        with pytest.raises(ShapeError, match="never rise and add up"):
            LSTM(4, 6, dtype=dtype, **kw)(packed.to(dtype))


def test_packed_sizes_of_another_dtype_are_refused():
    packed = PackedSequence(torch.randn(3, 4), torch.tensor([2, 1], dtype=torch.int32))
    with pytest.raises(ShapeError, match=r"\[2, 1\] of torch.int32: expected int64"):
        LSTM(4, 6)(packed)


UNFIT = {
    "input size": lambda x, s: (x[:, :3], (s, s)),
    "axes": lambda x, s: (x[None], (s, s)),
    "dtype": lambda x, s: (x.double(), (s, s)),
    "rows of h": lambda x, s: (x, (s[:, :1], s)),
    "size of c": lambda x, s: (x, (s, s[..., :5])),
    "more rows": lambda x, s: (x, (s.repeat(1, 3, 1), s.repeat(1, 3, 1))),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("change", UNFIT.values(), ids=UNFIT)
def test_a_packed_batch_that_does_not_fit_never_reaches_pytorch_s_kernels(
    change, dtype, monkeypatch
):
    monkeypatch.setattr(torch.nn.modules.rnn._VF, "lstm", lambda *_: pytest.fail("in a kernel"))
    data, hx = change(torch.randn(3, 4, dtype=dtype), torch.zeros(1, 2, 6, dtype=dtype))
    with pytest.raises((RuntimeError, ValueError)):
        LSTM(4, 6, dtype=dtype)(PackedSequence(data, torch.tensor([2, 1])), hx)


@pytest.mark.parametrize("name", ["hidden_size", "input_size", "proj_size", "num_layers"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_that_do_not_fit_never_reach_pytorch_s_kernels(name, dtype, monkeypatch):
    monkeypatch.setattr(torch.nn.modules.rnn._VF, "lstm", lambda *_: pytest.fail("in a kernel"))
    lstm = LSTM(4, 6, num_layers=2, dtype=dtype)
    setattr(lstm, name, 3)
    x = torch.randn(5, 2, lstm.input_size, dtype=dtype)
    for input in (x, pack_sequence(x.unbind(1))):
        with pytest.raises((ShapeError, AttributeError)):
            lstm(input)


@pytest.mark.parametrize("sizes", [torch.tensor([3, 2, 1]), torch.tensor([3, 9, 2, 9, 1, 9])[::2]])
def test_a_well_packed_sequence_does(sizes, monkeypatch):
    x, lstm = torch.randn(6, 4), LSTM(4, 6)
    expected = torch.nn.LSTM.forward(lstm, PackedSequence(x, sizes.clone()))[0].data
    monkeypatch.setattr(torch.nn.LSTM, "forward", lambda *_: pytest.fail("not in the core"))
    torch.testing.assert_close(lstm(PackedSequence(x, sizes))[0].data, expected)


def test_a_parameter_of_another_shape_is_refused_by_name():
    lstm = LSTM(4, 64, cell=Cell(layer_norm=True))
    lstm.norm_c_l0 = Parameter(torch.ones(1))
    with pytest.raises(ShapeError, match=r"norm_c of layer and direction 0 has shape \(1,\)"):
        lstm(torch.randn(3, 2, 4))


def test_another_cell_after_the_first_call_counts():
    torch.manual_seed(0)
    lstm, x = LSTM(4, 6), torch.randn(5, 2, 4)
    lstm(x)
    lstm.cell = Cell(candidate="relu")
    other = LSTM(4, 6, cell=Cell(candidate="relu"))
    other.load_state_dict(lstm.state_dict())
    assert torch.equal(lstm(x)[0], other(x)[0])


def test_dtypes_that_differ_are_named():
    lstm = LSTM(4, 6, cell=Cell(candidate="relu"))
    with pytest.raises(DtypeError, match="float32 and float64"):
        lstm(torch.randn(5, 2, 4, dtype=torch.float64))


def test_a_cell_s_state_of_another_batch_is_refused():
    cell = LSTMCell(3, 4, cell=Cell(candidate="relu"))
    with pytest.raises(RuntimeError, match="batch size 5 doesn't match hidden0 batch size 1"):
        cell(torch.randn(5, 3), (torch.zeros(1, 4), torch.zeros(1, 4)))


def test_no_rows_have_no_lengths():
    y, _ = LSTM(3, 4)(torch.zeros(5, 0, 3), lengths=[])
    assert y.shape == (5, 0, 4)


def test_the_runtime_checks_lengths_of_no_steps_too():
    model = Model(from_module(LSTM(3, 4)))
    with pytest.raises(ShapeError, match="lengths run from -4 to 9"):
        model.run(torch.zeros(0, 2, 3).numpy(), lengths=[9, -4])


def test_bfloat16_is_off_in_evaluation_where_training_cannot_have_it():
    torch.manual_seed(0)
    rounded = LSTM(4, 32, precision="bfloat16", recurrent_dropout=0.2).eval()
    full = LSTM(4, 32)
    full.load_state_dict(rounded.state_dict())
    x = torch.randn(5, 2, 4)
    assert torch.equal(rounded(x)[0], full(x)[0])


@pytest.mark.parametrize(
    ("cell", "unused"), [(Cell(coupled=True), 1), (Cell(input_gate="one"), 0)], ids=["f", "i"]
)
def test_a_removed_gate_has_no_gradient_even_beside_nan(cell, unused):
    lstm = LSTM(3, 5, cell=cell, dtype=torch.float64)
    packed = pack_sequence([torch.randn(4, 3, dtype=torch.float64)])
    packed.data[1, 0] = torch.nan
    lstm(packed)[0].data.sum().backward()
    gradient = lstm.bias_ih_l0.grad.view(4, 5)
    assert not gradient[unused].any()
    assert gradient[2].isnan().any()


@pytest.mark.parametrize("cell", [Cell(), Cell(candidate="softsign")])
def test_a_packed_batch_has_an_index_for_each_sequence(cell):
    data, sizes = torch.randn(5, 4), torch.tensor([3, 2])
    packed = PackedSequence(data, sizes, torch.tensor([0]), torch.tensor([0]))
    with pytest.raises(ShapeError, match="one index for each"):
        LSTM(4, 8, cell=cell)(packed)
