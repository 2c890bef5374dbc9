"""Path patches against the reference, run once more with h_t changed where one gate sees it."""

import numpy as np
import pytest
import torch
from traced_cells import CELLS, lstm_of

from gatewise import reference
from gatewise.errors import ConfigError
from gatewise.trace import path_patch
from gatewise.weights import from_module

GATES = ("input_gate", "forget_gate", "candidate", "output_gate")
FROM = torch.randn(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
INTO = torch.randn(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
WITHOUT_NORM = {name: cell for name, cell in CELLS.items() if not cell.layer_norm}
KINDS = [{}, {"bidirectional": True}, {"proj_size": 3}]


def metric(y):
    return float(y[-1].sum() + y[2, 0] + (y**2).sum())


class Rerun:
    """An LSTM of one layer in the reference, in both directions, from any step on."""

    def __init__(self, lstm, x_from, x_into):
        self.lstm, self.x = lstm, x_into.numpy()[:, None]
        w = [from_module(lstm).layer(0, d) for d in range(lstm.directions)]
        self.w = [reference.weights(**own) for own in w]
        self.plain = [self.run(self.x, d) for d in range(lstm.directions)]
        self.other = [self.run(x_from.numpy()[:, None], d) for d in range(lstm.directions)]

    def run(self, x, d, h=None, c=None, w=None):
        """In the order of running."""
        rows = x[::-1] if d and h is None else x
        return reference.forward(rows, w or self.w[d], h, c, self.lstm.cell)

    def after(self, d, t, h, pushed=0.0):
        """y of the run that goes on from h after its t-th step, with the gates of the next pushed.

        `pushed` [4H] is added to the gates before their activation, at step t + 1 alone.
        """
        x, plain = self.x[::-1] if d else self.x, self.plain[d]
        w = from_module(self.lstm).layer(0, d)
        first = reference.weights(**(w | {"b_ih": w["b_ih"] + pushed}))
        one = self.run(x[t + 1 : t + 2], d, h, plain.cell_state[t], first)
        rest = self.run(x[t + 2 :], d, one.h, one.c)
        return np.concatenate([plain.y[: t + 1], one.y, rest.y])

    def effect(self, d, y):
        """What the metric gains where direction d has put out y."""
        outputs = [metric(np.concatenate([self.in_order(k, y if k == d and changed else p.y)
                                          for k, p in enumerate(self.plain)], axis=-1)[:, 0])
                   for changed in (True, False)]  # fmt: skip
        return outputs[0] - outputs[1]

    def in_order(self, d, y):
        return y[::-1] if d else y


@pytest.mark.parametrize("kw", KINDS, ids=repr)
@pytest.mark.parametrize("cell", WITHOUT_NORM.values(), ids=WITHOUT_NORM)
def test_one_gate_alone_sees_the_other_h(cell, kw):
    lstm = lstm_of(cell, **kw)
    rerun, H = Rerun(lstm, FROM, INTO), 6
    for d in range(lstm.directions):
        w_hh = from_module(lstm).layer(0, d)["w_hh"]
        for k, gate in enumerate(GATES):
            if cell.coupled and gate == "forget_gate":
                continue
            found = path_patch(lstm, FROM, INTO, gate, metric, direction=d).values
            for t, unit in ((0, 0), (3, 2), (5, 1)):
                h = rerun.plain[d].y[t]
                pushed = np.zeros(4 * H)
                rows = slice(k * H, (k + 1) * H)
                pushed[rows] = w_hh[rows, unit] * (rerun.other[d].y[t] - h)[0, unit]
                expected = rerun.effect(d, rerun.after(d, t, h, pushed))
                at = len(INTO) - 1 - t if d else t
                np.testing.assert_allclose(found[at, unit], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("direction", [0, 1])
@pytest.mark.parametrize("cell", [CELLS["default"], CELLS["coupled"]], ids=["default", "coupled"])
def test_path_patches_of_all_gates_are_the_whole_of_h(cell, direction):
    """To first order: the small paths add up to a run that goes on from the other h."""
    lstm = lstm_of(cell, bidirectional=True)
    x_from = INTO + 1e-6 * FROM
    paths = [g for g in GATES if not (cell.coupled and g == "forget_gate")]
    parts = [path_patch(lstm, x_from, INTO, g, metric, direction=direction).values for g in paths]
    rerun = Rerun(lstm, x_from, INTO)
    for t, unit in ((0, 3), (4, 2)):
        h = rerun.plain[direction].y[t].copy()
        h[0, unit] = rerun.other[direction].y[t][0, unit]
        whole = rerun.effect(direction, rerun.after(direction, t, h))
        at = len(INTO) - 1 - t if direction else t
        np.testing.assert_allclose(sum(parts)[at, unit], whole, rtol=1e-3)


@pytest.mark.parametrize("cell", [CELLS["coupled"], CELLS["layer norm"]], ids=repr)
def test_a_gate_without_a_path_of_its_own_is_refused(cell):
    with pytest.raises(ConfigError, match="path of its own"):
        path_patch(lstm_of(cell), FROM, INTO, "forget_gate", metric)
