"""`runtime.Model.run` against `torch.nn.LSTM` and against the module that was saved."""

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gatewise import Cell, reference, runtime
from gatewise.errors import DtypeError, ShapeError
from gatewise.nn import LSTM
from gatewise.weights import save_lstm

# PyTorch says so once per process, for float32 projections.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

CONFIGS = [
    {},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 2, "batch_first": True, "bias": False},
    {"proj_size": 2, "bidirectional": True, "num_layers": 2},
    {"batch_first": True, "bidirectional": True, "dtype": torch.float64},
    {"cell": Cell(peephole=True, coupled=True), "num_layers": 2},
    {"cell": Cell(layer_norm=True, candidate="softsign"), "bidirectional": True},
    {"cell": Cell(peephole=True), "proj_size": 2, "batch_first": True, "dtype": torch.float64},
    {"cell": Cell("relu", candidate="identity", output_gate="one"), "zoneout": (0.3, 0.2)},
    {"zoneout": 0.25, "learn_initial_state": True, "num_layers": 2, "bidirectional": True},
    {"cell": Cell(layer_norm=True, coupled=True), "learn_initial_state": True, "proj_size": 2},
]
every_config = pytest.mark.parametrize("kw", CONFIGS, ids=repr)


def saved(tmp_path, **kw):
    torch.manual_seed(0)
    lstm = LSTM(4, 6, **kw).eval()
    if lstm.learn_initial_state:
        lstm.h_0.data.normal_()
        lstm.c_0.data.normal_()
    save_lstm(lstm, tmp_path / "m.safetensors")
    return lstm, runtime.load(tmp_path / "m.safetensors")


def near(got, expected):
    tolerance = 1e-12 if got.dtype == np.float64 else 2e-6
    assert got.dtype == expected.numpy().dtype
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def states(lstm, B):
    k, P = lstm.num_layers * lstm.directions, lstm.proj_size or lstm.hidden_size
    dtype = lstm.weight_ih_l0.dtype
    return tuple(torch.randn(k, B, n, dtype=dtype) for n in (P, lstm.hidden_size))


@every_config
@pytest.mark.parametrize("with_state", [False, True])
@torch.no_grad()
def test_run_equals_the_module(isa, tmp_path, kw, with_state):
    lstm, model = saved(tmp_path, **kw)
    x = torch.randn(7, 5, 4, dtype=lstm.weight_ih_l0.dtype)
    hx = states(lstm, 7 if lstm.batch_first else 5) if with_state else None
    y, (h, c) = lstm(x, hx)
    got, (h_got, c_got) = model.run(x.numpy(), state=hx and tuple(s.numpy() for s in hx))
    for a, b in ((got, y), (h_got, h), (c_got, c)):
        near(a, b)


@every_config
@torch.no_grad()
def test_an_unbatched_run_equals_the_module(tmp_path, kw):
    lstm, model = saved(tmp_path, **kw)
    x = torch.randn(7, 4, dtype=lstm.weight_ih_l0.dtype)
    hx = tuple(s[:, 0] for s in states(lstm, 1))
    for state in (None, hx):
        y, (h, c) = lstm(x, state)
        got, (h_got, c_got) = model.run(x.numpy(), state=state and tuple(s.numpy() for s in state))
        for a, b in ((got, y), (h_got, h), (c_got, c)):
            near(a, b)


@every_config
@pytest.mark.parametrize("lengths", [[3, 7, 1, 7, 3], [7, 7, 7, 7, 7], [1, 1, 1, 1, 2]])
@torch.no_grad()
def test_lengths_equal_a_packed_sequence(tmp_path, kw, lengths):
    lstm, model = saved(tmp_path, **kw)
    first = lstm.batch_first
    x = torch.randn((5, 7, 4) if first else (7, 5, 4), dtype=lstm.weight_ih_l0.dtype)
    hx = states(lstm, 5)
    packed = pack_padded_sequence(x, torch.tensor(lengths), first, enforce_sorted=False)
    out, (h, c) = lstm(packed, hx)
    y, _ = pad_packed_sequence(out, first, total_length=7)
    got, (h_got, c_got) = model.run(x.numpy(), lengths, tuple(s.numpy() for s in hx))
    for a, b in ((got, y), (h_got, h), (c_got, c)):
        near(a, b)


