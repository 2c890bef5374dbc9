"""Models, streams and traces behave as plain objects: equal, hashed, copied, pickled, shared."""

import copy
import pickle
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from gatewise import Cell, runtime
from gatewise.errors import ConfigError, DtypeError, ShapeError
from gatewise.nn import LSTM
from gatewise.runtime import Model
from gatewise.trace import record
from gatewise.weights import from_module

COPIES = {
    "copied": copy.copy,
    "deeply copied": copy.deepcopy,
    "pickled": lambda value: pickle.loads(pickle.dumps(value)),
}
every_copy = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
X = np.random.default_rng(0).standard_normal((9, 3, 4)).astype(np.float32)


def made(**kw):
    torch.manual_seed(0)
    return Model(from_module(LSTM(4, 6, num_layers=2, **kw)))


def same(got, expected):
    for a, b in zip(got, expected, strict=True):
        assert a.tobytes() == b.tobytes()


@every_copy
@pytest.mark.parametrize("runs_before", [False, True])
def test_a_model_is_copied_before_and_after_its_first_run(copied, runs_before):
    model = made()
    if runs_before:
        model.run(X)
    other = copied(model)
    assert other == model
    assert hash(other) == hash(model)
    (y, state), (y_other, state_other) = model.run(X), other.run(X)
    same((y_other, *state_other), (y, *state))
    assert copied(other) == model


def test_a_model_is_equal_by_weights_and_precision():
    model = made()
    assert model == made()
    assert model != replace(model, precision="bfloat16")
    assert model != Model(from_module(LSTM(4, 6, num_layers=2)))
    assert model != "model"
    assert len({model, made(), replace(model, precision="bfloat16")}) == 2


@every_copy
@pytest.mark.parametrize(
    "kw", [{}, {"cell": Cell(peephole=True, layer_norm=True), "zoneout": 0.2}], ids=repr
)
@pytest.mark.parametrize("precision", ["full", "bfloat16"])
def test_a_copy_of_a_stream_goes_on_alone_from_the_same_state(copied, kw, precision):
    stream = replace(made(**kw), precision=precision).stream(3)
    for x in X[:4]:
        stream.step(x)
    other = copied(stream)
    same(other.state, stream.state)
    expected = [stream.step(x) for x in X[4:]]
    same([other.step(x) for x in X[4:]], expected)
    other.reset()
    assert not np.array_equal(other.state[0], stream.state[0])
    assert stream == stream  # noqa: PLR0124  by identity
    assert stream != other
    assert hash(stream) != hash(other)


@every_copy
def test_a_trace_is_equal_by_labels_and_numbers(copied):
    lstm = LSTM(4, 6, num_layers=2)
    trace = record(lstm, X)
    assert copied(trace) == trace == record(lstm, X)
    assert hash(copied(trace)) == hash(trace)
    assert trace != record(lstm, X + 1)
    assert trace != record(lstm, X, time=np.arange(1, 10))
    assert trace != trace.data


def test_threads_that_race_to_the_first_run_get_the_same_bits():
    expected = made().run(X)[0]
    for _ in range(20):
        model, start, found = made(), threading.Barrier(8), []

        def run(model=model, start=start, found=found):
            start.wait()
            found.append((model.run(X)[0], model.network))

        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        same([y for y, _ in found], [expected] * 8)
        assert {id(network) for _, network in found} == {id(model.network)}


@pytest.mark.parametrize("change", [torch.nn.Module.half, torch.nn.Module.double])
def test_a_model_of_weights_of_another_dtype_runs_right_or_not_at_all(change):
    weights = from_module(change(LSTM(4, 6)))
    if change is torch.nn.Module.half:
        with pytest.raises(DtypeError, match="dtype float16: expected float32 or float64"):
            Model(weights)
    else:
        assert Model(weights).run(X)[0].dtype == np.float64


def test_a_model_is_not_made_of_weights_that_do_not_fit():
    weights = from_module(LSTM(4, 6))
    arrays = weights.arrays | {"weight_hh_l0": np.zeros((24, 5), np.float32)}
    with pytest.raises(ShapeError, match=r"weight_hh_l0 expected \(24, 6\), got \(24, 5\)"):
        Model(replace(weights, arrays=arrays))
    with pytest.raises(ConfigError, match="precision is 'half'"):
        Model(weights, "half")


