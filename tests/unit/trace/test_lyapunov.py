"""Lyapunov exponents against those of a Jacobian by finite differences, step by step, with QR."""

import numpy as np
import pytest
import torch
from traced_cells import CELLS, lstm_of

from gatewise import Cell, reference
from gatewise.errors import ConfigError
from gatewise.trace import lyapunov_exponents
from gatewise.weights import from_module

X = torch.randn(40, 1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
CASES = {
    "default": {},
    "proj": {"proj_size": 3},
    "bidirectional": {"bidirectional": True},
    "two layers": {"num_layers": 2, "bidirectional": True, "proj_size": 3},
    "peephole": {"cell": CELLS["peepholes"]},
    "coupled": {"cell": CELLS["coupled"]},
    "coupled with peephole": {"cell": Cell(coupled=True, peephole=True)},
    "peephole, proj": {"cell": CELLS["peepholes"], "proj_size": 3},
    "no output gate": {"cell": CELLS["no output gate"]},
    "affine": {"cell": CELLS["affine"]},
}
ATOL = 1e-6


def by_differences(lstm, rows, h, c, layer, d, first_tangent, warm_up):
    """Exponents of the map (h, c) -> (h, c) of `reference.forward`, nudged in each coordinate."""
    w = reference.weights(**from_module(lstm).layer(layer, d))
    tangent, logs, eps = first_tangent, [], 1e-6
    P, nudges = len(h), eps * np.eye(len(h) + len(c))
    for x in rows[::-1] if d else rows:
        states = np.concatenate([h, c]) + np.concatenate([nudges, -nudges])
        run = reference.forward(
            np.repeat(x[None, None], len(states), 1), w, states[:, :P], states[:, P:],
            cell=lstm.cell,
        )  # fmt: skip
        after = np.concatenate([run.y[0], run.cell_state[0]], 1)
        up, down = np.split(after, 2)
        jacobian = (up - down).T / (2 * eps)
        tangent, r = np.linalg.qr(jacobian @ tangent)
        logs.append(np.log(np.abs(np.diag(r))))
        run = reference.forward(x[None, None], w, h[None], c[None], cell=lstm.cell)
        h, c = run.y[0, 0], run.cell_state[0, 0]
    return np.sort(np.mean(logs[warm_up:], 0))[::-1]


def rows_of(lstm, state, layer):
    """What a layer reads, as the reference runs the layers below."""
    rows = X.numpy()[:, 0]
    for below in range(layer):
        sides = []
        for d in range(lstm.directions):
            w = reference.weights(**from_module(lstm).layer(below, d))
            h, c = (s.numpy()[below * lstm.directions + d] for s in state)
            order = slice(None, None, -1 if d else 1)
            run = reference.forward(rows[order][:, None], w, h, c, cell=lstm.cell)
            sides.append(run.y[order, 0])
        rows = np.concatenate(sides, 1)
    return rows


@pytest.mark.parametrize("warm_up", [0, 15])
@pytest.mark.parametrize("kw", CASES.values(), ids=CASES)
def test_exponents_are_those_of_finite_differences(kw, warm_up):
    lstm = lstm_of(**kw)
    k, P, count = lstm.num_layers * lstm.directions, lstm.proj_size or 6, 4
    state = tuple(torch.randn(k, 1, n, dtype=torch.float64) for n in (P, 6))
    first, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((P + 6, count)))
    for layer in range(lstm.num_layers):
        rows = rows_of(lstm, state, layer)
        for d in range(lstm.directions):
            h, c = (s.numpy()[layer * lstm.directions + d, 0] for s in state)
            expected = by_differences(lstm, rows, h, c, layer, d, first, warm_up)
            found = lyapunov_exponents(
                lstm, X, count, layer=layer, direction=d, state=state, warm_up=warm_up, seed=3
            )
            np.testing.assert_allclose(found.values, expected, rtol=0, atol=ATOL)


def test_a_chaotic_cell_has_an_exponent_above_0():
    lstm = lstm_of(sizes=(4, 24))
    with torch.no_grad():
        lstm.weight_hh_l0.mul_(8.0)
    assert lyapunov_exponents(lstm, X * 0, 1, warm_up=10).item() > 0.05


@pytest.mark.parametrize(
    ("kw", "fault"),
    [({"count": 13}, "1 to 12 exponents"), ({"warm_up": 40}, "more steps than warm_up")],
    ids=repr,
)
def test_what_cannot_be_asked_is_refused(kw, fault):
    with pytest.raises(ConfigError, match=fault):
        lyapunov_exponents(lstm_of(), X, **kw)
    with pytest.raises(ConfigError, match="neither zoneout, layer norm"):
        lyapunov_exponents(lstm_of(CELLS["layer norm"]), X)
