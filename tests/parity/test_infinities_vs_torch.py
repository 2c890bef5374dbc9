"""NaN and infinities travel as in PyTorch, whatever the tail of the last vector holds."""

import pytest
import torch
from cells import MIXED, SWITCHED

from gatewise import Cell
from gatewise.cell import ACTIVATIONS
from gatewise.nn import LSTM, paths


def run(lstm, x, h0):
    x, h0 = x.clone().requires_grad_(), h0.clone().requires_grad_()
    y, _ = lstm(x, (h0, torch.zeros_like(h0)))
    y.sum().backward()
    return [y, x.grad, h0.grad, *(p.grad for p in lstm.parameters())]


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("place", ["x", "h0"])
@pytest.mark.parametrize("H", [5, 16, 17])
@pytest.mark.parametrize("B", [1, 8])
def test_non_finite_inputs_spread_as_in_torch(isa, value, place, H, B):
    torch.manual_seed(0)
    ours = LSTM(3, H, dtype=torch.float64)
    theirs = torch.nn.LSTM(3, H, dtype=torch.float64)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(4, B, 3, dtype=torch.float64)
    h0 = torch.randn(1, B, H, dtype=torch.float64)
    (x if place == "x" else h0)[0, 0, 1] = value
    for got, expected in zip(run(ours, x, h0), run(theirs, x, h0), strict=True):
        torch.testing.assert_close(got, expected, equal_nan=True)


VARIANTS = [
    *(Cell(input_gate=name, candidate=name, cell_output=name) for name in ACTIVATIONS),
    *SWITCHED,
    *MIXED,
]


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("number", range(len(VARIANTS)))
def test_in_a_variant_they_stay_in_their_row_and_spread_as_on_the_composite_path(
    isa, monkeypatch, number, value
):
    torch.manual_seed(0)
    kw = {"proj_size": 3, "zoneout": 0.2, "recurrent_dropout": 0.3} if number % 2 else {}
    lstm = LSTM(3, 5, cell=VARIANTS[number], dtype=torch.float64, **kw)
    clean = [torch.randn(s, dtype=torch.float64)
             for s in ((4, 6, 3), (1, 6, lstm.proj_size or 5), (1, 6, 5))]  # fmt: skip
    lengths = [4, 2, 3, 1, 4, 2]

    def call(*inputs):
        torch.manual_seed(1)  # of the masks
        x, h0, c0 = leaves = [t.clone().requires_grad_() for t in inputs]
        y, state = lstm(x, (h0, c0), lengths)
        outputs = [y, *state]
        sum(t.square().sum() for t in outputs).backward()
        return [t.detach() for t in outputs], [t.grad for t in leaves]

    outputs, gradients = call(*clean)
    for place in range(3):
        dirty = [t.clone() for t in clean]
        dirty[place][0, 0, 1] = value
        found, back = call(*dirty)
        for got, expected in zip(found + back, outputs + gradients, strict=True):
            assert torch.equal(got[:, 1:], expected[:, 1:])
        with monkeypatch.context() as patch:
            patch.setattr(paths, "choose", lambda *a: "composite")
            composite, _ = call(*dirty)
        for got, expected in zip(found, composite, strict=True):
            torch.testing.assert_close(got, expected, equal_nan=True)
