"""Rows, directions and units of a trace, cut out or named, against runs of their own."""

import numpy as np
import pytest
import torch
from traced_cells import lstm_of

from gatewise.errors import ConfigError, ShapeError
from gatewise.nn import LSTM
from gatewise.trace import (
    Keep,
    Trace,
    attention,
    findings,
    forget_path,
    half_life,
    integrated_gradients,
    lens,
    memory,
    patch,
    plot_attention,
    plot_gates,
    plot_intervention,
    record,
)

X = torch.randn(7, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
BOTH = {"num_layers": 2, "bidirectional": True}


def started(lstm):
    k = lstm.num_layers * lstm.directions
    return [torch.randn(k, 3, 6, dtype=torch.float64) for _ in range(2)]


@pytest.mark.parametrize("units", ["each", "mean", "share"])
@pytest.mark.parametrize("direction", [0, 1])
def test_attention_of_a_short_row_is_that_of_the_row_alone(direction, units):
    lstm = lstm_of(bidirectional=True)
    state = started(lstm)
    ragged = record(lstm, X, state, lengths=[3, 7, 5])
    for b, n in enumerate((3, 7, 5)):
        alone = record(lstm, X[:n, b : b + 1], [s[:, b : b + 1] for s in state])
        ours = attention(ragged, 0, direction, b, units=units)
        theirs = attention(alone, 0, direction, 0, units=units)
        for name in ("weight", "initial"):
            found = ours[name].values
            np.testing.assert_allclose(found[:n, ..., :n] if name == "weight" and units != "each"
                                       else found[:n, :n] if name == "weight" else found[:n],
                                       theirs[name].values, rtol=1e-12)  # fmt: skip
            assert np.isnan(found[n:]).all()
        if n < 7:
            assert not ours["weight"].values[:n, n:].any()
        plot_attention(ragged, direction=direction, batch=b)


def test_a_cut_is_a_trace_of_its_part(tmp_path):
    lstm = lstm_of(**BOTH)
    whole = record(lstm, X, started(lstm))
    part = whole.cut(direction=[1], batch=[2], layer=[1], hidden=[4, 1])
    assert [s.shape for s in part.initial] == [(1, 1, 2), (1, 1, 2)]
    ours, theirs = attention(part), attention(whole, 1, 1, 2)
    for name in ("weight", "initial"):
        np.testing.assert_array_equal(ours[name], theirs[name].isel(hidden=[4, 1]))
    np.testing.assert_array_equal(
        forget_path(part), forget_path(whole)[[1], [1]][:, :, :, [2]][..., [4, 1]]
    )
    part.save(tmp_path / "part.nc")
    assert Trace.load(tmp_path / "part.nc") == part
    assert part.cut(batch=np.int64(0)).data.sizes["batch"] == 1
    for wrong in ({"nope": 1}, {"time": 99}, {"time": "a"}, {"time": None},
                  {"time": slice(None, None, -1)}):  # fmt: skip
        with pytest.raises(ConfigError):
            whole.cut(**wrong)


def test_names_of_units_are_no_indices():
    lstm = lstm_of()
    state = started(lstm)
    kept = Keep(units=[1, 4])
    plain = attention(record(lstm, X, state, keep=kept), units="share")
    for names in ([5, 4, 3, 2, 1, 0], list("abcdef")):
        named = attention(record(lstm, X, state, keep=kept, units=names), units="share")
        np.testing.assert_array_equal(named["initial"], plain["initial"])
    whole = attention(record(lstm, X, state)).isel(hidden=[1, 4])
    ours = attention(record(lstm, X, state, keep=kept))
    np.testing.assert_array_equal(ours["initial"], whole["initial"])


def test_zoneout_is_part_of_what_is_kept():
    lstm = LSTM(2, 4, zoneout=(0.0, 0.5), dtype=torch.float64)
    for parameter in lstm.parameters():
        torch.nn.init.zeros_(parameter)
    c0 = torch.ones(1, 1, 4, dtype=torch.float64)
    found = record(lstm, torch.zeros(30, 1, 2, dtype=torch.float64), (0 * c0, c0))
    c = found.data["cell_state"].values[0, 0, :, 0, 0]
    np.testing.assert_allclose(c[1:] / c[:-1], 0.75)
    np.testing.assert_allclose(forget_path(found).values[0, 0, :, 0, 0], 0.75 ** np.arange(30))
    np.testing.assert_allclose(half_life(found), -np.log(2) / np.log(0.75))
    np.testing.assert_allclose(memory(found), 4)


def test_a_path_ends_with_its_row():
    path = forget_path(record(lstm_of(), X, lengths=[3, 7, 5])).values[0, 0]
    assert np.isfinite(path[:3, 0]).all()
    assert np.isnan(path[3:, 0]).all()


def test_the_baseline_is_the_mean_over_all_steps_and_of_the_shape_of_x():
    lstm, x = lstm_of(), X[:, :1]
    mean = np.broadcast_to(x.numpy().mean(axis=0), x.shape)
    np.testing.assert_array_equal(
        integrated_gradients(lstm, x, time=2), integrated_gradients(lstm, x, baseline=mean, time=2)
    )
    state = [record(lstm, v).data["cell_state"].values[0, 0, 2, 0] for v in (x, mean)]
    total = integrated_gradients(lstm, x, time=2).sum(("time", "input"))
    np.testing.assert_allclose(total, state[0] - state[1], rtol=1e-6)
    for wrong in (np.zeros((9, 1, 4)), x[:1], np.zeros((7, 2, 4))):
        with pytest.raises(ShapeError, match="baseline has shape"):
            integrated_gradients(lstm, x, baseline=wrong)


def test_runs_without_numbers_are_not_patched():
    bad = X[:, 0].clone()
    bad[2] = np.nan
    with pytest.raises(ShapeError, match="NaN"):
        patch(lstm_of(), bad, X[:, 1], "cell_state", lambda y: float(y[-1].sum()))


def test_labels_and_heads_are_copies():
    time = np.arange(7.0)
    found = record(lstm_of(), X, time=time)
    time[:] = -1
    assert found.data["time"].values.tolist() == list(range(7))
    before = found.data["hidden_state"].values.copy()
    lens(found, lambda states: states.__imul__(0))
    np.testing.assert_array_equal(found.data["hidden_state"], before)


def test_states_that_are_no_numbers_are_told_of():
    (found,) = findings(record(lstm_of(), X * np.nan))
    assert found.warning
    assert found.sentence == "The cell state is no finite number at 21 of 21 steps."


def test_mathematics_in_labels_are_drawn_as_they_stand():
    labels = ["$x_{$"] * 7
    found = record(lstm_of(), X, time=labels, units=["$\\frac{"] * 6)
    for figure in (plot_gates(found), plot_intervention(found, found, labels=["$a_{"])):
        figure.savefig("/dev/null", format="png")


def test_what_a_trace_lacks_is_named():
    found = record(lstm_of(), X, keep=["cell_state"])
    for call in (memory, forget_path, half_life, findings, plot_gates):
        with pytest.raises(ConfigError, match="has no variable"):
            call(found)
