"""`LSTM(..., lengths=)` against PyTorch's packed sequences, and what is said of bad lengths."""

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from twins import assert_same, gradients, twins

from gatewise import Cell
from gatewise.errors import ConfigError, ShapeError
from gatewise.nn import LSTM

T, B = 5, 4
OPTIONS = [
    {},
    {"num_layers": 3, "bidirectional": True},
    {"num_layers": 2, "batch_first": True, "bias": False},
    {"proj_size": 3, "bidirectional": True},
]
CELLS = [Cell(), Cell(forget_gate="sigmoid", peephole=True), Cell(layer_norm=True)]


def packed_by_torch(lstm, x, lengths, hx=None):
    packed = pack_padded_sequence(x, lengths, lstm.batch_first, enforce_sorted=False)
    out, state = lstm(packed, hx)
    total = x.shape[1 if lstm.batch_first else 0]
    return pad_packed_sequence(out, lstm.batch_first, total_length=total)[0], state


@pytest.mark.parametrize("lengths", [[3, 1, 4, 2], [5, 5, 5, 5], [5, 4, 1, 1]], ids=str)
@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("kw", OPTIONS, ids=repr)
def test_results_and_gradients_equal_torchs_packed_ones(kw, state, lengths):
    ours, theirs = twins("LSTM", 4, 6, dtype=torch.float64, **kw)
    k, P = ours.num_layers * ours.directions, ours.proj_size or 6
    x = torch.randn(*((B, T) if ours.batch_first else (T, B)), 4, dtype=torch.float64)
    hx = tuple(torch.randn(k, B, n, dtype=torch.float64) for n in (P, 6)) if state else None
    ends = torch.tensor(lengths)
    found = []
    for lstm, run in (
        (ours, lambda x: ours(x, hx, ends)),
        (theirs, lambda x: packed_by_torch(theirs, x, ends, hx)),
    ):
        leaf = x.clone().requires_grad_()
        y, (h, c) = run(leaf)
        (y.sin().sum() + (h.sum() + c.square().sum())).backward()
        found.append((y, h, c, leaf.grad, gradients(lstm)))
    assert_same(*found, rtol=1e-10, atol=1e-12)


def test_a_cell_with_pytorchs_numbers_runs_ragged_on_the_composite_path():
    cell = Cell(peephole=True)
    ours = LSTM(4, 6, num_layers=2, bidirectional=True, cell=cell, dtype=torch.float64)
    theirs = torch.nn.LSTM(4, 6, num_layers=2, bidirectional=True, dtype=torch.float64)
    with torch.no_grad():
        for name, p in ours.named_parameters():
            if name in dict(theirs.named_parameters()):
                theirs.get_parameter(name).copy_(p)
            else:
                p.zero_()
    x, ends = torch.randn(T, B, 4, dtype=torch.float64), torch.tensor([2, 5, 1, 4])
    assert_same(ours(x, lengths=ends), packed_by_torch(theirs, x, ends), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_output_beyond_an_end_is_zero_and_the_padding_is_not_read(cell):
    lstm = LSTM(4, 6, bidirectional=True, cell=cell)
    lengths = torch.tensor([3, 1, 4, 2], dtype=torch.int32)
    x = torch.randn(T, B, 4)
    expected = lstm(x, lengths=lengths)
    beyond = torch.arange(T)[:, None] >= lengths
    assert not expected[0][beyond].any()
    assert expected[0].shape == (T, B, 12)
    x[beyond] = float("nan")
    assert_same(lstm(x, lengths=lengths.tolist()), expected, rtol=0, atol=0)


def test_an_empty_batch_is_taken():
    y, (h, _) = LSTM(4, 6)(torch.empty(T, 0, 4), lengths=torch.empty(0, dtype=torch.long))
    assert y.shape == (T, 0, 6)
    assert h.shape == (1, 0, 6)


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_bad_lengths_are_refused(cell):
    lstm = LSTM(4, 6, cell=cell)
    x = torch.randn(T, B, 4)
    for wrong, fault in {
        (1, 2, 3): r"lengths has shape \(3,\) and dtype torch.int64: expected 4 integers",
        (1.0, 2.0, 3.0, 4.0): "dtype torch.float32: expected 4 integers",
        (True, False, True, True): "dtype torch.bool: expected 4 integers",
        (0, 1, 2, 3): "lengths run from 0 to 3: expected 1 to T=5. Drop empty rows",
        (6, 1, 2, 3): "lengths run from 1 to 6: expected 1 to T=5",
    }.items():
        with pytest.raises(ShapeError, match=fault):
            lstm(x, lengths=torch.tensor(wrong))
    with pytest.raises(ShapeError, match=r"an input of \(5, 4\): expected a batch of 3 axes"):
        lstm(x[:, 0], lengths=torch.tensor([5]))
    with pytest.raises(ShapeError, match="an input of list"):
        lstm([1.0], lengths=torch.tensor([5]))
    packed = pack_padded_sequence(x, torch.tensor([5, 4, 3, 2]))
    with pytest.raises(ConfigError, match="lengths came with a PackedSequence"):
        lstm(packed, lengths=torch.tensor([5, 4, 3, 2]))


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_bad_input_and_states_raise_what_torch_raises(cell):
    ends, theirs = torch.tensor([3, 1, 4, 2]), torch.nn.LSTM(4, 6)
    x, good = torch.randn(T, B, 4), torch.zeros(1, B, 6)
    for input, hx in ((x[..., :3], None), (x, (good[:, :2], good)), (x, (good, good[..., :2]))):
        with pytest.raises((RuntimeError, ValueError)) as expected:
            packed_by_torch(theirs, input, ends, hx)
        with pytest.raises(type(expected.value)):
            LSTM(4, 6, cell=cell)(input, hx, ends)
