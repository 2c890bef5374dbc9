"""A stream step by step against a run of the whole sequence."""

import numpy as np
import pytest
import torch

from gatewise import Cell, runtime
from gatewise.errors import ConfigError, DtypeError, ShapeError
from gatewise.nn import LSTM
from gatewise.weights import save_lstm

CONFIGS = [
    {},
    {"num_layers": 3, "bias": False},
    {"dtype": torch.float64, "batch_first": True},
    {"proj_size": 2, "num_layers": 2},
    {"cell": Cell(peephole=True, layer_norm=True), "num_layers": 2},
    {"cell": Cell("one", "softsign", coupled=True), "zoneout": (0.3, 0.2), "num_layers": 2},
    {"cell": Cell(layer_norm=True), "zoneout": 0.2, "proj_size": 3, "learn_initial_state": True},
]


@pytest.fixture
def model(tmp_path):
    return loaded(tmp_path)


def loaded(tmp_path, **kw):
    torch.manual_seed(0)
    lstm = LSTM(4, 6, **kw)
    if lstm.learn_initial_state:
        lstm.h_0.data.normal_()
        lstm.c_0.data.normal_()
    save_lstm(lstm, tmp_path / "m")
    return runtime.load(tmp_path / "m")


@pytest.mark.parametrize("kw", CONFIGS, ids=repr)
@pytest.mark.parametrize("batch", [1, 3])
def test_steps_equal_a_run(isa, tmp_path, kw, batch):
    model = loaded(tmp_path, **kw)
    x = np.random.default_rng(0).standard_normal((9, batch, 4)).astype(model.dtype)
    y, (h, c) = model.run(x.swapaxes(0, 1) if kw.get("batch_first") else x)
    y = y.swapaxes(0, 1) if kw.get("batch_first") else y
    stream = model.stream(batch)
    steps = np.stack([stream.step(row) for row in x])
    tolerance = 1e-12 if model.dtype == np.float64 else 2e-5
    for a, b in zip((steps, *stream.state), (y, h, c), strict=True):
        assert a.dtype == b.dtype == model.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_one_row_may_come_without_its_batch_axis(model):
    with_axis, without = model.stream(), model.stream()
    x = np.arange(4.0)
    assert without.step(x).shape == (6,)
    np.testing.assert_array_equal(with_axis.step(x[None])[0], without.state[0][0, 0])


@pytest.mark.parametrize("kw", CONFIGS, ids=repr)
def test_the_state_can_be_kept_set_and_reset(tmp_path, kw):
    model = loaded(tmp_path, **kw)
    stream, x = model.stream(), np.ones(4)
    start = stream.state
    assert any(part.any() for part in start) == model.weights.config.learn_initial_state
    first = stream.step(x)
    kept = stream.state
    second = stream.step(x)
    assert not np.array_equal(first, second)
    stream.state = kept
    np.testing.assert_array_equal(stream.step(x), second)
    stream.reset()
    for part, before in zip(stream.state, start, strict=True):
        np.testing.assert_array_equal(part, before)
    np.testing.assert_array_equal(stream.step(x), first)


def test_what_is_returned_is_the_callers_to_change(model):
    stream, other = model.stream(), model.stream()
    x = np.ones(4)
    stream.step(x)[:] = 9
    for part in stream.state:
        part[:] = 9
    other.step(x)
    mine = other.state
    stream.state = mine
    mine[0][:] = 9
    np.testing.assert_array_equal(stream.step(x), other.step(x))


def test_two_streams_of_one_model_are_apart(model):
    a, b = model.stream(), model.stream()
    a.step(np.ones(4))
    assert not any(part.any() for part in b.state)


def test_a_bidirectional_lstm_cannot_stream(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot stream: .* Use run\(\)"):
        loaded(tmp_path, bidirectional=True).stream()


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_below_one_is_refused(model, batch):
    with pytest.raises(ConfigError, match=f"batch is {batch}: expected a whole number"):
        model.stream(batch)


@pytest.mark.parametrize("shape", [(3,), (2, 4), (1, 1, 4), ()])
def test_a_row_that_does_not_fit_is_refused_and_the_state_stays(model, shape):
    stream = model.stream()
    stream.step(np.ones(4))
    before = stream.state
    with pytest.raises(ShapeError, match=r"x has shape .*: expected \(1, 4\)"):
        stream.step(np.ones(shape))
    for a, b in zip(stream.state, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_rows_and_states_of_the_wrong_kind_are_refused(model):
    stream = model.stream(3)
    with pytest.raises(ShapeError, match=r"expected \(3, 4\)"):
        stream.step(np.ones(4))
    with pytest.raises(DtypeError, match="x has dtype"):
        stream.step(["a", "b", "c", "d"])
    with pytest.raises(DtypeError, match="x has dtype object"):
        stream.step(None, out=np.empty((3, 6), np.float32))
    with pytest.raises(ShapeError, match=r"h has shape \(3, 6\): expected \(1, 3, 6\)"):
        stream.state = np.zeros((3, 6)), np.zeros((3, 6))
