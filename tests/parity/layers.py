"""One layer computed three ways (native, reference, PyTorch), and how near they must be."""

import numpy as np
import torch

from gatewise import reference
from gatewise._native import arrays

TOLERANCE = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 2e-5}
PARTS = ("x", "h0", "c0", "w_ih", "w_hh", "b_ih", "b_hh")


def assert_near(got, expected, dtype, what=""):
    """Largest difference, as a part of the largest magnitude (or of 0.1, if all is smaller)."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    assert got.shape == expected.shape, what
    assert np.isfinite(expected).all(), what
    if not got.size:
        return
    error = np.abs(got - expected).max() / max(np.abs(expected).max(), 0.1)
    assert error <= TOLERANCE[np.dtype(dtype)], f"{what}: relative error {error:.2e}"


def draw(T, B, I, H, *, dtype, bias=True, seed=0):
    """Inputs, parameters and output gradients of one layer, exact in `dtype`."""
    rng = np.random.default_rng(seed)

    def normal(*shape, scale=1.0):
        return (scale * rng.standard_normal(shape)).astype(dtype)

    scale = 1 / np.sqrt(H)
    given = {
        "x": normal(T, B, I),
        "h0": normal(B, H),
        "c0": normal(B, H),
        "w_ih": normal(4 * H, I, scale=scale),
        "w_hh": normal(4 * H, H, scale=scale),
        "b_ih": normal(4 * H, scale=scale) if bias else None,
        "b_hh": normal(4 * H, scale=scale) if bias else None,
    }
    return given, (normal(T, B, H), normal(B, H), normal(B, H))


def native(
    given,
    grads,
    reverse=False,
    threads=1,
    want_dx=True,
    checkpoint_every=0,
    bfloat16=False,
    dx=None,
):
    """Outputs and gradients of the native core, by name.

    The reverse direction is the second one of a bidirectional layer, whose first gets no gradient.
    """
    x, h0, c0, w_ih, w_hh, b_ih, b_hh = (given[k] for k in PARTS)
    (T, B, I), H, dtype = x.shape, c0.shape[1], x.dtype
    D, own = (2, slice(1, 2)) if reverse else (1, slice(0, 1))
    net = arrays.Network([(w_ih, w_hh, b_ih, b_hh)] * D, D, bfloat16)
    h0, c0 = (np.repeat(a[None], D, axis=0) for a in (h0, c0))

    def room(*shape):
        return np.full(shape, np.nan, dtype)

    y, (h_n, c_n, dh0, dc0) = room(T, B, D * H), (room(D, B, H) for _ in range(4))
    tape = net.tape(T, B, checkpoint_every)
    net.forward(x, h0, c0, y, h_n, c_n, tape, threads, checkpoint_every)
    dy, dh_n, dc_n = grads
    if reverse:
        dy = None if dy is None else np.concatenate([np.zeros_like(dy), dy], axis=2)
        dh_n, dc_n = (None if g is None else np.stack([np.zeros_like(g), g]) for g in (dh_n, dc_n))
    else:
        dh_n, dc_n = (None if g is None else g[None] for g in (dh_n, dc_n))
    if want_dx and dx is None:
        dx = room(T, B, I)
    gradients = [(room(4 * H, I), room(4 * H, H), room(4 * H)) for _ in range(D)]
    net.backward(
        x, h0, c0, y, tape, dy, dh_n, dc_n, dx, dh0, dc0, gradients, threads, checkpoint_every
    )
    out = {"y": y[:, :, own.start * H :], "h_n": h_n[own][0], "c_n": c_n[own][0]}
    out |= {"dh0": dh0[own][0], "dc0": dc0[own][0]}
    out["dw_ih"], out["dw_hh"], db = gradients[own.start]
    if want_dx:
        out["dx"] = dx
    if b_ih is not None:
        out["db_ih"] = out["db_hh"] = db
    return out


def by_reference(given, grads, reverse=False):
    """The same by `gatewise.reference`, in float64."""
    order = slice(None, None, -1 if reverse else 1)
    w = reference.weights(*(given[k] for k in PARTS[3:]))
    run = reference.forward(given["x"][order], w, given["h0"], given["c0"])
    dy, dh, dc = grads
    found = reference.backward(run, None if dy is None else dy[order], dh, dc)
    out = {"y": run.y[order], "h_n": run.h, "c_n": run.c}
    out |= {"dx": found.x[order], "dh0": found.h0, "dc0": found.c0}
    out |= {f"d{k}": getattr(found.weights, k) for k in PARTS[3:] if given[k] is not None}
    return out


def by_torch(given, grads):
    """The same by `torch.nn.LSTM`, in float64 (forward direction only)."""
    I, H = given["x"].shape[2], given["c0"].shape[1]
    lstm = torch.nn.LSTM(I, H, bias=given["b_ih"] is not None, dtype=torch.float64)
    tensors = {k: torch.tensor(v, dtype=torch.float64) for k, v in given.items() if v is not None}
    names = dict(zip(PARTS[3:], ("weight_ih", "weight_hh", "bias_ih", "bias_hh"), strict=True))
    for k, name in names.items():
        if k in tensors:
            getattr(lstm, f"{name}_l0").data = tensors[k]
    leaves = {k: tensors[k].requires_grad_() for k in PARTS[:3]}
    y, (h, c) = lstm(leaves["x"], (leaves["h0"][None], leaves["c0"][None]))
    torch.autograd.backward(
        (y, h, c), [torch.tensor(g, dtype=torch.float64).reshape(o.shape)
                    for g, o in zip(grads, (y, h, c), strict=True)]
    )  # fmt: skip
    out = {"y": y, "h_n": h[0], "c_n": c[0]}
    out |= {f"d{k}": v.grad for k, v in leaves.items()}
    out |= {f"d{k}": getattr(lstm, f"{n}_l0").grad for k, n in names.items() if k in tensors}
    return {k: v.detach().numpy() for k, v in out.items()}
