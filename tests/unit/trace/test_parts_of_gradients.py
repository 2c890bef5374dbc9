"""Each part of a cell state's gradient, in every layer and direction, by an autograd of its own.

The oracle gives every use of a state a copy of it: the gradient of a copy is what came that way.
"""

import numpy as np
import pytest
import torch
from traced_cells import CELLS, lstm_of

from gatewise.cell import SITES
from gatewise.errors import ConfigError
from gatewise.nn.composite import ACTIVATIONS
from gatewise.reference import EPSILON
from gatewise.trace import gradient_flow
from gatewise.trace.flow import PARTS

X = torch.randn(7, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
DEEP = {"num_layers": 2, "bidirectional": True}
KINDS = ("default", "peepholes", "coupled", "no output gate", "layer norm", "all")


def squash(cell, site):
    a = cell.activation(site)
    return lambda v: a.scale * ACTIVATIONS[a.name](a.slope * v) + a.shift


def normed(v, gain_shift, used=None):
    if gain_shift is None:
        return v
    seen = v if used is None else v[:, used]
    gain, shift = gain_shift
    deviation = (seen.var(1, correction=0, keepdim=True) + EPSILON).sqrt()
    return (v - seen.mean(1, keepdim=True)) / deviation * gain + shift


class Copies:
    """One layer and direction, step by step: `of_h[t][k]` is the copy of h_t that gate k reads."""

    def __init__(self, x, w, cell, P):
        H, B = w.w_ih.shape[0] // 4, x.shape[1]
        h, c = x.new_zeros(B, P), x.new_zeros(B, H)
        self.c, self.h, self.of_h, self.carried, self.seen, self.peeps = [], [], [], [], [], []
        used = torch.tensor(np.repeat(cell.used_gates, H))
        si, sf, phi, so, psi = (squash(cell, site) for site in SITES)
        see = torch.zeros(3, H, dtype=x.dtype) if w.peephole is None else w.peephole
        for row in x:
            copies = [copy(h) for _ in range(4)]
            old, peep_i, peep_f = (copy(c) for _ in range(3))
            pre = normed(row @ w.w_ih.T, w.norm_ih, used)
            pre = pre + (0 if w.b_ih is None else w.b_ih + w.b_hh)
            i, f, g, o = (
                (pre + normed(one @ w.w_hh.T, w.norm_hh, used))[:, k * H : (k + 1) * H]
                for k, one in enumerate(copies)
            )
            i = si(i + see[0] * peep_i)
            f = 1 - i if cell.coupled else sf(f + see[1] * peep_f)
            c = f * old + i * phi(g)
            peep_o, seen = copy(c), copy(c)
            out = so(o + see[2] * peep_o) * psi(normed(seen, w.norm_c))
            h = out if w.w_hr is None else out @ w.w_hr.T
            c.retain_grad()
            self.c.append(c)
            self.h.append(h)
            self.of_h.append(copies)
            self.carried.append(old)
            self.peeps.append((peep_i, peep_f, peep_o))
            self.seen.append(seen)

    def parts(self, dy):
        """Parts by name, each [T, B, H], once the backward is done; dy: gradient from above."""
        found = {name: [] for name in (*PARTS, "cell_state")}
        for t in range(len(self.c)):
            last = t + 1 == len(self.c)
            read = {"read_out": dy[t]}
            for k, gate in enumerate(SITES[:4]):
                read[gate] = torch.zeros_like(dy[t]) if last else grad(self.of_h[t + 1][k])
            own = {name: back(self.h[t], self.seen[t], v) for name, v in read.items()}
            own["output_gate"] = own["output_gate"] + grad(self.peeps[t][2])
            own["carried"] = torch.zeros_like(self.c[t]) if last else grad(self.carried[t + 1])
            if not last:
                for k, gate in enumerate(("input_gate", "forget_gate")):
                    own[gate] = own[gate] + grad(self.peeps[t + 1][k])
            own["cell_state"] = self.c[t].grad
            for name, value in own.items():
                found[name].append(value)
        return {name: torch.stack(values).numpy() for name, values in found.items()}


def copy(v):
    made = v.clone() if v.requires_grad else v.clone().requires_grad_()
    if not made.is_leaf:
        made.retain_grad()
    return made


def grad(v):
    return torch.zeros_like(v) if v.grad is None else v.grad


def back(h, seen, v):
    (found,) = torch.autograd.grad(h, seen, v, retain_graph=True, allow_unused=True)
    return torch.zeros_like(seen) if found is None else found


@pytest.mark.parametrize("proj", [0, 3])
@pytest.mark.parametrize("name", KINDS)
def test_every_part_is_what_autograd_says_came_that_way(name, proj):
    cell = CELLS[name]
    lstm = lstm_of(cell, proj_size=proj, **DEEP)
    P = proj or 6
    dy = torch.randn(7, 2, 2 * P, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    flow = gradient_flow(lstm, X, dy)
    runs, tops, rows = [], [], X
    for layer in range(2):
        pair = [
            Copies(rows.flip(0) if d else rows, lstm.layer_weights(layer, d), cell, P)
            for d in range(2)
        ]
        sides = [torch.stack(r.h) for r in pair]
        rows = torch.cat([sides[0], sides[1].flip(0)], 2)
        rows.retain_grad()
        runs.append(pair)
        tops.append(rows)
    (rows * dy).sum().backward(retain_graph=True)
    for layer in range(2):
        for d in range(2):
            above = tops[layer].grad[..., d * P :][..., :P]
            parts = runs[layer][d].parts(above.flip(0) if d else above)
            for part, expected in parts.items():
                found = flow[part][layer, d].values[:: -1 if d else 1]
                np.testing.assert_allclose(
                    found, expected, rtol=1e-9, atol=1e-11, err_msg=f"{part} {layer} {d}"
                )


def test_a_flow_that_does_not_fit_is_refused_before_it_runs(monkeypatch):
    lstm, x = lstm_of(sizes=(4, 64)), torch.zeros(2000, 8, 4, dtype=torch.float64)
    monkeypatch.setattr("gatewise.trace.keep._free_memory", lambda: 65 << 20)
    monkeypatch.setattr("gatewise.trace.flow.run_chunk", lambda *_: pytest.fail("it has run"))
    with pytest.raises(ConfigError, match=r"The flow of gradients takes 0.1 GiB: .* Take fewer"):
        gradient_flow(lstm, x, np.zeros((2000, 8, 64)))
