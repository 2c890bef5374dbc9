"""Small runs with what gatewise.trace says of them: what the page's own arithmetic is tested by.

python web/dev/make_golden.py             writes web/test/golden.json
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from gatewise import Cell, trace
from gatewise.cell import ACTIVATIONS, SITES, Activation
from gatewise.nn import LSTM

HERE = Path(__file__).parent
T: Final = 7

CASES: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    "two layers, both directions": {"num_layers": 2, "bidirectional": True},
    "projected": {"proj_size": 2},
    "peephole, coupled": {"cell": Cell(peephole=True, coupled=True)},
    "layer norm": {"num_layers": 2, "cell": Cell(layer_norm=True, peephole=True)},
    "layer norm, no forget gate, projected": {
        "proj_size": 2, "cell": Cell(layer_norm=True, forget_gate="one"),
    },
    "other activations": {
        "cell": Cell(input_gate="hard_sigmoid", candidate="softsign", cell_output="identity",
                     output_gate=Activation("tanh", scale=0.5, slope=0.5, shift=0.5)),
    },
}  # fmt: skip


def plain(values: Any) -> list[float | None]:
    """As JSON has it: null is infinite."""
    numbers = np.asarray(values).ravel()
    return [float(f"{v:.10g}") if np.isfinite(v) else None for v in numbers]


def cell_of(cell: Cell) -> dict[str, Any]:
    """A cell as the page has it."""
    out: dict[str, Any] = {k: getattr(cell, k) for k in ("coupled", "peephole", "layer_norm")}
    for site in SITES:
        a = cell.activation(site)
        out[site] = {"function": a.name, "scale": a.scale, "slope": a.slope, "shift": a.shift}
    return out


def case(how: dict[str, Any]) -> dict[str, Any]:
    """One run, in float64."""
    torch.manual_seed(4)
    lstm = LSTM(2, 3, dtype=torch.float64, **how)
    with torch.no_grad():
        for p in lstm.parameters():
            p.copy_((p + 0.5 * torch.randn_like(p)).float())
    x = np.random.default_rng(5).normal(size=(T, 1, 2)).astype(np.float32).astype(float)
    D, P = 2 if lstm.bidirectional else 1, lstm.proj_size or 3
    readout = np.random.default_rng(6).normal(size=(2, D * P)).astype(np.float32)
    dy = np.zeros((T, 1, D * P))
    dy[-2] = readout.sum(0)
    kept = trace.record(lstm, x)
    flow = trace.gradient_flow(lstm, x, dy)
    names = ["input_gate", "forget_gate", "candidate", "output_gate", "cell_state", "cell_output",
             *(f"{gate}_pre" for gate in SITES[:4] if f"{gate}_pre" in kept.data)]  # fmt: skip
    attention = trace.attention(kept)
    return {
        "network": {"layers": lstm.num_layers, "directions": D, "inputs": 2, "hidden": 3,
                    "projection": lstm.proj_size, "cell": cell_of(lstm.cell)},
        "weights": {k: plain(v.detach()) for k, v in lstm.state_dict().items()},
        "x": plain(x), "readout": plain(readout), "t": T - 2,
        "activity": {name: plain(kept.data[name].values) for name in names},
        "hidden_state": plain(kept.data["hidden_state"].values),
        "flow": {name: plain(flow[name].values) for name in
                 ("cell_state", "carousel", "carried", "read_out", "input_gate", "forget_gate",
                  "candidate", "output_gate")},
        "attention": {"weight": plain(np.nan_to_num(attention["weight"].values)),
                      "initial": plain(attention["initial"].values)},
        "half_life": plain(trace.half_life(kept).values),
    }  # fmt: skip


def activations() -> dict[str, Any]:
    """Values and slopes of every activation, and of one that is moved."""
    x = np.array([-4.0, -2.5, -0.7, 0.3, 1.9, 3.5])
    cases = [*ACTIVATIONS.values(), Activation("tanh", scale=2, slope=0.5, shift=-1)]
    return {
        "x": plain(x),
        "cases": [
            {"function": a.name, "scale": a.scale, "slope": a.slope, "shift": a.shift,
             "y": plain(a.function(x)), "dy": plain(a.derivative(x, a.function(x)))}
            for a in cases
        ],
    }  # fmt: skip


def adam() -> dict[str, Any]:
    """Three steps of torch.optim.Adam with clipped gradients."""
    p = torch.nn.Parameter(torch.tensor([0.5, -1.0, 2.0]))
    optimizer = torch.optim.Adam([p], 0.1)
    gradients = [[0.1, -2.0, 0.3], [3.0, 4.0, 0.0], [-0.01, 0.02, 0.5]]
    found = []
    for g in gradients:
        p.grad = torch.tensor(g)
        torch.nn.utils.clip_grad_norm_([p], 1.0)
        optimizer.step()
        found.append(plain(p.detach()))
    return {"begin": [0.5, -1.0, 2.0], "rate": 0.1, "gradients": gradients, "found": found}


def main() -> None:
    """Write it."""
    golden = {
        "T": T, "cases": {name: case(how) for name, how in CASES.items()},
        "activations": activations(), "adam": adam(),
    }  # fmt: skip
    path = HERE.parent / "test" / "golden.json"
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    main()