def test_weights_with_gaps_or_out_of_line_run_alike():
    model = made()
    arrays = {
        "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
        "fortran": np.asfortranarray,
        "unaligned": unaligned,
        "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    }
    expected = model.run(X)[0]
    for change in arrays.values():
        changed = {name: change(a) for name, a in model.weights.arrays.items()}
        same([Model(replace(model.weights, arrays=changed)).run(X)[0]], [expected])


def unaligned(a, writeable=False):
    room = bytearray(2) + bytearray(a.tobytes())
    made = np.frombuffer(room if writeable else bytes(room), a.dtype, offset=2).reshape(a.shape)
    assert not made.flags.aligned
    return made


LAYOUTS = {
    "unaligned": unaligned,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "unaligned and big-endian": lambda a: unaligned(a.astype(a.dtype.newbyteorder(">"))),
    "a column": lambda a: np.stack([a, a], axis=-1)[..., 1],
    "backwards": lambda a: a[::-1].copy()[::-1],
    "fortran": np.asfortranarray,
    "float16": lambda a: a.astype(np.float16),
    "longdouble": lambda a: a.astype(np.longdouble),
}
every_layout = pytest.mark.parametrize("laid", LAYOUTS.values(), ids=LAYOUTS)


@every_layout
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("with_out", [False, True])
def test_an_input_of_any_layout_gives_the_same_numbers(laid, dtype, with_out):
    model = made(dtype=dtype)
    x = X.astype(np.float16).astype(model.dtype)  # numbers that each dtype holds
    state = tuple(x[:2, :, :1] + np.zeros((2, 3, 6), model.dtype) for _ in "hc")
    out = np.full((9, 3, 6), np.nan, model.dtype) if with_out else None
    same([model.run(laid(x), out=out)[0]], [model.run(x)[0]])
    same(
        [model.run(laid(x), [9, 2, 5], tuple(map(laid, state)), out=out)[0]],
        [model.run(x, [9, 2, 5], state)[0]],
    )
    a, b = model.stream(3), model.stream(3)
    a.state, b.state = tuple(map(laid, state)), state
    for x_t in x:
        y = None if out is None else out[0]
        same([a.step(laid(x_t), out=y)], [b.step(x_t)])
    same(a.state, b.state)


@pytest.mark.parametrize("laid", [lambda a: unaligned(a, writeable=True), LAYOUTS["big-endian"]])
def test_an_out_of_another_layout_is_refused_and_the_state_stays(laid):
    model = made()
    stream = model.stream(3)
    stream.step(X[0])
    before, out = stream.state, laid(np.full((3, 6), 7, np.float32))
    with pytest.raises((ShapeError, DtypeError), match=r"not aligned|out is >f4"):
        stream.step(X[1], out=out)
    same(stream.state, before)
    out = laid(np.full((9, 3, 6), 7, np.float32))
    with pytest.raises((ShapeError, DtypeError), match=r"not aligned|out is >f4"):
        model.run(X, out=out)
    assert np.all(out == 7)


def test_an_out_that_overlaps_the_input_of_a_step_gets_the_right_numbers():
    model = Model(from_module(LSTM(6, 6)))
    x = np.random.default_rng(0).standard_normal((4, 3, 6)).astype(np.float32)
    for shift in (0, 1, 7):
        a, b = model.stream(3), model.stream(3)
        for x_t in x:
            room = np.zeros(18 + shift, np.float32)
            room[:18] = x_t.ravel()
            out = room[shift:].reshape(3, 6)
            same([a.step(room[:18].reshape(3, 6), out=out)], [b.step(x_t)])
        same(a.state, b.state)


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, ">i4", np.longlong])
def test_lengths_of_any_integer_dtype_are_taken(dtype):
    model, lengths = made(), [9, 2, 5]
    same([model.run(X, np.array(lengths, dtype))[0]], [model.run(X, lengths)[0]])
    same([model.run(X, unaligned(np.array(lengths, np.int64)))[0]], [model.run(X, lengths)[0]])


@pytest.mark.parametrize("lengths", [[True] * 3, [1.0] * 3, ["1"] * 3, [2**64 - 1] * 3, [None] * 3])
def test_lengths_of_other_dtypes_are_refused(lengths):
    with pytest.raises(ShapeError, match="lengths"):
        made().run(X, lengths)


BATCHES = [10**5000, 2**59, 2**62, 2**63, 0, -1, 1.0, "3", True, None]


@pytest.mark.parametrize("batch", BATCHES, ids=lambda n: str(n)[:9] if n != BATCHES[0] else "huge")
def test_a_stream_of_rows_that_cannot_be_is_refused(batch):
    with pytest.raises(ConfigError, match="batch is"):
        made().stream(batch)


def test_rows_of_different_lengths_are_refused():
    model = made()
    with pytest.raises(ShapeError, match="rows of one length"):
        model.run([[[1.0] * 4], [[1.0] * 3]])


def test_the_stream_of_a_loaded_model_takes_numpy_integers(tmp_path):
    assert made().stream(np.int64(3)).step(X[0]).shape == (3, 6)
    assert runtime.Stream(made(), 1).step(X[0, 0]).shape == (6,)
