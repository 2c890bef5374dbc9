"""`gatewise.nn.LSTMCell` against `torch.nn.LSTMCell`."""

import pytest
import torch
from twins import assert_same_outcome, gradients, twins

from gatewise import Cell
from gatewise.nn import LSTM, LSTMCell

X = torch.linspace(-1, 1, 12).reshape(3, 4)
H = torch.linspace(-1, 1, 18).reshape(3, 6)
CALLS = {
    "zero state": lambda m: m(X),
    "state": lambda m: m(X, (H, H.flip(0))),
    "unbatched": lambda m: m(X[0], (H[0], H[1])),
    "unbatched zero state": lambda m: m(X[0]),
    "empty": lambda m: m(X[:0]),
    "1 axis too many": lambda m: m(X[None, None]),
    "sequence": lambda m: m(X[None]),
    "input_size": lambda m: m(X[:, :3]),
    "state batch": lambda m: m(X, (H[:2], H[:2])),
    "state size": lambda m: m(X, (H[:, :5], H)),
    "float64": lambda m: m(X.double()),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("bias", [False, True])
def test_results_and_errors_equal_torchs(call, bias):
    assert_same_outcome(call, twins("LSTMCell", bias=bias))


def test_gradients_equal_torchs():
    def do(m):
        h, c = m(X, (H, H))
        h, c = m(X, (h, c))
        (h.sum() + c.square().sum()).backward()
        return gradients(m)

    assert not isinstance(assert_same_outcome(do, twins("LSTMCell")), Exception)


@pytest.mark.parametrize("cell", [Cell(), Cell(peephole=True, coupled=True), Cell(layer_norm=True)])
def test_steps_equal_an_lstm_with_the_same_weights(cell):
    lstm = LSTM(4, 6, cell=cell, dtype=torch.float64)
    module = LSTMCell(4, 6, cell=cell, dtype=torch.float64)
    module.load_state_dict({k.removesuffix("_l0"): v for k, v in lstm.state_dict().items()})
    x = torch.randn(7, 3, 4, dtype=torch.float64)
    y, (h_n, c_n) = lstm(x)
    state = None
    for t in range(7):
        state = module(x[t], state)
        torch.testing.assert_close(state[0], y[t], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(torch.stack(state), torch.cat([h_n, c_n]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["input_size", "state batch", "state size"])
def test_a_variant_refuses_what_the_default_refuses(name):
    with pytest.raises((RuntimeError, ValueError)) as expected:
        CALLS[name](torch.nn.LSTMCell(4, 6))
    with pytest.raises(type(expected.value)):
        CALLS[name](LSTMCell(4, 6, cell=Cell(peephole=True)))
