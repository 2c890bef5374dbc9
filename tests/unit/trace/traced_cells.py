"""LSTMs of many kinds, and what autograd says of their states."""

import torch

from gatewise import Activation, Cell
from gatewise.nn import LSTM
from gatewise.nn.composite import step

CELLS = {
    "default": Cell(),
    "peepholes": Cell(peephole=True),
    "coupled": Cell(coupled=True),
    "no output gate": Cell(output_gate="one"),
    "no forget gate": Cell(forget_gate="one"),
    "no squash": Cell(candidate="identity", cell_output="identity"),
    "affine": Cell(candidate=Activation("softsign", 0.8, 1.5, 0.1), peephole=True),
    "layer norm": Cell(layer_norm=True),
    "all": Cell("hard_sigmoid", candidate="softsign", peephole=True, layer_norm=True),
}


DEFAULT = Cell()


def lstm_of(cell=DEFAULT, sizes=(4, 6), dtype=torch.float64, **kw):
    torch.manual_seed(0)
    lstm = LSTM(*sizes, cell=cell, dtype=dtype, **kw)
    with torch.no_grad():
        for p in lstm.parameters():
            p.mul_(2.0).add_(0.1 * torch.randn_like(p))
    return lstm.eval()


def gradients_by_autograd(lstm, x, dy, cut=False):
    """dL/dh_t and dL/dc_t of one layer and direction, step by step through the composite.

    With `cut`, no gradient goes from a step to h of the step before.
    """
    w, (T, B, _) = lstm.layer_weights(0, 0), x.shape
    P = lstm.proj_size or lstm.hidden_size
    h, c = x.new_zeros(B, P), x.new_zeros(B, lstm.hidden_size)
    hs, cs = [], []
    for t in range(T):
        h, c = step(x[t], h.detach() if cut else h, c, w, lstm.cell)
        h.retain_grad()
        c.retain_grad()
        hs.append(h)
        cs.append(c)
    (torch.stack(hs) * dy).sum().backward()
    return tuple(torch.stack([s.grad for s in states]).numpy() for states in (hs, cs))
