"""Interventions: they do what they say, natively, and nothing else."""

import numpy as np
import pytest
import torch
from traced_cells import CELLS, lstm_of

from gatewise import Activation, Cell, reference
from gatewise.errors import ConfigError, ShapeError
from gatewise.trace import Edit, patch, record, run_on
from gatewise.trace.edits import EDITED
from gatewise.weights import from_module

X = torch.randn(8, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
Y = torch.randn(8, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def same(a, b):
    for name in a.data.data_vars:
        np.testing.assert_array_equal(a.data[name].values, b.data[name].values, err_msg=name)


def near(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_nothing_edited_is_the_run_itself_to_the_bit(isa, cell):
    lstm = lstm_of(cell, num_layers=2, bidirectional=True)
    same(run_on(lstm, X, []), record(lstm, X))
    same(run_on(lstm, X, Edit("cell_state", np.nan)), record(lstm, X))


@pytest.mark.parametrize("zoneout", [(0.0, 0.0), (0.2, 0.3)], ids=["plain", "zoneout"])
@pytest.mark.parametrize("site", EDITED)
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_an_edited_run_follows_the_equations(isa, cell, site, zoneout):
    """Step by step in NumPy, with the same numbers put in."""
    lstm = lstm_of(cell, zoneout=zoneout)
    value = np.full((8, 3, 6), np.nan)
    value[2:5, :, [1, 4]] = np.random.default_rng(0).random((3, 3, 2))
    got = run_on(lstm, X, Edit(site, value)).data.isel(layer=0, direction=0)
    w = reference.weights(**from_module(lstm).layer(0, 0))
    h, c = np.zeros((3, 6)), np.zeros((3, 6))
    for t in range(8):
        values, h, c = edited_step(X[t].numpy(), h, c, w, cell, site, value[t], zoneout)
        for name, expected in values.items():
            near(got[name].values[t], expected)


def edited_step(x, h_prev, c_prev, w, cell, site, value, zoneout):
    def edit(name, v):
        return np.where(np.isnan(value), v, value) if name == site else v

    one = reference.forward(x[None], w, h_prev, c_prev, cell)
    pre = one.gates_pre[0].transpose(1, 0, 2)
    i = edit("input_gate", cell.activation("input_gate").function(pre[0]))
    f = 1 - one.gates[0, :, 0] if cell.coupled else cell.activation("forget_gate").function(pre[1])
    f = edit("forget_gate", f)
    g = edit("candidate", cell.activation("candidate").function(pre[2]))
    c = edit("cell_state", f * c_prev + i * g)
    pre_o = pre[3]
    if cell.peephole:
        pre_o = pre_o + w.peephole[2] * (c - one.cell_state[0])
    o = edit("output_gate", cell.activation("output_gate").function(pre_o))
    seen = c
    if cell.layer_norm:
        centred = c - c.mean(axis=1, keepdims=True)
        normal = centred / np.sqrt(c.var(axis=1, keepdims=True) + reference.EPSILON)
        seen = normal * w.norm_c[0] + w.norm_c[1]
    m = edit("cell_output", cell.activation("cell_output").function(seen))
    h = (1 - zoneout[0]) * o * m + zoneout[0] * h_prev
    c = edit("cell_state", (1 - zoneout[1]) * c + zoneout[1] * c_prev)
    found = {"input_gate": i, "forget_gate": f, "candidate": g, "output_gate": o,
             "cell_state": c, "cell_output": m, "hidden_state": h}  # fmt: skip
    if cell.used_gates[3]:
        found["output_gate_pre"] = pre_o
    if cell.layer_norm or zoneout[1]:
        found["cell_output_pre"] = seen
    return found, h, c


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_an_open_forget_gate_and_a_shut_input_gate_freeze_c_exactly(isa, cell, dtype):
    lstm = lstm_of(cell, dtype=dtype, bidirectional=True)
    c0 = torch.randn(2, 3, 6, dtype=dtype)
    edits = [Edit("forget_gate", 1.0), Edit("input_gate", 0.0)]
    found = run_on(lstm, X, edits, (torch.zeros(2, 3, 6), c0)).data["cell_state"].values[0]
    np.testing.assert_array_equal(found, np.broadcast_to(c0.numpy()[:, None], found.shape))


@pytest.mark.parametrize(
    "kw", [{}, {"num_layers": 2, "bidirectional": True, "proj_size": 3}], ids=repr
)
def test_patching_everything_is_the_other_run(kw):
    lstm = lstm_of(**kw)
    other = record(lstm, Y)
    sites = ("input_gate", "forget_gate", "candidate", "output_gate")
    edits = [
        Edit(site, other.data[site].values[layer, d], layer=layer, direction=d)
        for site in sites for layer in range(lstm.num_layers) for d in range(lstm.directions)
    ]  # fmt: skip
    got = run_on(lstm, X, edits)
    for name in (*sites, "cell_state", "cell_output", "hidden_state"):
        np.testing.assert_array_equal(got.data[name].values, other.data[name].values)


def test_only_what_is_named_is_edited():
    lstm = lstm_of(num_layers=2, bidirectional=True)
    edit = Edit("output_gate", 0.25, units=[2], steps=slice(3, 6), layer=1, direction=1)
    got, plain = run_on(lstm, X, edit).data, record(lstm, X).data
    for name in plain.data_vars:
        np.testing.assert_array_equal(got[name][0], plain[name][0])
        np.testing.assert_array_equal(got[name][1, 0], plain[name][1, 0])
        np.testing.assert_array_equal(got[name][1, 1, 6:], plain[name][1, 1, 6:])  # read before
    assert (got["output_gate"][1, 1, 3:6, :, 2] == 0.25).all()
    others = got["output_gate"][1, 1, 5, :, [0, 1, 3, 4, 5]]
    np.testing.assert_array_equal(others, plain["output_gate"][1, 1, 5, :, [0, 1, 3, 4, 5]])


@pytest.mark.parametrize(
    "site", ["input_gate", "forget_gate", "candidate", "output_gate", "cell_output"]
)
def test_a_swap_of_all_steps_is_the_other_cell(site):
    lstm = lstm_of()
    swap = Activation("softsign", 0.5, 2.0, 0.1)
    got = run_on(lstm, X, Edit(site, swap))
    lstm.cell = got.cell
    assert getattr(got.cell, site) == swap
    same(got, record(lstm, X))


def test_a_swap_of_some_steps_goes_on_from_the_state_before():
    lstm = lstm_of(bidirectional=True)
    got = run_on(lstm, X, Edit("candidate", "identity", steps=slice(3, 5))).data
    for d, (first, then, last) in enumerate((((0, 3), (3, 5), (5, 8)), ((5, 8), (3, 5), (0, 3)))):
        state = None
        for (a, b), candidate in ((first, "tanh"), (then, "identity"), (last, "tanh")):
            w = reference.weights(**from_module(lstm).layer(0, d))
            x = X.numpy()[a:b][:: -1 if d else 1]
            cell = Cell(candidate=candidate)
            h, c = state or (None, None)
            run = reference.forward(x, w, h, c, cell)
            near(got["cell_state"].values[0, d, a:b], run.cell_state[:: -1 if d else 1])
            state = run.h, run.c


def test_ablations():
    lstm = lstm_of()
    plain = record(lstm, X).data["cell_output"].values[0, 0]
    zero = run_on(lstm, X, Edit("cell_output", "zero", units=[2])).data
    assert not zero["hidden_state"].values[..., 2].any()
    mean = run_on(lstm, X, Edit("cell_output", "mean", units=[2])).data["cell_output"].values
    near(mean[0, 0, :, :, 2], plain[..., 2].mean())
    edits = [Edit("cell_output", "resample", units=[2, 3], seed=s) for s in (0, 0, 1)]
    drawn = [run_on(lstm, X, edit).data["cell_output"].values[0, 0] for edit in edits]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    pairs = {tuple(p) for p in plain[..., 2:4].reshape(-1, 2)}
    assert {tuple(p) for p in drawn[0][..., 2:4].reshape(-1, 2)} <= pairs


def test_ragged_rows_are_edited_to_their_ends():
    lstm = lstm_of(bidirectional=True)
    lengths = [8, 3, 5]
    got = run_on(lstm, X, Edit("cell_state", 0.5, steps=slice(2, 4)), lengths=lengths).data
    for b, n in enumerate(lengths):
        alone = run_on(lstm, X[:n, b : b + 1], Edit("cell_state", 0.5, steps=slice(2, 4))).data
        near(got["hidden_state"].values[..., :n, b, :], alone["hidden_state"].values[..., 0, :])
        assert np.isnan(got["hidden_state"].values[..., n:, b, :]).all()


def metric(y):
    return float(y[-1].sum() + y[2, 0])


@pytest.mark.parametrize("site", EDITED)
def test_patch_is_run_on_one_number_at_a_time(site):
    lstm = lstm_of(num_layers=2, bidirectional=True)
    a, b = X[:, 0], Y[:, 0]
    taken = record(lstm, a).data[site].values[0, 1, :, 0]
    effect = patch(lstm, a, b, site, metric, layer=0, direction=1)
    assert effect.dims == ("time", "hidden")

    def output(edits):
        hidden = run_on(lstm, b, edits).data["hidden_state"].values[-1, :, :, 0]
        return metric(np.concatenate([*hidden], axis=-1))

    for t, unit in ((0, 0), (3, 5), (7, 2)):
        edit = Edit(site, taken[t, unit], units=[unit], steps=t, layer=0, direction=1)
        near(effect.values[t, unit], output(edit) - output([]))
    np.testing.assert_array_equal(patch(lstm, b, b, site, metric).values, 0)


@pytest.mark.parametrize(
    ("edit", "error", "fault"),
    [
        (Edit("gate", 1.0), ConfigError, "no site 'gate'"),
        (Edit("input_gate", "sigmoidal"), ConfigError, "Did you mean 'sigmoid'"),
        (Edit("cell_state", "tanh"), ConfigError, "expected one of the five sites"),
        (Edit("candidate", "tanh", units=[1]), ConfigError, "for all units"),
        (Edit("candidate", 1.0, units=[6]), ConfigError, "units is"),
        (Edit("candidate", 1.0, steps=[8]), ConfigError, "steps is"),
        (Edit("candidate", 1.0, layer=1), ConfigError, "layer is 1"),
        (Edit("candidate", np.zeros((7, 3, 6))), ShapeError, r"expected one that fits"),
    ],
    ids=repr,
)
def test_what_cannot_be_edited_is_refused(edit, error, fault):
    with pytest.raises(error, match=fault):
        run_on(lstm_of(), X, edit)


def test_the_forget_gate_of_a_coupled_cell_has_no_activation_to_swap():
    with pytest.raises(ConfigError, match="coupled cell is 1 - i and has no activation"):
        run_on(lstm_of(Cell(coupled=True)), X, Edit("forget_gate", "relu"))


def test_an_edit_of_i_does_not_move_f_of_a_coupled_cell():
    lstm = lstm_of(Cell(coupled=True))
    got, plain = (run_on(lstm, X[:1], e).data for e in (Edit("input_gate", 0.25), []))
    np.testing.assert_array_equal(got["forget_gate"], plain["forget_gate"])


@pytest.mark.filterwarnings("ignore:The Python function")
def test_a_cell_with_a_python_function_is_not_edited():
    with pytest.raises(ConfigError, match="Python function"):
        run_on(lstm_of(Cell(candidate=torch.tanh)), X, Edit("candidate", 1.0))
