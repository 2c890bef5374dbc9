"""NaN and infinities travel as in PyTorch, whatever the tail of the last vector holds."""

import pytest
import torch

from gatewise.nn import LSTM


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
