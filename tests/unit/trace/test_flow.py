"""Gradient flow: the states' gradients are autograd's, and the parts add up to them."""

import numpy as np
import pytest
import torch
from traced_cells import CELLS, gradients_by_autograd, lstm_of

from gatewise import reference
from gatewise.errors import ConfigError, ShapeError
from gatewise.trace import forget_path, gradient_flow, record
from gatewise.trace.flow import PARTS

X = torch.randn(9, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def close(a, b):
    scale = max(1e-30, np.abs(b).max())
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * scale)


@pytest.mark.parametrize("proj", [0, 3])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_gradients_are_autograd_s_and_the_parts_add_up(cell, proj):
    lstm = lstm_of(cell, proj_size=proj)
    dy = torch.randn(9, 3, proj or 6, dtype=torch.float64)
    flow = gradient_flow(lstm, X, dy).isel(layer=0, direction=0)
    dh, dc = gradients_by_autograd(lstm, X, dy)
    close(flow["cell_state"].values, dc)
    close(flow["hidden_state"].values, dh)
    close(sum(flow[part].values for part in PARTS), dc)


@pytest.mark.parametrize("name", [n for n, cell in CELLS.items() if not cell.peephole])
def test_the_carousel_is_the_gradient_with_h_cut(name):
    lstm = lstm_of(CELLS[name])
    dy = torch.randn(9, 3, 6, dtype=torch.float64)
    flow = gradient_flow(lstm, X, dy).isel(layer=0, direction=0)
    close(flow["carousel"].values, gradients_by_autograd(lstm, X, dy, cut=True)[1])


DEEP = [
    {"num_layers": 3},
    {"bidirectional": True},
    {"num_layers": 2, "bidirectional": True, "proj_size": 3},
]


@pytest.mark.parametrize("kw", DEEP, ids=repr)
def test_layers_and_directions_hand_the_gradient_on(kw):
    """The gradient of the initial states tells whether it has come through rightly."""
    lstm = lstm_of(**kw)
    k, P = lstm.num_layers * lstm.directions, lstm.proj_size or 6
    h0 = torch.randn(k, 3, P, dtype=torch.float64, requires_grad=True)
    c0 = torch.randn(k, 3, 6, dtype=torch.float64, requires_grad=True)
    y, _ = lstm(X, (h0, c0))
    dy = torch.randn_like(y)
    (y * dy).sum().backward()
    state = h0.detach(), c0.detach()
    flow = gradient_flow(lstm, X, dy, state)
    forget = record(lstm, X, state).data["forget_gate"]
    # With no peepholes dL/dc_0 is what is carried by the first step's forget gate.
    for layer in range(lstm.num_layers):
        for d in range(lstm.directions):
            t = -1 if d else 0
            carried = forget[layer, d, t] * flow["cell_state"][layer, d, t]
            close(carried.values, c0.grad[layer * lstm.directions + d].numpy())


def test_carried_alone_is_the_product_of_the_forget_gates():
    lstm = lstm_of()
    with torch.no_grad():
        lstm.weight_hh_l0.zero_()  # nothing recurs but the carousel
    dy = np.zeros((9, 3, 6))
    dy[-1] = 1.0
    flow = gradient_flow(lstm, X, dy).isel(layer=0, direction=0)
    forget = record(lstm, X).data["forget_gate"][0, 0].values
    last = flow["cell_state"][-1].values
    for t in range(8):
        close(flow["cell_state"][t].values, np.prod(forget[t + 1 :], axis=0) * last)
        assert not flow["read_out"][t].values.any()
    path = forget_path(record(lstm, X), start=2).isel(layer=0, direction=0).values
    close(flow["cell_state"][2].values, path[-1] * last)


def test_a_plain_rnn_loses_what_the_carousel_keeps():
    rng, T, H = np.random.default_rng(0), 60, 16
    w_hh = np.linalg.qr(rng.standard_normal((H, H)))[0]  # the best that can be done
    run = reference.rnn_forward(rng.standard_normal((T, 1, 4)), rng.standard_normal((H, 4)), w_hh)
    dy = np.zeros((T, 1, H))
    dy[-1] = 1.0
    dh = reference.rnn_backward(run, dy)
    assert np.linalg.norm(dh[0]) < 1e-6 * np.linalg.norm(dh[-1])
    lstm = lstm_of(sizes=(4, H))
    with torch.no_grad():
        lstm.bias_ih_l0[H : 2 * H] = 6.0  # f near 1
        lstm.weight_hh_l0.mul_(0.1)
    x = torch.from_numpy(rng.standard_normal((T, 1, 4)))
    carried = gradient_flow(lstm, x, dy)["cell_state"][0, 0, :, 0].values
    assert np.linalg.norm(carried[0]) > 0.3 * np.linalg.norm(carried[-1])


def test_the_plain_rnn_is_torchs():
    torch.manual_seed(0)
    rnn = torch.nn.RNN(4, 5, dtype=torch.float64)
    x = torch.randn(7, 2, 4, dtype=torch.float64)
    y, _ = rnn(x)
    b = (rnn.bias_ih_l0 + rnn.bias_hh_l0).detach()
    w_ih, w_hh, b = (p.numpy() for p in (rnn.weight_ih_l0.detach(), rnn.weight_hh_l0.detach(), b))
    run = reference.rnn_forward(x.numpy(), w_ih, w_hh, b)
    close(run.y, y.detach().numpy())
    h0 = torch.zeros(1, 2, 5, dtype=torch.float64, requires_grad=True)
    y, _ = rnn(x, h0)
    dy = torch.randn_like(y)
    (y * dy).sum().backward()
    dh = reference.rnn_backward(run, dy.numpy())
    back = (dh[0] * (1 - run.y[0] ** 2)) @ run.w_hh
    close(back, h0.grad[0].numpy())


def test_what_it_cannot_take_is_refused():
    dy = np.zeros((9, 3, 6))
    with pytest.raises(ConfigError, match="zoneout"):
        gradient_flow(lstm_of(zoneout=0.1), X, dy)
    with pytest.raises(ShapeError, match="dy has shape"):
        gradient_flow(lstm_of(), X, dy[1:])
