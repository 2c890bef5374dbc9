"""Attention is an identity: the weights give the cell states back."""

import numpy as np
import pytest
import torch
from traced_cells import CELLS, lstm_of

from gatewise.errors import ConfigError
from gatewise.trace import attention, record

X = torch.randn(11, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def rebuilt(trace, **at):
    found = attention(trace, **at)
    row = {k: at.get(k, 0) for k in ("layer", "direction", "batch")}
    g = trace.data["candidate"].isel(row).values
    k = row["layer"] * trace.data.sizes["direction"] + row["direction"]
    c = np.einsum("tsh,sh->th", found["weight"].values, g)
    return c + found["initial"].values * trace.initial[1][k, row["batch"]], found


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_the_weights_give_the_cell_states_back(cell):
    lstm = lstm_of(cell, num_layers=2, bidirectional=True)
    state = torch.randn(4, 3, 6).double(), torch.randn(4, 3, 6).double()
    trace = record(lstm, X, state)
    for layer, direction, batch in ((0, 0, 0), (0, 1, 2), (1, 0, 1), (1, 1, 1)):
        c, _ = rebuilt(trace, layer=layer, direction=direction, batch=batch)
        expected = trace.data["cell_state"].values[layer, direction, :, batch]
        np.testing.assert_allclose(c, expected, rtol=0, atol=1e-12 * max(1, abs(expected).max()))


def test_zoneout_is_part_of_the_weights():
    trace = record(lstm_of(zoneout=(0.2, 0.3)), X)
    c, _ = rebuilt(trace)
    np.testing.assert_allclose(c, trace.data["cell_state"].values[0, 0, :, 0], rtol=0, atol=1e-12)


def test_no_step_holds_anything_of_those_to_come():
    trace = record(lstm_of(bidirectional=True), X)
    weight = attention(trace)["weight"].values
    assert not weight[np.triu_indices(11, 1)].any()
    assert weight[np.tril_indices(11)].all()
    backward = attention(trace, direction=1)["weight"].values
    assert not backward[np.tril_indices(11, -1)].any()


def test_means_shares_and_some_times():
    trace = record(lstm_of(), X, (torch.ones(1, 3, 6), torch.ones(1, 3, 6)))
    each = attention(trace, batch=1)
    mean = attention(trace, batch=1, units="mean")
    np.testing.assert_allclose(mean["weight"], each["weight"].mean("hidden"), rtol=1e-12)
    share = attention(trace, batch=1, units="share", times=[-1, 4])
    assert share["time"].values.tolist() == [10, 4]
    g = np.abs(trace.data["candidate"].values[0, 0, :, 1])
    parts = (np.abs(each["weight"].values[-1]) * g).sum(axis=1)
    start = np.abs(each["initial"].values[-1]).sum()
    np.testing.assert_allclose(share["weight"][0], parts / (parts.sum() + start), rtol=1e-12)
    np.testing.assert_allclose(share["weight"].sum("source") + share["initial"], 1, rtol=1e-12)


def test_what_there_is_not_is_refused():
    trace = record(lstm_of(), X)
    wrong = (
        ({"batch": 3}, "batch is 3: expected 0 to 2"),
        ({"units": "sum"}, "units is 'sum'"),
        ({"times": [11]}, "times is .*11.*: expected 0 to 10"),
    )
    for kw, fault in wrong:
        with pytest.raises(ConfigError, match=fault):
            attention(trace, **kw)
    with pytest.raises(ConfigError, match="no variable 'candidate'"):
        attention(record(lstm_of(), X, keep=["input_gate", "forget_gate"]))
