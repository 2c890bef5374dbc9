"""The cells that the tests go through, and one LSTM layer in plain PyTorch, written again."""

import numpy as np
import torch
from torch.nn import functional

from gatewise import Cell, reference
from gatewise.cell import ACTIVATIONS, SITES, Activation

SINGLE = [Cell(**{site: name}) for site in SITES for name in ACTIVATIONS]
SWITCHED = [
    Cell(peephole=p, coupled=k, layer_norm=n)
    for p in (False, True)
    for k in (False, True)
    for n in (False, True)
]
MIXED = [
    Cell("hard_sigmoid", "sigmoid", "softsign", "one", "relu", peephole=True, layer_norm=True),
    Cell("softsign", "hard_tanh", "identity", "tanh", "identity", coupled=True, peephole=True),
]
SHAPED = [
    *(
        Cell(**{site: Activation(name, scale, slope, shift)})
        for site, (name, scale, slope, shift) in zip(
            SITES,
            [("tanh", 0.5, 0.5, 0.5), ("softsign", 0.4, 1.5, 0.5), ("sigmoid", 2.0, 2.0, -1.0),
             ("hard_tanh", 0.5, 0.7, 0.5), ("relu", -0.5, -1.5, 0.25)],
            strict=True,
        )
    ),
    Cell(
        Activation("tanh", 0.5, 0.5, 0.5),
        Activation("hard_sigmoid", 1.0, 1.5),
        Activation("identity", 0.5, 0.5, 0.1),
        Activation("one", 0.7, 1.0, 0.2),
        Activation("tanh", 1.3, 0.8, 0.1),
        peephole=True,
        layer_norm=True,
    ),
    Cell(Activation("sigmoid", 0.9, 1.5, 0.05), coupled=True, peephole=True),
]  # fmt: skip
CELLS = list(dict.fromkeys([*SINGLE, *SWITCHED, *MIXED, *SHAPED]))

_PLAIN = {
    "sigmoid": lambda x: 1 / (1 + torch.exp(-x)),
    "tanh": lambda x: 2 / (1 + torch.exp(-2 * x)) - 1,
    "hard_sigmoid": lambda x: (x / 6 + 0.5).clamp(0, 1),
    "hard_tanh": functional.hardtanh,
    "relu": functional.relu,
    "softsign": lambda x: x / (1 + x.abs()),
    "identity": lambda x: x,
    "one": torch.ones_like,
}


def plain(site):
    """A site's function, in plain PyTorch."""
    if not isinstance(site, Activation):
        return _PLAIN[site]
    return lambda x: site.scale * _PLAIN[site.name](site.slope * x) + site.shift


def parameters(I, H, cell, *, proj=0, seed=0):
    """Keyword arguments of `reference.weights`, for a cell."""
    rng = np.random.default_rng(seed)
    P = proj or H
    shapes = {"w_ih": (4 * H, I), "w_hh": (4 * H, P), "b_ih": (4 * H,), "b_hh": (4 * H,)}
    if proj:
        shapes["w_hr"] = (P, H)
    if cell.peephole:
        shapes["peephole"] = (3, H)
    if cell.layer_norm:
        shapes |= {"norm_ih": (2, 4 * H), "norm_hh": (2, 4 * H), "norm_c": (2, H)}
    return {k: rng.standard_normal(s) * 0.5 + k.startswith("norm") for k, s in shapes.items()}


def plain_layer(x, h, c, w, cell):
    """One layer, gate by gate; nothing here comes from gatewise but the names."""
    H = c.shape[1]
    gate = {name: slice(k * H, (k + 1) * H) for k, name in enumerate("ifgo")}
    peephole = w.get("peephole", torch.zeros(3, H, dtype=x.dtype))

    there = {n: cell.activation(s).name != "one" for n, s in zip("ifgo", SITES[:4], strict=True)}
    there["f"] &= not cell.coupled
    used = [row for n in "ifgo" if there[n] for row in range(4 * H)[gate[n]]]

    def norm(v, which, seen=slice(None)):
        if which not in w:
            return v
        mean = v[:, seen].mean(1, keepdim=True)
        variance = v[:, seen].var(1, keepdim=True, correction=0)
        return (v - mean) / (variance + 1e-5).sqrt() * w[which][0] + w[which][1]

    ys = []
    for x_t in x:
        z = norm(x_t @ w["w_ih"].T, "norm_ih", used) + norm(h @ w["w_hh"].T, "norm_hh", used)
        z = z + w["b_ih"] + w["b_hh"]
        i = plain(cell.input_gate)(z[:, gate["i"]] + c * peephole[0])
        f = plain(cell.forget_gate)(z[:, gate["f"]] + c * peephole[1])
        if cell.coupled:
            f = 1 - i
        c = f * c + i * plain(cell.candidate)(z[:, gate["g"]])
        o = plain(cell.output_gate)(z[:, gate["o"]] + c * peephole[2])
        h = o * plain(cell.cell_output)(norm(c, "norm_c"))
        h = h @ w["w_hr"].T if "w_hr" in w else h
        ys.append(h)
    return torch.stack(ys), h, c


def reference_layers(lstm, x, h0, c0):
    """All layers and directions of a module by the reference; x is [T, B, I]."""
    D = 2 if lstm.bidirectional else 1
    h_n, c_n = [], []
    for layer in range(lstm.num_layers):
        ys = []
        for d in range(D):
            own = {k: v for k, v in vars(lstm.layer_weights(layer, d)).items() if v is not None}
            own = {k: v.detach().double().numpy() for k, v in own.items()}
            order = slice(None, None, -1 if d else 1)
            k = layer * D + d
            run = reference.forward(x[order], reference.weights(**own), h0[k], c0[k], lstm.cell)
            ys.append(run.y[order])
            h_n.append(run.h)
            c_n.append(run.c)
        x = np.concatenate(ys, axis=2)
    return x, np.stack(h_n), np.stack(c_n)
