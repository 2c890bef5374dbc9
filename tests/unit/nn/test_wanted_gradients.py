"""Backward computes the gradients that autograd asks for, and those have the same bits as all."""

import itertools

import pytest
import torch
from twins import KINDS

from gatewise.nn import LSTM, native


def gradients(lstm, x, hx, wanted):
    """Gradients of the wanted ones among x, h0, c0 and the parameters, by name."""
    leaves = {"x": x, "h0": hx[0], "c0": hx[1], **dict(lstm.named_parameters())}
    for name, leaf in leaves.items():
        leaf.requires_grad_(name in wanted)
    y, (h, c) = lstm(x, hx)
    loss = (y * y).sum() + (h * 0.5).sum() + c.sum()
    found = torch.autograd.grad(loss, [leaves[name] for name in wanted])
    return dict(zip(wanted, found, strict=True))


@pytest.mark.parametrize("kwargs", KINDS.values(), ids=KINDS)
def test_some_gradients_have_the_bits_of_all(kwargs):
    torch.manual_seed(0)
    lstm = LSTM(4, 7, **kwargs)
    x = torch.randn(9, 5, 4)
    k, P = lstm.num_layers * lstm.directions, lstm.proj_size or 7
    hx = (torch.randn(k, 5, P), torch.randn(k, 5, 7))
    names = ["x", "h0", "c0", *(name for name, _ in lstm.named_parameters())]
    every = gradients(lstm, x, hx, names)
    chosen = [[name] for name in names]
    chosen += [list(pair) for pair in itertools.islice(itertools.combinations(names, 2), 12)]
    chosen += [names[3:], names[:3], [n for n in names if "_l0" not in n]]
    for wanted in chosen:
        found = gradients(lstm, x, hx, wanted)
        for name in wanted:
            assert torch.equal(found[name], every[name]), (wanted, name)


class Spy:
    """Packed weights that keep what they were asked for in backward, and what they gave."""

    def __init__(self, weights, calls):
        self.weights, self.calls = weights, calls

    def backward(self, call, **given):
        self.calls.append([given["dx"][0], given["dh0"], given["dc0"], *given["gradients"]])
        self.weights.backward(call, **given)

    def backward_tensors(self, *given):
        found = self.weights.backward_tensors(*given)
        if found is not None:
            self.calls.append(found)
        return found


def asked_for(monkeypatch, gradient_of):
    """What the core is asked for, or gives: first with all parameters trained, then with none."""
    calls, forward = [], native.forward

    def spied(*args, **kwargs):
        *found, weights = forward(*args, **kwargs)
        return *found, Spy(weights, calls)

    monkeypatch.setattr(native, "forward", spied)
    lstm, x = LSTM(4, 7), torch.randn(3, 2, 4, requires_grad=True)
    for frozen in (False, True):
        lstm.requires_grad_(not frozen)
        gradient_of(lstm(x)[0]).sum().backward()
    return calls


def test_the_core_gives_no_gradient_that_is_not_wanted(monkeypatch):
    full, frozen = asked_for(monkeypatch, lambda y: y * y)
    shapes = [g if g is None else tuple(g.shape) for g in full]
    assert shapes == [(3, 2, 4), None, None, (28, 4), (28, 7), (28,), (28,)]
    assert [g is not None for g in frozen] == [True, *[False] * 6]


def test_the_core_is_given_no_room_for_a_gradient_that_is_not_wanted(monkeypatch):
    full, frozen = asked_for(monkeypatch, lambda y: y)  # the gradient of a sum is not dense
    assert [bool(address) for address in full] == [True, False, False, True, True, True]
    assert [bool(address) for address in frozen] == [True, *[False] * 5]  # both biases have one


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_result_may_depend_on_nothing_that_is_wanted(create_graph):
    lstm = LSTM(4, 6, proj_size=3).requires_grad_(False)
    lstm.weight_hr_l0.requires_grad_(True)
    y, (_, c) = lstm(torch.randn(1, 2, 4))  # c of the only step does not see the projection
    loss = y.sum() + (c * c).sum()
    (found,) = torch.autograd.grad(loss, [lstm.weight_hr_l0], create_graph=create_graph)
    assert found.abs().sum() > 0
