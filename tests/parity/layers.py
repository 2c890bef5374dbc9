"""One layer computed three ways (native, reference, PyTorch), and how near they must be."""

import numpy as np
import torch

from gatewise import _native, reference

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


def native(given, grads, reverse=False, threads=1, want_dx=True):
    """Outputs and gradients of the native core, by name."""
    x, h0, c0, w_ih, w_hh, b_ih, b_hh = (given[k] for k in PARTS)
    (T, B, I), H, dtype = x.shape, c0.shape[1], x.dtype
    out = {"y": np.full((T, B, H), np.nan, dtype)}
    out |= {k: np.full((B, H), np.nan, dtype) for k in ("h_n", "c_n", "dh0", "dc0")}
    tape = np.empty(_native.tape_size(T, B, I, H, dtype == np.float64), dtype)
    _native.forward(
        x, h0, c0, w_ih, w_hh, b_ih, b_hh, out["y"], out["h_n"], out["c_n"], tape, reverse, threads
    )
    out["dx"] = np.full((T, B, I), np.nan, dtype) if want_dx else None
    out["dw_ih"], out["dw_hh"] = np.full_like(w_ih, np.nan), np.full_like(w_hh, np.nan)
    db = np.full(4 * H, np.nan, dtype)
    _native.backward(
        x, h0, w_ih, w_hh, out["y"], tape, *grads, out["dx"], out["dh0"], out["dc0"],
        out["dw_ih"], out["dw_hh"], db, reverse, threads,
    )  # fmt: skip
    if b_ih is not None:
        out["db_ih"] = out["db_hh"] = db
    return {k: v for k, v in out.items() if v is not None}


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
