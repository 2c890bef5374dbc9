"""`precision="bfloat16"` against the same roundings in PyTorch, and how far it is from float32."""

import numpy as np
import pytest
import torch
from layers import draw, native

from gatewise import _native, native_info, runtime
from gatewise.errors import ConfigError
from gatewise.nn import LSTM
from gatewise.weights import save_lstm

ERROR = 0.02
"""Largest difference of outputs from float32's that is allowed for; they lie in -1 .. 1."""


class Round(torch.autograd.Function):
    """To bfloat16 and back; the identity for gradients."""

    @staticmethod
    def forward(ctx, x):
        return x.bfloat16().float()

    @staticmethod
    def backward(ctx, grad):
        return grad


def rounded_run(lstm, x):
    """One layer step by step, with weights, inputs and hidden states rounded where they meet."""
    w_ih, w_hh = Round.apply(lstm.weight_ih_l0), Round.apply(lstm.weight_hh_l0)
    h = c = x.new_zeros(x.shape[1], lstm.hidden_size)
    rows = []
    for step in Round.apply(x):
        gates = step @ w_ih.T + h @ w_hh.T + lstm.bias_ih_l0 + lstm.bias_hh_l0
        i, f, g, o = gates.chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = Round.apply(o.sigmoid() * c.tanh())
        rows.append(h)
    return torch.stack(rows)


def assert_nearly_all_near(got, expected):
    """A sum in another order rounds h to the neighbour now and then."""
    scale = expected.abs().max()
    difference = (got - expected).abs() / scale
    assert difference.median() < 1e-4
    assert difference.max() < 2e-2


@pytest.mark.parametrize("sizes", [(1, 1), (7, 17), (8, 33), (3, 64), (65, 130)])
@pytest.mark.parametrize("batch", [1, 2, 7, 13])
def test_outputs_and_gradients_are_those_of_the_rounded_network(isa, sizes, batch):
    torch.manual_seed(0)
    lstm = LSTM(*sizes, precision="bfloat16")
    x = torch.randn(6, batch, sizes[0])
    runs = []
    for run in (lambda x: lstm(x)[0], lambda x: rounded_run(lstm, x)):
        lstm.zero_grad()
        leaf = x.clone().requires_grad_()
        y = run(leaf)
        y.sin().sum().backward()
        runs.append([y.detach(), leaf.grad, *(p.grad.clone() for p in lstm.parameters())])
    for got, expected in zip(*runs, strict=True):
        assert_nearly_all_near(got, expected)
    assert torch.equal(runs[0][0], runs[0][0].bfloat16().float())


@pytest.mark.parametrize("kw", [{}, {"num_layers": 2, "bidirectional": True, "batch_first": True}])
def test_the_error_against_float32_is_the_stated_one(isa, kw):
    torch.manual_seed(0)
    full, half = LSTM(32, 256, **kw), LSTM(32, 256, precision="bfloat16", **kw)
    half.load_state_dict(full.state_dict())
    x = torch.randn(100, 20, 32)
    error = (full(x)[0] - half(x)[0]).abs().max()
    assert 1e-4 < error < ERROR


@pytest.mark.parametrize("batch", [1, 3])
def test_a_loaded_model_runs_and_streams_with_the_same_roundings(isa, tmp_path, batch):
    torch.manual_seed(0)
    lstm = LSTM(9, 40, num_layers=2, precision="bfloat16")
    save_lstm(lstm, tmp_path / "m")
    model = runtime.load(tmp_path / "m", precision="bfloat16")
    x = torch.randn(12, batch, 9)
    y = model.run(x.numpy())[0]
    np.testing.assert_array_equal(y, lstm(x)[0].detach().numpy())
    stream = model.stream(batch)
    np.testing.assert_array_equal(np.stack([stream.step(row) for row in x.numpy()]), y)


def test_a_small_task_trains_to_the_same_loss(isa):
    """Echo the input of five steps ago: the mean over seeds differs by less than their spread."""

    def final_loss(precision, seed):
        torch.manual_seed(seed)
        lstm, head = LSTM(1, 16, precision=precision), torch.nn.Linear(16, 1)
        optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()], lr=0.02)
        for _ in range(150):
            x = torch.randn(20, 32, 1)
            loss = (head(lstm(x)[0])[5:] - x[:-5]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    full, half = (np.array([final_loss(p, s) for s in range(5)]) for p in ("full", "bfloat16"))
    assert half.max() < 0.9  # of a variance of 1: it does learn
    assert abs(full.mean() - half.mean()) < full.std() + half.std()


def test_float64_and_other_words():
    torch.manual_seed(0)
    lstm = LSTM(3, 4, dtype=torch.float64, precision="bfloat16")
    plain = torch.nn.LSTM(3, 4, dtype=torch.float64)
    plain.load_state_dict(lstm.state_dict())
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(lstm(x)[0], plain(x)[0])
    with pytest.raises(ConfigError, match="precision is 'half': expected one of full, bfloat16"):
        LSTM(3, 4, precision="half")


@pytest.fixture
def on():
    """Calls a function with an instruction set chosen; the one before is put back at the end."""
    if "avx512bf16" not in native_info()["available"]:
        pytest.skip("needs a processor with AVX512-BF16")
    before = _native.isa_name()

    def call(name, function):
        _native.select_isa(name)
        return function()

    yield call
    _native.select_isa(before)


@pytest.mark.parametrize("scale", [1.0, 1e-37], ids=["normal", "partly subnormal"])
@pytest.mark.parametrize("sizes", [(1, 1), (7, 17), (8, 33), (34, 64), (65, 131)])
@pytest.mark.parametrize("batch", [1, 2, 7, 13])
def test_dot_products_have_the_bits_of_the_emulation(on, sizes, batch, scale):
    inputs, grads = draw(6, batch, *sizes, dtype=np.float32)
    inputs |= {k: np.float32(scale) * inputs[k] for k in ("x", "h0", "b_ih", "b_hh")}
    dot, emulated = (
        on(name, lambda: native(inputs, grads, bfloat16=True)) for name in ("avx512bf16", "avx512")
    )
    for name, expected in emulated.items():
        assert dot[name].tobytes() == expected.tobytes(), name


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("batch", [1, 3, 13])
def test_odd_rows_do_not_read_what_lies_behind_them(isa, batch, value):
    """It would meet a zero weight, which keeps neither a NaN nor an infinity out of a sum."""
    torch.manual_seed(0)
    lstm = LSTM(7, 17, precision="bfloat16")
    x = torch.randn(6, batch, 7)
    clean = lstm(x)[0]
    x[3:, batch // 2] = value
    y = lstm(x)[0]
    others = torch.arange(batch) != batch // 2
    assert torch.equal(y[:3], clean[:3])
    assert torch.equal(y[:, others], clean[:, others])
    assert not torch.equal(y[3:, ~others], clean[3:, ~others])


@pytest.mark.parametrize("where", ["x", "weight_ih_l0", "weight_hh_l0"])
def test_a_nan_stays_one_whatever_its_bits(isa, where):
    """Cut to its upper half, the one with the last bit set would be an infinity."""
    lstm = LSTM(3, 5, precision="bfloat16")
    x = torch.randn(4, 2, 3)
    given = {"x": x, **lstm.state_dict()}[where]
    given.view(torch.int32)[1] = 0x7F800001
    assert lstm(x)[0][2:].isnan().any()
