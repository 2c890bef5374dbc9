"""Traces against the outputs of the modules they were recorded from."""

import sys

import numpy as np
import pytest
import torch

from gatewise import Cell
from gatewise.errors import MissingExtraError, ShapeError
from gatewise.nn import LSTM
from gatewise.trace import Trace, record
from gatewise.weights import from_module

GATES = ("input_gate", "forget_gate", "candidate", "output_gate")
DIMS = ("layer", "direction", "time", "batch", "hidden")
X = torch.linspace(-2, 2, 84, dtype=torch.float64).reshape(7, 3, 4).sin()
OPTIONS = [
    {},
    {"num_layers": 3},
    {"num_layers": 2, "bidirectional": True},
    {"bidirectional": True, "bias": False},
    {"num_layers": 2, "proj_size": 2, "bidirectional": True},
    {"cell": Cell(peephole=True, coupled=True), "num_layers": 2, "bidirectional": True},
    {"cell": Cell(layer_norm=True, candidate="softsign")},
]
every_option = pytest.mark.parametrize("kw", OPTIONS, ids=repr)


def lstm_of(**kw):
    torch.manual_seed(0)
    return LSTM(4, 6, dtype=torch.float64, **kw)


def near(a, b):
    np.testing.assert_allclose(a, np.asarray(b), rtol=1e-12, atol=1e-12)


@every_option
def test_variables_dimensions_and_coordinates_are_the_documented_ones(kw):
    lstm = lstm_of(**kw)
    trace = record(lstm, X)
    assert isinstance(trace, Trace)
    assert trace.cell == lstm.cell
    expected = {*GATES, *(f"{g}_pre" for g in GATES), "cell_state", "cell_output", "hidden_state"}
    if lstm.cell.layer_norm:
        expected.add("cell_output_pre")
    assert {*trace.data.data_vars} == expected
    for name, variable in trace.data.items():
        projected = name == "hidden_state" and lstm.proj_size
        assert variable.dims == ((*DIMS[:4], "projected") if projected else DIMS)
        assert variable.dtype == np.float64
    layers, directions = lstm.num_layers, lstm.directions
    assert trace.data["cell_state"].shape == (layers, directions, 7, 3, 6)
    assert trace.data["direction"].values.tolist() == ["forward", "reverse"][:directions]
    assert trace.data["time"].values.tolist() == [*range(7)]
    assert trace.data["layer"].values.tolist() == [*range(layers)]


@every_option
@pytest.mark.parametrize("with_state", [False, True])
@torch.no_grad()
def test_states_equal_the_modules(kw, with_state):
    lstm = lstm_of(**kw)
    k, P = lstm.num_layers * lstm.directions, lstm.proj_size or 6
    state = torch.randn(k, 3, P).double(), torch.randn(k, 3, 6).double()
    state = state if with_state else None
    y, (h, c) = lstm(X, state)
    data = record(lstm, X, state=state).data
    near(np.concatenate(list(data["hidden_state"].values[-1]), axis=2), y)
    ends = [-1, 0][: lstm.directions]
    for name, found in (("hidden_state", h), ("cell_state", c)):
        last = [data[name].values[:, d, end] for d, end in enumerate(ends)]
        near(np.stack(last, axis=1).reshape(found.shape), found)


@every_option
def test_variables_fit_together(kw):
    lstm = lstm_of(**kw)
    data = record(lstm, X).data.isel(direction=0)
    before = data["cell_state"].shift(time=1, fill_value=0)
    near(data["forget_gate"] * before + data["input_gate"] * data["candidate"], data["cell_state"])
    if not lstm.proj_size:
        near(data["output_gate"] * data["cell_output"], data["hidden_state"])
    for name in GATES:
        if not (lstm.cell.coupled and name == "forget_gate"):
            near(lstm.cell.activation(name).function(data[f"{name}_pre"].values), data[name])


def test_in_reverse_an_entry_is_the_step_that_read_its_input():
    lstm = lstm_of(bidirectional=True)
    with torch.no_grad():
        for suffix in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(lstm, f"{suffix}_l0_reverse").copy_(getattr(lstm, f"{suffix}_l0"))
    data = record(lstm, X).data
    turned = record(lstm, X.flip(0)).data.isel(direction=0, time=slice(None, None, -1))
    for name in data.data_vars:
        near(data[name].values[:, 1], turned[name].values)


@pytest.mark.parametrize("made", [lambda m: m, from_module], ids=["module", "weights"])
def test_a_plain_float32_torch_lstm_is_accepted(made):
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(
        4, 6, num_layers=2, dropout=0.5
    )  # in training mode: no dropout all the same
    got = record(made(lstm), X.float().requires_grad_()).data["hidden_state"].values[-1, 0]
    np.testing.assert_allclose(got, lstm.eval()(X.float())[0].detach(), atol=2e-6)


def test_batch_first_and_unbatched_inputs_give_the_same_trace():
    lstm = lstm_of(bidirectional=True)
    whole = record(lstm, X).data
    one = record(lstm, X[:, 1]).data
    assert one.sizes["batch"] == 1
    np.testing.assert_allclose(one["hidden_state"][..., 0, :], whole["hidden_state"][..., 1, :])
    lstm.batch_first = True
    assert record(lstm, X.transpose(0, 1).numpy()).data.equals(whole)
    assert record(lstm, X[:, 1]).data.equals(one)


def test_an_unbatched_state_gives_the_trace_of_a_batch_of_one():
    lstm = lstm_of(num_layers=2)
    state = torch.randn(2, 6).double(), torch.randn(2, 6).double()
    got = record(lstm, X[:, 0], state=state).data
    expected = record(lstm, X[:, :1], state=tuple(s[:, None] for s in state)).data
    assert got.equals(expected)


def test_steps_can_be_labelled():
    days = np.arange("2024-01-01", "2024-01-08", dtype="datetime64[D]").astype("datetime64[ns]")
    data = record(lstm_of(), X, time=days).data
    assert data["cell_state"].sel(time="2024-01-03").sizes["batch"] == 3
    np.testing.assert_array_equal(data["time"], days)


@pytest.mark.parametrize("shape", [(4,), (7, 3, 5), (1, 7, 3, 4), ()])
def test_an_input_that_does_not_fit_is_refused(shape):
    with pytest.raises(ShapeError, match=r"x has shape .*: expected .*input_size=4"):
        record(lstm_of(), np.zeros(shape))


@pytest.mark.parametrize("labels", [np.arange(6), np.zeros((7, 1))])
def test_labels_that_do_not_fit_are_refused(labels):
    with pytest.raises(ShapeError, match="time: got"):
        record(lstm_of(), X, time=labels)


@pytest.mark.parametrize("shape", [(2, 3, 6), (1, 2, 6), (1, 3, 5)])
def test_a_state_that_does_not_fit_is_refused(shape):
    with pytest.raises(ShapeError, match="h0 has shape"):
        record(lstm_of(), X, state=(np.zeros(shape), np.zeros((1, 3, 6))))


def test_without_xarray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'gatewise\[trace\]'"):
        record(lstm_of(), X)
