"""Findings: what is planted is found, and where nothing is planted nobody is accused."""

import numpy as np
import pytest
import torch
from traced_cells import CELLS, lstm_of

from gatewise.nn import LSTM
from gatewise.trace import (
    Trace,
    effective_rank,
    findings,
    half_life,
    influence,
    integrated_gradients,
    lens,
    lyapunov_exponents,
    operating,
    probe,
    record,
    similar_states,
)

X = torch.randn(200, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def planted(**changes):
    lstm = torch.nn.LSTM(4, 6, dtype=torch.float64)
    with torch.no_grad():
        for name, (gate, unit, value) in changes.items():
            del name
            row = 6 * gate + unit
            lstm.weight_ih_l0[row] = 0
            lstm.weight_hh_l0[row] = 0
            lstm.bias_hh_l0[row] = 0
            lstm.bias_ih_l0[row] = value
    return lstm


def kinds(lstm, x=X):
    return {(f.kind, f.units) for f in findings(record(lstm, x)) if f.units}


def test_planted_faults_are_found():
    torch.manual_seed(0)
    assert ("keeps", (2,)) in kinds(planted(a=(1, 2, 9.0)))
    assert ("forgets", (3,)) in kinds(planted(a=(1, 3, -9.0)))
    assert ("stuck", (1,)) in kinds(planted(a=(0, 1, -9.0)))
    assert ("stuck", (4,)) in kinds(planted(a=(3, 4, -9.0)))
    # No candidate: c stays where it is.
    assert ("dead", (5,)) in kinds(planted(a=(2, 5, 0.0)))


def test_the_value_of_each_kind_is_the_one_documented():
    lstm = planted(a=(1, 2, 9.0), b=(1, 3, -9.0), c=(0, 1, -9.0))
    trace = record(lstm, X)
    value = {f.kind: f.value for f in findings(trace)}
    assert {value[kind] for kind in ("keeps", "forgets", "stuck")} == {1}
    assert value["rank"] == pytest.approx(float(effective_rank(trace).squeeze()))
    assert value["memory"] == pytest.approx(float(half_life(trace).median()))
    assert findings(record(lstm, X[:3, :1]))[0].value == 3
    assert findings(record(lstm, X * np.nan))[0].value == 400
    far = findings(record(lstm_of(CELLS["no squash"]), X * 0 + 3))
    assert not [f for f in far if f.kind == "flat"]  # of tanh alone
    (flat,) = [f for f in findings(with_swings(8.0, 8.0)) if f.kind == "flat"]
    assert flat.value == pytest.approx(0.75, abs=0.01)


def test_units_that_all_stand_still_are_told_of():
    lstm = torch.nn.LSTM(4, 3, dtype=torch.float64)
    for parameter in lstm.parameters():
        torch.nn.init.zeros_(parameter)
    found = findings(record(lstm, X))[0]
    assert found.units == (0, 1, 2)
    assert found.sentence == (
        "The cell states of units 0, 1 and 2 do not move: by 0 at most in 400 steps."
    )
    assert found.value == 0


def with_swings(*swings):
    trace = record(lstm_of(sizes=(4, len(swings))), X)
    c = np.linspace(0, 1, 400).reshape(200, 2, 1) * np.array(swings)
    return Trace(trace.data.assign(cell_state=(trace.data["cell_state"].dims, c[None, None])),
                 trace.cell)  # fmt: skip


@pytest.mark.parametrize(
    ("swings", "still"),
    [
        ([1.0, 0.5, 1e-4], (2,)),
        ([1000.0, 0.5, 0.01], ()),  # little beside the largest, and seen in h all the same
        ([1e-4, 2e-4, 1.5e-4], ()),  # a small network
        ([0.0, 1.0, 0.0], (0, 2)),  # most
        ([1e-8, 0.0, 3e-8], (0, 1, 2)),  # all, but for rounding
    ],
)
def test_who_stands_still_is_told_by_the_largest_swing_and_by_what_is_seen_in_h(swings, still):
    found = [f for f in findings(with_swings(*swings)) if f.kind == "dead"]
    assert tuple(u for f in found for u in f.units) == still


def test_many_steps_that_forget_little_forget():
    lstm = planted(a=(1, 2, np.log(0.992 / 0.008)))  # f = .992: half is left after 86 steps
    assert ("keeps", (2,)) in kinds(lstm, X[:60])
    assert ("keeps", (2,)) not in kinds(lstm)


def at_the_bounds(trace):
    """How often gates stand where a finding begins, though no unit stays there."""
    gates = np.stack([trace.data[f"{g}_gate"].values for g in ("input", "forget", "output")])
    return ((gates > 0.99) | (gates < 0.01)).mean()


@pytest.mark.parametrize(("scale", "reach"), [(1, 0.0), (8, 0.05), (12, 0.2)])
def test_nobody_is_accused_where_nothing_is_planted(scale, reach):
    accused, reached = 0, []
    for seed in range(50):
        torch.manual_seed(seed)
        lstm = torch.nn.LSTM(4, 24)
        with torch.no_grad():
            for p in lstm.parameters():
                p.mul_(scale)
        trace = record(lstm, X.float())
        accused += any(f.warning or f.units for f in findings(trace))
        reached.append(at_the_bounds(trace))
    assert accused <= 2  # 5 %
    assert np.mean(reached) >= reach


def test_no_trained_network_is_accused():
    x = X.float()
    target = x[..., :1].roll(2, 0) * x[..., 1:2]  # which takes memory and a product
    for seed in range(6):
        torch.manual_seed(seed)
        lstm, head = LSTM(4, 16), torch.nn.Linear(16, 1)
        optimiser = torch.optim.Adam([*lstm.parameters(), *head.parameters()], 0.02)
        for _ in range(80):
            optimiser.zero_grad()
            loss = ((head(lstm(x)[0]) - target) ** 2).mean()
            loss.backward()
            optimiser.step()
        assert loss < 0.1 * target.var()  # it has learnt
        trace = record(lstm, x)
        assert at_the_bounds(trace) > 0.01
        assert not [f for f in findings(trace) if f.warning or f.units]


def test_few_steps_say_nothing():
    (found,) = findings(record(lstm_of(), X[:5, :1]))
    assert "5 steps are too few" in found.sentence


@pytest.mark.parametrize("b", [-1.0, 0.0, 2.0, 5.0])
def test_the_half_life_of_a_constant_forget_gate_is_exact(b):
    lstm = planted(**{f"u{k}": (1, k, b) for k in range(6)})
    expected = -np.log(2) / np.log(1 / (1 + np.exp(-b)))
    np.testing.assert_allclose(half_life(record(lstm, X)), expected, rtol=1e-12)


def test_the_effective_rank_of_planted_directions():
    lstm = lstm_of()
    trace = record(lstm, X)
    base = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0]
    numbers = np.random.default_rng(1).standard_normal((200, 2, 6))
    for rank in (1, 3, 6):
        states = numbers[..., :rank] @ base[:rank]
        data = trace.data.assign(cell_state=(trace.data["cell_state"].dims, states[None, None]))
        found = float(effective_rank(type(trace)(data, trace.cell)).squeeze())
        assert rank - 0.1 < found <= rank + 1e-9
    still = trace.data.assign(cell_state=trace.data["cell_state"] * 0 + 3.0)
    assert float(effective_rank(type(trace)(still, trace.cell)).squeeze()) == 0


