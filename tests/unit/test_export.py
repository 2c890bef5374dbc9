"""`to_onnx` against ONNX Runtime and, where that has no kernel, ONNX's own reference in NumPy."""

import itertools
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gatewise import Cell
from gatewise.errors import ConfigError, DtypeError, MissingExtraError
from gatewise.export import to_onnx
from gatewise.nn import LSTM
from gatewise.weights import from_module

T, B, I, H = 7, 3, 5, 9
SHARED = ("sigmoid", "tanh", "hard_sigmoid", "relu", "softsign", "identity", "one")
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


def made(cell=None, **options):
    """An LSTM whose cells stay near 1 even where no activation bounds them."""
    torch.manual_seed(0)
    lstm = LSTM(I, H, cell=cell or Cell(), **options)
    with torch.no_grad():
        for p in lstm.parameters():
            p.copy_(0.15 * torch.randn_like(p))
    return lstm.eval()


def given(lstm, seed=1):
    """x, h0, c0 as arrays."""
    rng = np.random.default_rng(seed)
    shape = (B, T, I) if lstm.batch_first else (T, B, I)
    states = (lstm.num_layers * lstm.directions, B, H)
    dtype = lstm.weight_ih_l0.detach().numpy().dtype
    return [(0.5 * rng.standard_normal(s)).astype(dtype) for s in (shape, states, states)]


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def by_onnxruntime(lstm, path, x, h0, c0, **options):
    to_onnx(lstm, path, **options)
    return session(path).run(None, {"x": x, "h0": h0, "c0": c0})


def by_us(lstm, x, h0, c0):
    with torch.no_grad():
        y, (h, c) = lstm(torch.tensor(x), (torch.tensor(h0), torch.tensor(c0)))
    return [a.numpy() for a in (y, h, c)]


def assert_near(got, expected, what=""):
    for name, a, b in zip(("y", "h_n", "c_n"), got, expected, strict=True):
        assert a.shape == b.shape, (what, name)
        assert a.dtype == b.dtype, (what, name)
        error = np.abs(a - b).max() / max(np.abs(b).max(), 0.1)
        assert error <= TOLERANCE[b.dtype.name], f"{what}: {name} is {error:.1e} away"


@pytest.mark.parametrize("gates", SHARED)
def test_every_activation_with_every_switch_is_onnxruntime_s(gates, tmp_path):
    """Of the candidates and cell outputs, each stands beside each gate and each switch once."""
    for k, (peephole, coupled) in enumerate(itertools.product((False, True), repeat=2)):
        for shift, candidate in enumerate(SHARED):
            cell_output = SHARED[(shift + k) % len(SHARED)]
            cell = Cell(gates, gates, candidate, gates, cell_output, peephole, coupled)
            lstm = made(cell)
            arrays = given(lstm)
            got = by_onnxruntime(lstm, tmp_path / "m.onnx", *arrays)
            assert_near(got, by_us(lstm, *arrays), cell)


@pytest.mark.parametrize("gates", SHARED[:-1])
@pytest.mark.parametrize("removed", ["input_gate", "forget_gate", "output_gate"])
def test_a_removed_gate_is_one_beside_any_other(gates, removed, tmp_path):
    sites = dict.fromkeys(("input_gate", "forget_gate", "output_gate"), gates) | {removed: "one"}
    for peephole in (False, True):
        lstm = made(Cell(**sites, peephole=peephole))
        arrays = given(lstm)
        got = by_onnxruntime(lstm, tmp_path / "m.onnx", *arrays)
        assert_near(got, by_us(lstm, *arrays), lstm.cell)


@pytest.mark.parametrize("cell", [Cell(), Cell(peephole=True), Cell(peephole=True, coupled=True)])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_layers_directions_and_layouts(cell, layers, bidirectional, batch_first, tmp_path):
    bias = layers != 2
    lstm = made(
        cell, num_layers=layers, bidirectional=bidirectional, batch_first=batch_first, bias=bias
    )
    arrays = given(lstm)
    got = by_onnxruntime(lstm, tmp_path / "m.onnx", *arrays)
    assert_near(got, by_us(lstm, *arrays))


@pytest.mark.parametrize("cell", [Cell(), Cell(peephole=True), Cell(coupled=True)])
@pytest.mark.parametrize("batch_first", [False, True])
def test_ragged_rows_are_those_of_a_packed_sequence(cell, batch_first, tmp_path):
    lstm = made(cell, num_layers=2, bidirectional=True, batch_first=batch_first)
    x, h0, c0 = given(lstm)
    lengths = np.array([2, 7, 5], np.int32)
    to_onnx(lstm, tmp_path / "m.onnx", lengths=True)
    got = session(tmp_path / "m.onnx").run(None, {"x": x, "lengths": lengths, "h0": h0, "c0": c0})
    packed = pack_padded_sequence(
        torch.tensor(x), torch.tensor(lengths).long(), batch_first, enforce_sorted=False
    )
    with torch.no_grad():
        y, (h, c) = lstm(packed, (torch.tensor(h0), torch.tensor(c0)))
    y, _ = pad_packed_sequence(y, batch_first)
    assert_near(got, [a.numpy() for a in (y, h, c)])