@every_config
@pytest.mark.parametrize("lengths", [None, [3, 7, 1, 7, 3]], ids=["full", "ragged"])
@torch.no_grad()
def test_run_equals_the_reference(isa, tmp_path, kw, lengths):
    lstm, model = saved(tmp_path, **kw)
    first, x = lstm.batch_first, torch.randn(7, 5, 4, dtype=lstm.weight_ih_l0.dtype)
    h0, c0 = states(lstm, 5)
    expected = by_reference(lstm, x.numpy(), h0.numpy(), c0.numpy(), lengths)
    given = np.ascontiguousarray(x.transpose(0, 1) if first else x)
    y, (h, c) = model.run(given, lengths, (h0.numpy(), c0.numpy()))
    for a, b in zip((y.swapaxes(0, 1) if first else y, h, c), expected, strict=True):
        near(a, torch.tensor(b, dtype=x.dtype))


def by_reference(lstm, x, h0, c0, lengths):
    D, h_n, c_n = lstm.directions, [], []
    for layer in range(lstm.num_layers):
        outputs = []
        for d in range(D):
            own = {k: v for k, v in vars(lstm.layer_weights(layer, d)).items() if v is not None}
            run = reference.forward(
                x, reference.weights(**own), h0[len(h_n)], c0[len(c_n)], lstm.cell,
                zoneout=lstm.zoneout, lengths=lengths, reverse=d == 1,
            )  # fmt: skip
            outputs.append(run.y)
            h_n.append(run.h)
            c_n.append(run.c)
        x = np.concatenate(outputs, axis=2)
    return x, np.stack(h_n), np.stack(c_n)


@pytest.mark.parametrize("cell", [Cell("hard_sigmoid", peephole=True), Cell(coupled=True)])
@torch.no_grad()
def test_bfloat16_takes_cells_that_are_not_pytorchs(isa, tmp_path, cell):
    torch.manual_seed(0)
    lstm = LSTM(9, 40, num_layers=2, cell=cell, precision="bfloat16")
    save_lstm(lstm, tmp_path / "m")
    model, full = (runtime.load(tmp_path / "m", precision=p) for p in ("bfloat16", "full"))
    x = np.random.default_rng(0).standard_normal((30, 3, 9)).astype(np.float32)
    y, (h, c) = model.run(x)
    assert y.tobytes() == lstm(torch.from_numpy(x))[0].numpy().tobytes()
    assert 1e-5 < np.abs(y - full.run(x)[0]).max() < 0.02  # the bound of test_bfloat16
    stream = model.stream(3)
    assert np.stack([stream.step(row) for row in x]).tobytes() == y.tobytes()
    assert [s.tobytes() for s in stream.state] == [h.tobytes(), c.tobytes()]


def test_a_plain_torch_lstm_runs_the_same(tmp_path):
    lstm = torch.nn.LSTM(4, 6, num_layers=2)
    save_lstm(lstm, tmp_path / "m")
    x = torch.randn(7, 5, 4)
    near(runtime.load(tmp_path / "m").run(x.numpy())[0], lstm(x)[0].detach())


@pytest.mark.parametrize("shape", [(0, 5, 4), (7, 0, 4), (0, 4)])
def test_no_steps_or_no_rows_give_empty_outputs(tmp_path, shape):
    _, model = saved(tmp_path)
    state = np.ones((1, *shape[1:-1], 6), np.float32)
    y, (h, c) = model.run(np.zeros(shape), state=(state, state))
    assert y.shape == (*shape[:-1], 6)
    np.testing.assert_array_equal(h, state)
    np.testing.assert_array_equal(c, state)


