"""`out=`: filled and returned; what does not fit is refused, and nothing has happened."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from gatewise import Cell, runtime
from gatewise.errors import DtypeError, ShapeError
from gatewise.nn import LSTM
from gatewise.weights import save_lstm

BATCHES = (1, 3, 70)
CONFIGS = {
    "one layer": {},
    "three layers": {"num_layers": 3, "bias": False},
    "float64": {"num_layers": 2, "dtype": torch.float64},
    "peephole": {"cell": Cell(peephole=True)},
    "coupled": {"cell": Cell("hard_sigmoid", cell_output="relu", coupled=True), "num_layers": 2},
    "projected": {"proj_size": 2},
    "layer norm": {"cell": Cell(layer_norm=True, peephole=True), "proj_size": 5, "num_layers": 2},
    "rates": {"zoneout": (0.25, 0.125), "dtype": torch.float64, "num_layers": 2},
    "learnt states": {"learn_initial_state": True, "zoneout": 0.2, "cell": Cell(layer_norm=True)},
}
every_config = pytest.mark.parametrize("kw", CONFIGS.values(), ids=CONFIGS)


def loaded(folder, I=4, H=18, **kw):
    torch.manual_seed(0)
    lstm = LSTM(I, H, **kw)
    if lstm.learn_initial_state:
        lstm.h_0.data.normal_()
        lstm.c_0.data.normal_()
    save_lstm(lstm, folder / "m")
    return runtime.load(folder / "m")


def width(model):
    config = model.weights.config
    return config.directions * (config.proj_size or config.hidden_size)


def draw(model, *shape):
    shape = (*shape, model.weights.config.input_size)
    return np.random.default_rng(0).standard_normal(shape).astype(model.dtype)


def same(got, expected):
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()


@every_config
@pytest.mark.parametrize("layout", [{}, {"bidirectional": True}, {"batch_first": True}], ids=repr)
def test_a_run_fills_and_returns_out(isa, tmp_path, kw, layout):
    model = loaded(tmp_path, **kw, **layout)
    for x, lengths in ((draw(model, 7, 5), None), (draw(model, 7), None),
                       (draw(model, 5, 5), [1, 5, 3, 5, 2])):  # fmt: skip
        y, state = model.run(x, lengths)
        out = np.full((*x.shape[:-1], width(model)), np.nan, model.dtype)
        got, got_state = model.run(x, lengths, out=out)
        assert got is out
        same((got, *got_state), (y, *state))
        given = tuple(0.5 * s for s in state)
        same(model.run(x, lengths, given, out=out)[:1], model.run(x, lengths, given)[:1])


@every_config
@pytest.mark.parametrize("batch", BATCHES)
def test_a_stream_s_steps_are_those_of_a_run_bit_by_bit(isa, tmp_path, kw, batch):
    model = loaded(tmp_path, **kw)
    x = draw(model, 9, batch)
    y, state = model.run(x)
    with_out, without = model.stream(batch), model.stream(batch)
    out = np.empty((batch, width(model)), model.dtype)
    for x_t, y_t in zip(x, y, strict=True):
        out.fill(np.nan)
        assert with_out.step(x_t, out=out) is out
        same((out, without.step(x_t)), (y_t, y_t))
    same(with_out.state, state)
    same(without.state, state)


@pytest.mark.parametrize("like", [np.float64, np.int64, np.float16, list, np.asfortranarray])
def test_an_input_of_another_kind_is_converted_into_out(tmp_path, like):
    model = loaded(tmp_path)
    x = np.arange(3 * 4).reshape(3, 4) - 5
    given = x.tolist() if like is list else like(x)
    a, b = model.stream(3), model.stream(3)
    out = np.empty((3, 18), np.float32)
    assert a.step(given, out=out) is out
    same((out,), (b.step(x.astype(np.float32)),))
    y = np.empty((1, 3, 18), np.float32)
    assert model.run(np.asarray(given)[None], out=y)[0] is y
    same((y[0],), (out,))


def read_only(a):
    a.flags.writeable = False
    return a


# A wrong `out`, made from one that fits.
MISFITS = {
    "another dtype": (lambda a: a.astype(np.float64), DtypeError, "out is float64: expected"),
    "another byte order": (lambda a: a.astype(a.dtype.newbyteorder()), DtypeError, "out is"),
    "no array": (lambda a: a.tolist(), DtypeError, "out is list: expected an array of float32"),
    "one unit less": (lambda a: a[..., 1:].copy(), ShapeError, "out has shape"),
    "one row more": (lambda a: np.repeat(a, 2, axis=-2), ShapeError, "out has shape"),
    "an axis more": (lambda a: a[None], ShapeError, "out has shape"),
    "read-only": (read_only, ShapeError, "C-contiguous and writeable"),
    "with gaps": (lambda a: np.repeat(a, 2, axis=-1)[..., ::2], ShapeError, "C-contiguous"),
    "backwards": (lambda a: a[..., ::-1], ShapeError, "C-contiguous"),
}


@pytest.mark.parametrize(("misfit", "error", "message"), MISFITS.values(), ids=MISFITS)
@pytest.mark.parametrize("kw", [CONFIGS["one layer"], CONFIGS["peephole"]], ids=repr)
@pytest.mark.parametrize("batch", BATCHES)
def test_an_out_that_does_not_fit_is_refused_and_the_state_stays(
    tmp_path, kw, batch, misfit, error, message
):
    model = loaded(tmp_path, **kw)
    stream, x = model.stream(batch), draw(model, 2, batch)
    stream.step(x[0])
    before, out = stream.state, np.full((batch, 18), 7, np.float32)
    wrong = misfit(out)
    for given in (x[1], x[1].astype(np.float64)):
        with pytest.raises(error, match=message):
            stream.step(given, out=wrong)
        same(stream.state, before)
        assert np.all(np.asarray(wrong) == 7)
    wrong = misfit(np.full((2, batch, 18), 7, np.float32))
    with pytest.raises(error, match=message):
        model.run(x, out=wrong)
    assert np.all(np.asarray(wrong) == 7)


@pytest.mark.parametrize("given", [np.zeros(3), np.zeros((2, 4)), ["a"] * 4])
def test_an_input_that_does_not_fit_leaves_state_and_out(tmp_path, given):
    stream, out = loaded(tmp_path).stream(), np.full(18, 7, np.float32)
    stream.step(np.ones(4, np.float32))
    before = stream.state
    with pytest.raises((ShapeError, DtypeError)):
        stream.step(given, out=out)
    same(stream.state, before)
    assert np.all(out == 7)


@every_config
@pytest.mark.parametrize("batch", BATCHES)
def test_a_state_from_a_file_continues_bit_by_bit(tmp_path, kw, batch):
    model = loaded(tmp_path, **kw)
    x = draw(model, 8, batch)
    first = model.stream(batch)
    for row in x[:5]:
        first.step(row)
    h, c = first.state
    np.savez(tmp_path / "state.npz", h=h, c=c)
    with np.load(tmp_path / "state.npz") as kept:
        second = model.stream(batch)
        second.step(x[7])  # what it did before is of no matter
        second.state = kept["h"], kept["c"]
    same(second.state, (h, c))
    for row in x[5:]:
        same((second.step(row),), (first.step(row),))
    first.reset()
    same((first.step(x[0]),), (model.stream(batch).step(x[0]),))


@every_config
@pytest.mark.parametrize("cut", [1, 5, 7])
def test_a_run_in_two_parts_is_that_of_the_whole_bit_by_bit(isa, tmp_path, kw, cut):
    model = loaded(tmp_path, **kw)
    x = draw(model, 8, 70)
    y, state = model.run(x)
    first, between = model.run(x[:cut])
    second, end = model.run(x[cut:], state=between)
    same((first, second, *end), (y[:cut], y[cut:], *state))


def test_streams_of_one_model_run_in_threads_of_their_own(tmp_path):
    model = loaded(tmp_path, num_layers=2)
    inputs = [draw(model, 300, batch) * (1 + n) for n, batch in enumerate((1, 3, 70, 3))]
    expected = [model.run(x)[0] for x in inputs]

    def steps(x):
        stream, out = model.stream(x.shape[1]), np.empty((*x.shape[:2], 18), np.float32)
        for x_t, y_t in zip(x, out, strict=True):
            stream.step(x_t, out=y_t)
        return out

    with ThreadPoolExecutor(4) as pool:
        same(pool.map(steps, inputs), expected)


@pytest.mark.parametrize("lengths", [None, [3, 2]])
def test_an_out_that_overlaps_x_is_refused(tmp_path, lengths):
    model = loaded(tmp_path, I=18)
    room = draw(model, 4, 2)
    before = room.copy()
    with pytest.raises(ShapeError, match="out overlaps x"):
        model.run(room[:3], lengths, out=room[1:])
    assert np.array_equal(room, before)
