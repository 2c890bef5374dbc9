"""The layer-normalised LSTM of Ba et al. 2016 (equations 20 to 22), of torch.nn.LayerNorm modules.

The independent implementation stands here: one `torch.nn.LayerNorm` over the 4H sums of W_ih x, one
over those of W_hh h, one over c, gates taken apart by name.
"""

import numpy as np
import pytest
import torch
from layers import assert_near

from gatewise import Cell, reference
from gatewise.nn import LSTM
from gatewise.weights import PARAMETER_NAMES

T, B, I, H = 6, 3, 4, 7


class LayerNormLSTM(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.from_x = torch.nn.Linear(I, 4 * H, bias=False)
        self.from_h = torch.nn.Linear(H, 4 * H, bias=False)
        self.bias = torch.nn.Parameter(torch.randn(4 * H))
        self.norm_x, self.norm_h = torch.nn.LayerNorm(4 * H), torch.nn.LayerNorm(4 * H)
        self.norm_c = torch.nn.LayerNorm(H)

    def forward(self, x, h, c):
        ys = []
        for x_t in x:
            sums = self.norm_h(self.from_h(h)) + self.norm_x(self.from_x(x_t)) + self.bias
            i, f, g, o = sums[:, :H], sums[:, H : 2 * H], sums[:, 2 * H : 3 * H], sums[:, 3 * H :]
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(self.norm_c(c))
            ys.append(h)
        return torch.stack(ys), h, c


@pytest.fixture
def theirs():
    torch.manual_seed(0)
    module = LayerNormLSTM().double()
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return module


def by_name(theirs, of=lambda p: p.detach()):
    """Their parameters, or what is `of` them, under the names of the equations."""
    norms = {"norm_ih": theirs.norm_x, "norm_hh": theirs.norm_h, "norm_c": theirs.norm_c}
    found = {"w_ih": theirs.from_x.weight, "w_hh": theirs.from_h.weight, "b_ih": theirs.bias}
    found = {k: of(p) for k, p in found.items()}
    return found | {k: torch.stack([of(n.weight), of(n.bias)]) for k, n in norms.items()}


@pytest.fixture
def problem(theirs):
    """x, h0, c0; gradients of y, h, c; outputs and gradients by name."""
    leaves = {k: torch.randn(s, dtype=torch.float64).requires_grad_()
              for k, s in (("x", (T, B, I)), ("h0", (B, H)), ("c0", (B, H)))}  # fmt: skip
    outputs = theirs(*leaves.values())
    grads = [torch.randn_like(t) for t in outputs]
    torch.autograd.backward(outputs, grads)
    expected = dict(zip(("y", "h", "c"), (t.detach() for t in outputs), strict=True))
    expected |= {f"d{k}": t.grad for k, t in leaves.items()}
    expected |= {f"d{k}": g for k, g in by_name(theirs, lambda p: p.grad).items()}
    return [t.detach() for t in leaves.values()], grads, expected


def test_the_reference_is_equal(theirs, problem):
    (x, h0, c0), grads, expected = problem
    w = reference.weights(**{k: v.numpy() for k, v in by_name(theirs).items()})
    run = reference.forward(x.numpy(), w, h0.numpy(), c0.numpy(), Cell(layer_norm=True))
    back = reference.backward(run, *(g.numpy() for g in grads))
    got = {"y": run.y, "h": run.h, "c": run.c, "dx": back.x, "dh0": back.h0, "dc0": back.c0}
    got |= {f"d{k}": getattr(back.weights, k) for k in by_name(theirs)}
    for name, value in expected.items():
        assert_near(got[name], value, np.float64, name)


def test_the_module_is_equal(theirs, problem):
    inputs, grads, expected = problem
    lstm = LSTM(I, H, cell=Cell(layer_norm=True), dtype=torch.float64)
    own = {k: lstm.get_parameter(f"{PARAMETER_NAMES[k]}_l0") for k in by_name(theirs)}
    with torch.no_grad():
        lstm.bias_hh_l0.zero_()
        for k, v in by_name(theirs).items():
            own[k].copy_(v)
    x, h0, c0 = (t.clone().requires_grad_() for t in inputs)
    y, (h, c) = lstm(x, (h0[None], c0[None]))
    torch.autograd.backward((y, h[0], c[0]), grads)
    got = {"y": y, "h": h[0], "c": c[0], "dx": x.grad, "dh0": h0.grad, "dc0": c0.grad}
    got |= {f"d{k}": p.grad for k, p in own.items()}
    for name, value in expected.items():
        assert_near(got[name].detach(), value, np.float64, name)
