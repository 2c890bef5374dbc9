"""Recording: on the core, of every variable, for rows of any length, in parts, in files."""

import threading

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence
from traced_cells import CELLS, lstm_of

from gatewise import reference, runtime, trace
from gatewise._native import arrays
from gatewise.errors import ConfigError, ModelFileError, ModuleError, ShapeError
from gatewise.trace import Edit, Keep, Trace, record, recording, run_on
from gatewise.weights import from_module

X = torch.randn(9, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
NAMES = ("input_gate", "forget_gate", "candidate", "output_gate")


def near(a, b, tolerance=1e-11):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


def by_reference(lstm, x, layer, d, state=None):
    w = reference.weights(**from_module(lstm).layer(layer, d))
    zoneout = lstm.zoneout if any(lstm.zoneout) else None
    return reference.forward(x, w, *(state or ()), cell=lstm.cell, zoneout=zoneout)


@pytest.mark.parametrize("kw", [{}, {"zoneout": (0.2, 0.3)}, {"proj_size": 3}], ids=repr)
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_every_variable_equals_the_reference(isa, cell, kw):
    lstm = lstm_of(cell, **kw)
    data = record(lstm, X).data.isel(layer=0, direction=0)
    run = by_reference(lstm, X.numpy(), 0, 0)
    near(data["hidden_state"], run.y)
    near(data["cell_state"], run.cell_state)
    near(data["cell_output"], run.cell_output)
    used = dict(zip(NAMES, cell.used_gates, strict=True))
    for k, name in enumerate(NAMES):
        near(data[name], run.gates[:, :, k])
        if used[name]:
            near(data[f"{name}_pre"], run.gates_pre[:, :, k])


@pytest.mark.parametrize("threads", [1, 3])
def test_many_chunks_have_the_bits_of_one(monkeypatch, threads):
    lstm = lstm_of(CELLS["peepholes"], num_layers=2, bidirectional=True)
    whole = record(lstm, X)
    torch.set_num_threads(threads)
    monkeypatch.setattr(trace.running, "_TAPE_BYTES", 2 * 5 * 3 * 6 * 8)  # two steps
    assert record(lstm, X) == whole
    torch.set_num_threads(1)


@pytest.mark.parametrize("cell", [CELLS["default"], CELLS["all"]], ids=["default", "all"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_run_that_starts_from_a_state_has_the_bits_of_the_whole(isa, cell, dtype):
    lstm = lstm_of(cell, num_layers=2, dtype=dtype)
    whole = record(lstm, X)
    for t in (0, 4, 7):
        rest = record(lstm, X[t + 1 :], whole.state_at(t))
        for name in whole.data.data_vars:
            if not name.endswith("_pre"):  # products of other shapes, for the eye
                expected = whole.data[name].values[:, :, t + 1 :]
                np.testing.assert_array_equal(rest.data[name].values, expected)
    with pytest.raises(ConfigError, match="t is 9: expected 0 to 8"):
        whole.state_at(9)


def test_what_state_at_cannot_give_is_refused():
    with pytest.raises(ConfigError, match="one direction"):
        record(lstm_of(bidirectional=True), X).state_at(0)
    with pytest.raises(ConfigError, match="without keep"):
        record(lstm_of(), X, keep=["cell_state"]).state_at(0)
    with pytest.raises(ConfigError, match="without keep"):
        record(lstm_of(), X, keep=Keep(units=[0])).state_at(0)


def test_a_torch_lstm_and_ours_and_the_runtime_s_give_one_trace(tmp_path):
    ours = lstm_of(num_layers=2, bidirectional=True, proj_size=3)
    theirs = nn.LSTM(4, 6, 2, bidirectional=True, proj_size=3, dtype=torch.float64)
    theirs.load_state_dict(ours.state_dict())
    model = runtime.Model(from_module(ours))
    expected = record(ours, X)
    assert record(theirs, X) == expected
    assert record(model, X) == expected


@pytest.mark.parametrize(
    "kw", [{}, {"bidirectional": True, "num_layers": 2, "batch_first": True}], ids=repr
)
def test_ragged_rows_are_those_of_each_alone(kw):
    lstm = lstm_of(**kw)
    lengths = [9, 2, 5]
    x = X.transpose(0, 1) if lstm.batch_first else X
    data = record(lstm, x, lengths=lengths).data
    for b, n in enumerate(lengths):
        alone = record(lstm, X[:n, b]).data
        for name in data.data_vars:
            near(data[name].values[..., :n, b, :], alone[name].values[..., 0, :])
            assert np.isnan(data[name].values[..., n:, b, :]).all()
    assert data["length"].values.tolist() == lengths
    with pytest.raises(ShapeError, match="expected 1 to T=9"):
        record(lstm, x, lengths=[9, 0, 5])


def test_what_is_kept_is_what_was_asked_for():
    lstm = lstm_of(num_layers=3, bidirectional=True)
    whole = record(lstm, X).data
    keep = Keep(["cell_state", "forget_gate"], units=[1, 4], layers=[0, 2], steps=slice(1, 9, 3),
                dtype="float32")  # fmt: skip
    part = record(lstm, X, keep=keep).data
    assert {*part.data_vars} == {"cell_state", "forget_gate"}
    for name in part.data_vars:
        expected = whole[name].values[[0, 2]][:, :, 1:9:3][..., [1, 4]]
        assert part[name].dtype == np.float32
        np.testing.assert_array_equal(part[name].values, expected.astype(np.float32))
    assert part["hidden"].values.tolist() == [1, 4]
    assert part["layer"].values.tolist() == [0, 2]
    assert part["time"].values.tolist() == [1, 4, 7]
    assert {*record(lstm, X, keep="candidate").data.data_vars} == {"candidate"}


@pytest.mark.parametrize(
    ("keep", "fault"),
    [(["c"], "no variable 'c'"), (Keep(units=[6]), "units is"), (Keep(layers=[1]), "layers is"),
     (Keep(steps=[3, 2]), "steps is"), (Keep(dtype="int8"), "dtype is 'int8'")],
    ids=repr,
)  # fmt: skip
def test_what_cannot_be_kept_is_refused(keep, fault):
    with pytest.raises(ConfigError, match=fault):
        record(lstm_of(), X, keep=keep)


def test_a_trace_that_does_not_fit_is_refused_before_it_runs(monkeypatch):
    lstm, x = lstm_of(sizes=(4, 64)), torch.zeros(2000, 8, 4, dtype=torch.float64)
    kept = record(lstm, x, keep=Keep(["cell_state"], units=range(4)))
    monkeypatch.setattr("gatewise.trace.keep._free_memory", lambda: 65 << 20)
    assert record(lstm, x, keep=Keep(["cell_state"], units=range(4))) == kept
    monkeypatch.setattr(arrays.Network, "forward", lambda *_, **__: pytest.fail("it has run"))
    fault = r"The trace takes 0\.1 GiB: expected at most the 0\.1 GiB that are free\. Keep less"
    for call in (record, lambda *a: run_on(*a, Edit("candidate", 0.0)), record_all_by_name):
        with pytest.raises(ConfigError, match=fault):
            call(lstm, x)
    huge = np.broadcast_to(np.float64(0), (2**34, 4))  # a copy of which would not fit
    with pytest.raises(ConfigError, match=r"The trace takes 512\.0 GiB"):
        record(lstm, huge)


def record_all_by_name(lstm, x):
    return record(lstm, x, keep=[*NAMES, *(f"{name}_pre" for name in NAMES), "cell_state"])


def test_labels():
    days = np.arange("2024-01-01", "2024-01-10", dtype="datetime64[D]").astype("datetime64[ns]")
    data = record(lstm_of(), X, time=days, inputs=list("abcd"), units=list("uvwxyz")).data
    assert data["input"].values.tolist() == [*"abcd"]
    assert data["cell_state"].sel(hidden="w", time="2024-01-03").shape == (1, 1, 3)
    with pytest.raises(ShapeError, match="inputs: got 3 of them, expected a list of 4"):
        record(lstm_of(), X, inputs=list("abc"))


class Model(nn.Module):
    def __init__(self, packed):
        super().__init__()
        self.packed = packed
        self.first = lstm_of(bidirectional=True)
        self.second = nn.LSTM(12, 5, batch_first=True, dtype=torch.float64)

    def forward(self, x, lengths):
        if self.packed:
            x = pack_padded_sequence(x, lengths, enforce_sorted=False)
            y, state = self.first(x)
            y, _ = nn.utils.rnn.pad_packed_sequence(y)
        else:
            y, state = self.first(x, lengths=lengths)
        out, _ = self.second(
            y.transpose(0, 1), (state[0][:1, :, :5].contiguous(), state[1][:1, :, :5].contiguous())
        )
        return out


@pytest.mark.parametrize("packed", [False, True])
def test_recording_a_model_that_runs_as_ever(packed):
    model, lengths = Model(packed), torch.tensor([9, 2, 5])
    plain = model(X, lengths)
    with recording(model, keep=["hidden_state"]) as traces:
        out = model(X, lengths)
        model(X * 2, lengths)
    assert torch.equal(out, plain)
    assert {*traces} == {"first", "second"}
    assert [len(t) for t in traces.calls.values()] == [2, 2]
    first, second = (traces.calls[k][0].data["hidden_state"].values for k in ("first", "second"))
    near(second[0, 0].swapaxes(0, 1), plain.detach().numpy())
    near(first, record(model.first, X, lengths=lengths).data["hidden_state"].values)
    model(X, lengths)
    assert len(traces.calls["first"]) == 2  # no longer recorded
    with pytest.raises(ModuleError, match="no LSTM in this Linear"), recording(nn.Linear(2, 2)):
        pass


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_a_trace_comes_back_from_its_file(tmp_path, cell):
    lstm = lstm_of(cell, dtype=torch.float32, zoneout=0.1)
    found = record(
        lstm, X, lengths=[9, 4, 3], keep=["cell_state", "hidden_state"], units=list("abcdef")
    )
    found.save(tmp_path / "trace.nc")
    again = Trace.load(tmp_path / "trace.nc")
    assert again.cell == cell
    assert again == found
    content = (tmp_path / "trace.nc").read_bytes()
    (tmp_path / "short.nc").write_bytes(content[:500])
    (tmp_path / "altered.nc").write_bytes(content[:900] + b"?" + content[901:])
    (tmp_path / "other.nc").write_bytes(content[:-1] + b"?")
    with xr.open_dataset(tmp_path / "trace.nc", engine="h5netcdf") as plain:  # others can read it
        assert plain["cell_state"].equals(found.data["cell_state"])
    for name in ("short.nc", "altered.nc", "other.nc", "none.nc"):
        with pytest.raises(ModelFileError, match="is no trace"):
            Trace.load(tmp_path / name)


@pytest.mark.parametrize("edits", [[], [Edit("candidate", "relu", steps=slice(3, None))]], ids=repr)
def test_what_changes_after_a_run_does_not_change_its_trace(edits):
    """Variables are read when they are looked at, from the run as it was."""
    lstm = lstm_of(num_layers=2, bidirectional=True)
    x, h0, c0 = torch.randn(9, 3, 4), torch.randn(4, 3, 6), torch.randn(4, 3, 6)
    expected, found = (run_on(lstm, x, edits, (h0, c0)) for _ in range(2))
    expected = {name: array.values.copy() for name, array in expected.data.items()}
    with torch.no_grad():
        for tensor in (x, h0, c0, *lstm.parameters()):
            tensor.fill_(9.0)
    for name, values in expected.items():
        np.testing.assert_array_equal(found.data[name].values, values, err_msg=name)


def test_threads_read_one_trace():
    lstm, x = lstm_of(num_layers=2, bidirectional=True), torch.randn(40, 3, 4)
    expected = {name: array.values.copy() for name, array in record(lstm, x).data.items()}
    found, wrong = record(lstm, x), []

    def read():
        wrong.extend(k for k, v in expected.items() if not np.array_equal(found.data[k].values, v))

    threads = [threading.Thread(target=read) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_labels_of_one_trace_are_not_those_of_another():
    first, second = (record(lstm_of(), X) for _ in range(2))
    first.data["time"].attrs["unit"] = "day"
    with pytest.raises(ValueError, match="read-only"):
        first.data["time"].values[0] = 9
    first.data["time"] = np.arange(9) + 5
    assert second.data["time"].values.tolist() == list(range(9))
    assert record(lstm_of(), X).data["time"].attrs == second.data["time"].attrs == {}
