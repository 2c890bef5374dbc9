"""Gradients of many outputs at once, and gradients that have no memory of their own."""

import torch
from twins import assert_same, twins


def test_batched_gradients_equal_torch():
    ours, theirs = twins("LSTM", 3, 4, bidirectional=True)
    x = torch.randn(5, 2, 3)
    dys = torch.randn(6, 5, 2, 8)

    def gradients(lstm):
        leaf = x.clone().requires_grad_()
        return torch.autograd.grad(
            lstm(leaf)[0], [leaf, *lstm.parameters()], dys, is_grads_batched=True
        )

    assert_same(gradients(ours), gradients(theirs))


def test_vectorized_jacobian_equals_torch():
    ours, theirs = twins("LSTM", 2, 3)
    x = torch.randn(4, 1, 2)
    jacobians = [
        torch.autograd.functional.jacobian(lambda v, m=m: m(v)[0], x, vectorize=True)
        for m in (ours, theirs)
    ]
    assert_same(*jacobians)


def test_zeros_without_memory_are_a_gradient():
    ours, theirs = twins("LSTM", 2, 3)
    for lstm in (ours, theirs):
        y, _ = lstm(torch.randn(4, 1, 2))
        y.backward(torch._efficientzerotensor(y.shape))
    assert_same([p.grad for p in ours.parameters()], [p.grad for p in theirs.parameters()])


def test_a_pending_negation_is_a_gradient():
    ours, theirs = twins("LSTM", 2, 3)
    x, dy = torch.randn(4, 1, 2), torch.randn(4, 1, 3)
    for lstm in (ours, theirs):
        lstm(x)[0].backward(torch._neg_view(dy))
    assert_same([p.grad for p in ours.parameters()], [p.grad for p in theirs.parameters()])