def test_time_and_batch_are_free_and_the_state_can_be_left_out(tmp_path):
    lstm = made(num_layers=2)
    to_onnx(lstm, tmp_path / "m.onnx", state=False)
    run = session(tmp_path / "m.onnx")
    for steps, rows in ((1, 1), (11, 2), (3, 17)):
        x = np.random.default_rng(0).standard_normal((steps, rows, I)).astype(np.float32)
        zeros = np.zeros((2, rows, H), np.float32)
        assert_near(run.run(None, {"x": x}), by_us(lstm, x, zeros, zeros))


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_learnt_state_stands_in_for_one_that_is_not_given(layers, batch_first, tmp_path):
    options = {"learn_initial_state": True, "bidirectional": True, "batch_first": batch_first}
    lstm = made(num_layers=layers, **options)
    x, h0, c0 = given(lstm)
    to_onnx(lstm, tmp_path / "m.onnx", state=False)
    with torch.no_grad():
        y, (h, c) = lstm(torch.tensor(x))
    got = session(tmp_path / "m.onnx").run(None, {"x": x})
    assert_near(got, [a.numpy() for a in (y, h, c)])
    got = by_onnxruntime(lstm, tmp_path / "m.onnx", x, h0, c0)
    assert_near(got, by_us(lstm, x, h0, c0))


@pytest.mark.parametrize("opset", [14, 17, 18, 22])
def test_each_opset_is_what_the_model_says_and_runs(opset, tmp_path):
    lstm = made(Cell(peephole=True), num_layers=2)
    arrays = given(lstm)
    got = by_onnxruntime(lstm, tmp_path / "m.onnx", *arrays, opset=opset)
    assert_near(got, by_us(lstm, *arrays))
    assert onnx.load(tmp_path / "m.onnx").opset_import[0].version == opset


@pytest.mark.parametrize("bidirectional", [False, True])
def test_float64_is_kept_or_rounded(bidirectional, tmp_path):
    """ONNX's reference knows sigmoid and tanh only; ONNX Runtime knows float32 only."""
    cell = Cell(peephole=True)
    lstm = made(cell, num_layers=2, bidirectional=bidirectional, dtype=torch.float64)
    x, h0, c0 = given(lstm)
    assert to_onnx(lstm, tmp_path / "m.onnx").dtype == "float64"
    model = ReferenceEvaluator(str(tmp_path / "m.onnx"))
    assert_near(model.run(None, {"x": x, "h0": h0, "c0": c0}), by_us(lstm, x, h0, c0))

    rounded = [a.astype(np.float32) for a in (x, h0, c0)]
    got = by_onnxruntime(lstm, tmp_path / "m.onnx", *rounded, float32=True)
    assert_near(got, [a.astype(np.float32) for a in by_us(lstm, x, h0, c0)])


def test_torch_s_lstm_and_bare_weights_make_the_same_file(tmp_path):
    theirs = torch.nn.LSTM(I, H, 2)
    files = [tmp_path / name for name in ("torch", "weights")]
    for lstm, file in zip((theirs, from_module(theirs)), files, strict=True):
        signature = to_onnx(lstm, file, lengths=True)
    assert files[0].read_bytes() == files[1].read_bytes()
    states = (2, "B", H)
    assert signature.inputs == {"x": ("T", "B", I), "lengths": ("B",), "h0": states, "c0": states}
    assert signature.outputs == {"y": ("T", "B", H), "h_n": states, "c_n": states}


REFUSED = {
    "layer norm": (Cell(layer_norm=True), {}, "no layer norm: expected layer_norm=False"),
    "projection": (Cell(), {"proj_size": 2}, "no projection: expected proj_size=0, got 2"),
    "zoneout": (Cell(), {"zoneout": 0.1}, r"no zoneout: expected .* got \(0.1, 0.1\)"),
    "hard_tanh": (Cell(candidate="hard_tanh"), {}, "such candidate: expected one of sigmoid, "),
    "gates apart": (Cell(input_gate="relu"), {}, "activation for each gate"),
    "gates apart, coupled": (Cell(input_gate="relu", coupled=True), {}, "input_gate, output_gate,"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_the_operator_cannot_compute_is_refused(fault, tmp_path):
    cell, options, message = REFUSED[fault]
    with pytest.raises(ConfigError, match=message) as caught:
        to_onnx(LSTM(I, H, cell=cell, **options), tmp_path / "m.onnx")
    assert "gatewise.runtime" in str(caught.value)
    assert not [*tmp_path.iterdir()]


def test_an_activation_that_is_not_used_is_of_no_account(tmp_path):
    lstm = made(Cell(forget_gate="hard_tanh", coupled=True))
    arrays = given(lstm)
    assert_near(by_onnxruntime(lstm, tmp_path / "m.onnx", *arrays), by_us(lstm, *arrays))


def test_parameters_without_a_place_are_refused(tmp_path):
    lstm = LSTM(I, H)
    lstm.register_parameter("extra", torch.nn.Parameter(torch.zeros(1)))
    with pytest.raises(ConfigError, match="no input for 'extra'"):
        to_onnx(lstm, tmp_path / "m.onnx")


@pytest.mark.parametrize("opset", [13, 10_000, 17.0, True])
def test_an_unknown_opset_is_refused(opset, tmp_path):
    with pytest.raises(ConfigError, match=r"opset is .*: expected 14 to "):
        to_onnx(LSTM(I, H), tmp_path / "m.onnx", opset=opset)


def test_other_dtypes_are_refused(tmp_path):
    with pytest.raises(DtypeError, match=r"float16.*expected float32 or float64"):
        to_onnx(LSTM(I, H).half(), tmp_path / "m.onnx")


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'gatewise\[onnx\]'"):
        to_onnx(LSTM(I, H), tmp_path / "m.onnx")
