"""Every cell of the reference against autograd over the same equations written a second time."""

import numpy as np
import pytest
import torch
from cells import CELLS, MIXED, parameters, plain_layer
from layers import assert_near

from gatewise import Cell, reference

T, B, I, H = 5, 3, 4, 6


def problem(proj):
    rng = np.random.default_rng(1)
    P = proj or H
    x, h0, c0 = (rng.standard_normal(s) for s in ((T, B, I), (B, P), (B, H)))
    return (x, h0, c0), tuple(rng.standard_normal(s) for s in ((T, B, P), (B, P), (B, H)))


@pytest.mark.parametrize("proj", [0, 2])
@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_outputs_and_gradients_equal_autograd(cell, proj):
    (x, h0, c0), grads = problem(proj)
    own = parameters(I, H, cell, proj=proj)
    run = reference.forward(x, reference.weights(**own), h0, c0, cell)
    got = reference.backward(run, *grads)

    leaves = [torch.tensor(a, requires_grad=True) for a in (x, h0, c0)]
    w = {k: torch.tensor(v, requires_grad=True) for k, v in own.items()}
    outputs = plain_layer(*leaves, w, cell)
    torch.autograd.backward(outputs, [torch.tensor(g) for g in grads])

    for name, a, b in zip(("y", "h", "c"), (run.y, run.h, run.c), outputs, strict=True):
        assert_near(a, b.detach(), np.float64, name)
    for name, leaf in zip(("x", "h0", "c0"), leaves, strict=True):
        assert_near(getattr(got, name), leaf.grad, np.float64, name)
    for name, leaf in w.items():
        expected = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        assert_near(getattr(got.weights, name), expected, np.float64, name)


@pytest.mark.parametrize("cell", [Cell(), *MIXED], ids=repr)
def test_gradients_equal_finite_differences(cell):
    (x, h0, c0), grads = problem(2)
    own = parameters(I, H, cell, proj=2)

    def loss(**changed):
        v = {"x": x, "h0": h0, "c0": c0, **own, **changed}
        w = reference.weights(**{k: v[k] for k in own})
        run = reference.forward(v["x"], w, v["h0"], v["c0"], cell)
        return sum((g * a).sum() for g, a in zip(grads, (run.y, run.h, run.c), strict=True))

    found = reference.backward(reference.forward(x, reference.weights(**own), h0, c0, cell), *grads)
    gradients = {"x": found.x, "h0": found.h0, "c0": found.c0}
    gradients |= {k: getattr(found.weights, k) for k in own}
    rng = np.random.default_rng(2)
    for name, gradient in gradients.items():
        base = {"x": x, "h0": h0, "c0": c0, **own}[name]
        step = rng.standard_normal(base.shape)
        e = 1e-6
        slope = (loss(**{name: base + e * step}) - loss(**{name: base - e * step})) / (2 * e)
        assert slope == pytest.approx((gradient * step).sum(), rel=1e-6, abs=1e-6), name


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_what_a_forward_keeps_fits_together(cell):
    (x, h0, c0), _ = problem(0)
    run = reference.forward(x, reference.weights(**parameters(I, H, cell)), h0, c0, cell)
    i, f, g, o = run.gates.transpose(2, 0, 1, 3)
    c_prev = np.concatenate([c0[None], run.cell_state[:-1]])
    np.testing.assert_allclose(run.cell_state, f * c_prev + i * g, rtol=1e-13)
    np.testing.assert_allclose(run.y, o * run.cell_output, rtol=1e-13)
    np.testing.assert_array_equal(run.y[-1], run.h)
    np.testing.assert_array_equal(run.cell_state[-1], run.c)
    if cell.coupled:
        np.testing.assert_array_equal(f, 1 - i)
    for k, site in enumerate(("input_gate", "forget_gate", "candidate", "output_gate")):
        if not (cell.coupled and site == "forget_gate"):
            expected = cell.activation(site).function(run.gates_pre[:, :, k])
            np.testing.assert_array_equal(run.gates[:, :, k], expected, err_msg=site)
