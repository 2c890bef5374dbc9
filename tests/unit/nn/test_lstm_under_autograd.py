"""Training habits on `gatewise.nn.LSTM`, each against `torch.nn.LSTM`."""

import pytest
import torch
from torch.nn.utils import clip_grad_norm_, parametrize
from torch.nn.utils.parametrizations import weight_norm
from twins import assert_same, assert_same_outcome, gradients, twins

from gatewise.nn import LSTM


def data(*shape):
    return torch.randn(*(shape or (5, 3, 4)), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("frozen", ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "all", "none"])
@pytest.mark.parametrize("input_grad", [False, True])
def test_frozen_parameters(frozen, input_grad):
    def do(m):
        for name, p in m.named_parameters():
            p.requires_grad_(frozen not in {"all", name})
        x = data().requires_grad_(input_grad)
        y, _ = m(x)
        assert y.requires_grad == (frozen != "all" or input_grad)
        if y.requires_grad:
            y.sin().sum().backward()
        return y, {**gradients(m)}, [] if x.grad is None else x.grad

    assert_same_outcome(do, twins())


def test_training_steps_see_the_weights_of_the_step_before():
    def do(m):
        optimizer = torch.optim.Adam(m.parameters(), lr=0.05)
        losses = []
        for _ in range(5):
            optimizer.zero_grad()
            loss = m(data())[0].square().sum()
            loss.backward()
            clip_grad_norm_(m.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.detach())
        assert losses[-1] < losses[0]
        return losses

    ours, theirs = twins(num_layers=2, dtype=torch.float32)
    assert_same(do(ours), do(theirs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.weight_hh_l0.data.mul_(2),
        lambda m: setattr(m.weight_hh_l0, "data", m.weight_hh_l0.data * 2),
        lambda m: setattr(m, "weight_hh_l0", torch.nn.Parameter(m.weight_hh_l0.detach() * 2)),
        lambda m: m.load_state_dict({k: v * 2 for k, v in m.state_dict().items()}),
        lambda m: m.double().float(),
        lambda m: m.reset_parameters(),
    ],
    ids=["data in place", "data", "parameter", "load", "to", "reset"],
)
def test_a_change_of_weights_between_calls_is_seen(change):
    def do(m):
        before = m(data())[0]
        torch.manual_seed(3)
        change(m)
        return before, m(data())

    assert_same_outcome(do, twins())


MISUSES = {
    "weights changed before backward": lambda m, y, x: m.weight_hh_l0.detach().mul_(2),
    "input changed before backward": lambda m, y, x: x.detach().mul_(2),
    "second backward": lambda m, y, x: y.sum().backward(),
}


@pytest.mark.parametrize("misuse", MISUSES.values(), ids=MISUSES)
def test_a_misuse_of_the_graph_raises_as_in_torch(misuse):
    for m in twins():
        x = data() + 0
        y, _ = m(x)
        with pytest.raises(RuntimeError, match=r"modified by an inplace operation|second time"):  # noqa: PT012
            misuse(m, y, x)
            y.sum().backward()


def test_backward_twice_over_a_kept_graph_adds_up():
    def do(m):
        x = data().requires_grad_()
        y, (h, c) = m(x)
        loss = y.sum() + (h * c).sum()
        loss.backward(retain_graph=True)
        once = [g.clone() for g in gradients(m).values()]
        loss.backward()
        return once, gradients(m), x.grad

    assert_same_outcome(do, twins(num_layers=2, bidirectional=True))


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_gradient_penalty_equals_torchs(num_layers, bidirectional):
    def do(m):
        x = data().double().requires_grad_()
        y, (h, _) = m(x)
        (slope,) = torch.autograd.grad(y.tanh().sum() + h.sum(), x, create_graph=True)
        slope.square().sum().backward()
        return slope, gradients(m), x.grad

    modules = twins(num_layers=num_layers, bidirectional=bidirectional, dtype=torch.float64)
    result = assert_same_outcome(do, modules)
    assert not isinstance(result, Exception)


def test_a_gradient_penalty_through_what_comes_before_equals_torchs():
    def do(m):
        torch.manual_seed(0)
        embed = torch.nn.Linear(2, 4, dtype=torch.float64)
        x = data(5, 3, 2).double().requires_grad_()
        y, _ = m(embed(x))
        (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        slope.square().sum().backward()
        return gradients(m), gradients(embed)

    assert not isinstance(assert_same_outcome(do, twins(dtype=torch.float64)), Exception)


def test_hooks_are_called():
    def do(m):
        seen = []
        m.register_forward_pre_hook(lambda mod, args: (args[0] * 2, *args[1:]))
        m.register_forward_hook(lambda mod, args, out: (out[0] + 1, out[1]))
        m.weight_hh_l0.register_hook(lambda g: g * 3)
        m.bias_ih_l0.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.clone()))
        y, _ = m(data())
        y.square().sum().backward()
        return y, gradients(m), seen

    assert_same_outcome(do, twins())


def test_weight_norm_and_other_parametrizations_compute_as_torch():
    class Symmetric(torch.nn.Module):
        def forward(self, w):
            return w.tanh()

    def do(m):
        weight_norm(m, "weight_hh_l0")
        parametrize.register_parametrization(m, "weight_ih_l0", Symmetric())
        y, _ = m(data())
        y.sin().sum().backward()
        return y, gradients(m)

    assert not isinstance(assert_same_outcome(do, twins()), Exception)


def test_gradients_flow_through_a_sum_of_two_calls():
    def do(m):
        x = data().requires_grad_()
        first, state = m(x)
        second, _ = m(first[..., :4], state)
        (first.sum() + second.sin().sum()).backward()
        return gradients(m), x.grad

    assert_same_outcome(do, twins())


def test_a_backward_stays_in_the_instruction_set_of_its_forward():
    from gatewise import _native, native_info

    def do(m, between):
        y, _ = m(data())
        _native.select_isa(between)
        y.sin().sum().backward()
        return gradients(m)

    before, m = _native.isa_name(), LSTM(4, 6)
    expected = do(m, before)
    try:
        for other in native_info()["available"]:
            m.zero_grad()
            assert_same(do(m, other), expected, rtol=0, atol=0)
            _native.select_isa(before)
    finally:
        _native.select_isa(before)