def test_operating_counts_steps_beyond():
    trace = record(lstm_of(), X)
    c = trace.data["cell_state"].values[0, 0]
    np.testing.assert_allclose(
        operating(trace, "cell_output", 0.5)[0, 0], (abs(c) > 0.5).mean((0, 1))
    )


def test_a_planted_link_from_input_to_unit_is_found():
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(4, 6, dtype=torch.float64)
    with torch.no_grad():
        for p in lstm.parameters():
            p.zero_()
        lstm.weight_ih_l0[12 + 3, 2] = -2.0  # input 2 lowers the candidate of unit 3
        lstm.weight_ih_l0[12 + 1, 0] = 1.0
    found = influence(lstm, X).values
    assert found[2, 3] < -0.3
    assert found[0, 1] > 0.3
    assert np.count_nonzero(found) == 2


def test_integrated_gradients_add_up_and_are_captum_s():
    captum = pytest.importorskip("captum.attr")
    lstm = lstm_of()
    x = X[:12, 0]
    ours = integrated_gradients(lstm, x, points=40)
    c = record(lstm, x).data["cell_state"].values[0, 0, -1, 0]
    mean = x.mean(0, keepdim=True).expand_as(x)
    c_mean = record(lstm, mean).data["cell_state"].values[0, 0, -1, 0]
    np.testing.assert_allclose(ours.sum(("time", "input")), c - c_mean, rtol=1e-9)

    def unit(batch):
        return lstm(batch.transpose(0, 1))[1][1][0, :, 2]

    theirs = captum.IntegratedGradients(unit).attribute(
        x[None], mean[None], n_steps=40, method="gausslegendre"
    )
    np.testing.assert_allclose(ours.values[..., 2], theirs[0].numpy(), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("of", ["cell_state", "hidden_state"])
@pytest.mark.parametrize("kw", [{}, {"proj_size": 3}], ids=repr)
def test_integrated_gradients_tell_what_they_miss(of, kw):
    lstm, x = lstm_of(CELLS["affine"], **kw), X[:12, 0]
    mean = x.mean(0, keepdim=True).expand_as(x)
    ends = [record(lstm, v).data[of].values[0, 0, -1, 0] for v in (x, mean)]
    for points in (24, 64):
        found = integrated_gradients(lstm, x, of=of, points=points)
        missing = found.sum(("time", "input")).values - (ends[0] - ends[1])
        np.testing.assert_allclose(found.attrs["residual"], missing, rtol=1e-9, atol=1e-12)


def test_integrated_gradients_that_do_not_add_up_warn():
    with pytest.warns(UserWarning, match=r"64 points miss u\(x\).*raise points") as caught:
        integrated_gradients(lstm_of(CELLS["layer norm"]), X[:40, 0])
    assert caught[0].filename == __file__


@pytest.mark.parametrize("kw", [{}, {"bidirectional": True}], ids=repr)
def test_the_largest_exponent_is_that_of_two_near_runs(kw):
    lstm = lstm_of(sizes=(4, 8), **kw)
    x = X[:150, :1]
    found = lyapunov_exponents(lstm, x, 2, warm_up=50).values
    whole = record(lstm, x)
    h, c = (s.copy() for s in whole.initial)
    nudge = 1e-9 * np.random.default_rng(0).standard_normal(c.shape)
    nudged = record(lstm, x, (h, c + nudge))
    states = ("hidden_state", "cell_state")
    differ = np.concatenate(
        [(nudged.data[k] - whole.data[k]).values[0, 0, :, 0] for k in states], 1
    )
    apart = np.linalg.norm(differ, axis=1)[[10, 25]]
    rate = np.log(apart[1] / apart[0]) / 15
    assert abs(rate - found[0]) < 0.15
    assert found[0] >= found[1]


def test_the_lens_reads_what_is_said_and_what_is_known():
    lstm = lstm_of()
    trace, head = record(lstm, X), torch.nn.Linear(6, 2, dtype=torch.float64)
    found = lens(trace, head)
    y, _ = lstm(X)
    np.testing.assert_allclose(found["says"], head(y).detach().numpy(), rtol=1e-10, atol=1e-12)
    knows = torch.tanh(torch.from_numpy(trace.data["cell_state"].values[0, 0]))
    np.testing.assert_allclose(found["knows"], head(knows).detach().numpy(), rtol=1e-10, atol=1e-12)
    same = lens(trace, lambda states: states[..., :2])
    np.testing.assert_array_equal(same["says"], trace.data["hidden_state"].values[0, 0, ..., :2])


def test_a_probe_finds_what_is_there_and_not_what_is_not():
    torch.manual_seed(0)
    trace = record(torch.nn.LSTM(4, 16, dtype=torch.float64), X)
    there = trace.data["cell_state"].values[0, 0, :, :, 0]
    found = probe(trace, there)
    assert found["low"] > 0.5
    assert found["selectivity"] > 0.5
    nothing = probe(trace, np.random.default_rng(0).standard_normal((200, 2)))
    assert nothing["low"] < 0.05
    assert abs(float(nothing["selectivity"])) < 0.3


def test_similar_states_of_a_run_that_comes_back():
    lstm = lstm_of()
    x = X[:40, :1].repeat(3, 1, 1)  # the same again
    found = similar_states(record(lstm, x), 110, count=1)
    assert found["time"].values.tolist() == [70]
    assert float(found["similarity"][0]) > 0.999
