"""Inputs whose rows are strided, transposed, or share memory: results and gradients as torch's."""

import pytest
import torch
from twins import assert_same, gradients, twins

VIEWS = {
    "one step for all": lambda: (torch.randn(1, 2, 3), lambda t: t.expand(5, 2, 3)),
    "one row for all": lambda: (torch.randn(5, 1, 3), lambda t: t.expand(5, 2, 3)),
    "one number for all": lambda: (torch.randn(1, 1, 1), lambda t: t.expand(5, 2, 3)),
    "features first": lambda: (torch.randn(3, 5, 2), lambda t: t.permute(1, 2, 0)),
    "overlapping windows": lambda: (torch.randn(9, 2), lambda t: t.unfold(0, 3, 1)[:5]),
    "every other step": lambda: (torch.randn(10, 2, 3), lambda t: t[::2]),
    "sliding windows, batched": lambda: (torch.randn(7), lambda t: t.unfold(0, 3, 1)[None]),
    "sliding windows of one row": lambda: (torch.randn(7), lambda t: t.unfold(0, 3, 1)[:, None]),
    "pending negation": lambda: (torch.randn(5, 2, 3), torch._neg_view),
    "part of a row": lambda: (torch.randn(5, 2, 8), lambda t: t[..., 2:5]),
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_strided_inputs_equal_torch(view, bidirectional):
    torch.manual_seed(0)
    given, make = VIEWS[view]()
    ours, theirs = twins("LSTM", 3, 4, bidirectional=bidirectional)
    leaves = [given.clone().requires_grad_() for _ in range(2)]
    outputs = [lstm(make(leaf))[0] for lstm, leaf in zip((ours, theirs), leaves, strict=True)]
    dy = torch.randn(1, 1, outputs[0].shape[2]).expand_as(outputs[0])  # strided, too
    for y in outputs:
        y.backward(dy)
    assert_same(outputs[0], outputs[1])
    assert_same(leaves[0].grad, leaves[1].grad)
    assert_same(gradients(ours), gradients(theirs))