def test_no_steps_leave_the_state_as_it_is_in_bfloat16(tmp_path):
    saved(tmp_path)
    model = runtime.load(tmp_path / "m.safetensors", precision="bfloat16")
    state = tuple(np.full((1, 3, 6), 0.1234567, np.float32) for _ in range(2))
    _, (h, c) = model.run(np.zeros((0, 3, 4), np.float32), state=state)
    np.testing.assert_array_equal(h, state[0])
    np.testing.assert_array_equal(c, state[1])


@pytest.mark.parametrize("shape", [(2**58, 0, 4), (0, 2**58, 4), (2**50, 0, 4)])
def test_sizes_that_the_core_cannot_run_are_refused(tmp_path, shape):
    _, model = saved(tmp_path)
    with pytest.raises(ShapeError, match="cannot be run"):
        model.run(np.zeros(shape, np.float32))


@pytest.mark.parametrize("like", [list, np.asfortranarray, lambda x: x.astype(int)])
def test_anything_that_is_an_array_of_numbers_is_taken(tmp_path, like):
    _, model = saved(tmp_path)
    x = np.random.default_rng(0).integers(-2, 3, (7, 5, 4)).astype(np.float64)
    np.testing.assert_array_equal(model.run(like(x))[0], model.run(x)[0])


def test_the_caller_s_arrays_are_left_alone(tmp_path):
    _, model = saved(tmp_path, num_layers=2)
    x, h, c = np.ones((7, 5, 4), np.float32), np.ones((2, 5, 6), np.float32), np.ones((2, 5, 6))
    copies = x.copy(), h.copy(), c.copy()
    model.run(x, [1, 2, 3, 4, 5], (h, c))
    for a, b in zip((x, h, c), copies, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shape", [(7, 5, 3), (4,), (1, 7, 5, 4), ()])
def test_an_input_of_another_shape_is_refused(tmp_path, shape):
    _, model = saved(tmp_path)
    with pytest.raises(ShapeError, match=r"x has shape .*: expected .*input_size=4"):
        model.run(np.zeros(shape))


@pytest.mark.parametrize("dtype", [complex, str, bool, object, "datetime64[s]"])
def test_an_input_of_another_dtype_is_refused(tmp_path, dtype):
    _, model = saved(tmp_path)
    with pytest.raises(DtypeError, match=r"x has dtype .*: expected real numbers"):
        model.run(np.zeros((7, 5, 4), dtype))


@pytest.mark.parametrize(
    ("lengths", "fault"),
    [
        ([1, 2], "expected 5 integers"),
        ([1.0, 2, 3, 4, 5], "expected 5 integers"),
        ([[1, 2, 3, 4, 5]], "expected 5 integers"),
        ([0, 1, 2, 3, 4], "lengths run from 0 to 4: expected 1 to T=7"),
        ([1, 1, 1, 1, 8], "lengths run from 1 to 8: expected 1 to T=7"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(tmp_path, lengths, fault):
    _, model = saved(tmp_path)
    with pytest.raises(ShapeError, match=fault):
        model.run(np.zeros((7, 5, 4)), lengths)


def test_a_state_that_does_not_fit_is_refused(tmp_path):
    _, model = saved(tmp_path, proj_size=2)
    x, h, c = np.zeros((7, 5, 4)), np.zeros((1, 5, 2)), np.zeros((1, 5, 6))
    model.run(x, state=(h, c))
    with pytest.raises(ShapeError, match=r"h has shape \(1, 5, 6\): expected \(1, 5, 2\)"):
        model.run(x, state=(c, c))
    with pytest.raises(ShapeError, match=r"c has shape \(1, 5, 2\): expected \(1, 5, 6\)"):
        model.run(x, state=(h, h))
    with pytest.raises(ShapeError, match=r"h has shape \(1, 5, 2\): expected \(1, 2\)"):
        model.run(x[:, 0], state=(h, c))


@pytest.mark.parametrize("count", [1, 3])
def test_a_state_that_is_no_pair_is_refused(tmp_path, count):
    _, model = saved(tmp_path)
    with pytest.raises(ShapeError, match="state"):
        model.run(np.zeros((7, 5, 4)), state=(np.zeros((1, 5, 6)),) * count)
