"""Ways to change an LSTM's weights, and whether the core computes with those of now.

A module is compared bit by bit with a new one of the same weights, which has packed nothing yet,
and that one with `torch.nn.LSTM`.
"""

from collections import OrderedDict

import torch
from torch.nn.utils import parametrizations, parametrize, prune, vector_to_parameters
from twins import assert_same

from gatewise.nn import LSTM

I, H = 5, 9
SIZES = {"num_layers": 2, "bidirectional": True}


def made(seed=0, **kw):
    torch.manual_seed(seed)
    return LSTM(I, H, **(kw or SIZES))


def data(dtype=torch.float32):
    return torch.randn(4, 3, I, generator=torch.Generator().manual_seed(1)).to(dtype)


def weights_of(m):
    return OrderedDict((name, getattr(m, name).detach().clone()) for name in m._flat_weights_names)


def new(m, weights=None, cls=LSTM):
    """A module of the same weights that has run nothing yet."""
    kw = {"num_layers": m.num_layers, "bidirectional": m.bidirectional}
    found = cls(m.input_size, m.hidden_size, dtype=m.weight_ih_l0.dtype, **kw)
    found.load_state_dict(weights or weights_of(m))
    return found


def flat(result):
    return torch.cat([t.detach().flatten() for t in (result[0], *result[1])])


def assert_current(m, weights=None, call=None):
    """The module computes with its weights of now, forward and backward; returns the outputs."""
    fresh, x = new(m, weights), data(m.weight_ih_l0.dtype)
    call = call or m
    with torch.no_grad():
        got, expected = flat(call(x)), flat(fresh(x))
        assert torch.equal(got, expected)
        assert_same(expected, flat(new(m, weights, torch.nn.LSTM)(x)), rtol=1e-4, atol=1e-5)
    ours, theirs = (x.clone().requires_grad_() for _ in range(2))
    for module, leaf in ((call, ours), (fresh, theirs)):
        y, (h, c) = module(leaf)
        (y.sin().sum() + h.sum() + c.square().sum()).backward()
    assert torch.equal(ours.grad, theirs.grad)
    return got


def step(optimizer, **options):
    def change(m):
        m.zero_grad()
        m(data())[0].square().sum().backward()
        optimizer(m.parameters(), lr=0.01, **options).step()

    return change


def without_grad(change):
    def do(m):
        with torch.no_grad():
            change(m)

    return do


def swap_rows(m):
    rows = m.weight_hh_l0.data
    rows[[2, 7]] = rows[[7, 2]]


def flip_two_signs(m):
    values = m.weight_ih_l0.data.view(-1)
    values[3] *= -1
    values[4] *= -1


def swapped(m):
    m._flat_weight_refs = []  # as PyTorch does: it swaps nothing that has weak references
    torch.utils.swap_tensors(m.weight_hh_l0, torch.nn.Parameter(m.weight_hh_l0.detach() * 1.1))


def pruned(m):
    if prune.is_pruned(m):
        prune.remove(m, "weight_hh_l0")
    prune.random_unstructured(m, "weight_hh_l0", 0.2)


def parametrised(m):
    if not parametrize.is_parametrized(m, "weight_hh_l0"):
        parametrizations.weight_norm(m, "weight_hh_l0")
    with torch.no_grad():
        m.parametrizations.weight_hh_l0.original0.mul_(1.1)


def strided(m):
    if m.weight_hh_l0.is_contiguous():
        m.weight_hh_l0 = torch.nn.Parameter(m.weight_hh_l0.detach().t().contiguous().t())
    with torch.no_grad():
        m.weight_hh_l0.mul_(1.1)


def larger(m):
    return {name: value * 1.1 for name, value in m.state_dict().items()}


# What PyTorch counts, or what puts the weights elsewhere: seen under `freeze_weights`, too.
COUNTED = {
    "SGD": step(torch.optim.SGD, foreach=False),
    "SGD, foreach": step(torch.optim.SGD, foreach=True),
    "SGD, fused": step(torch.optim.SGD, fused=True),
    "Adam, foreach": step(torch.optim.Adam, foreach=True),
    "Adam, fused": step(torch.optim.Adam, fused=True),
    "AdamW": step(torch.optim.AdamW),
    "copy_": without_grad(lambda m: m.bias_hh_l1.copy_(m.bias_hh_l1 + 0.1)),
    "foreach": without_grad(lambda m: torch._foreach_mul_(list(m.parameters()), 1.1)),
    "one element": without_grad(lambda m: m.weight_hh_l0[0, 0].add_(0.1)),
    "by a detached tensor": lambda m: m.weight_hh_l0_reverse.detach().mul_(1.1),
    "set_": without_grad(lambda m: m.weight_ih_l1.set_(m.weight_ih_l1.detach() * 1.1)),
    "load_state_dict": lambda m: m.load_state_dict(larger(m)),
    "load_state_dict, assign": lambda m: m.load_state_dict(larger(m), assign=True),
    "reset_parameters": lambda m: m.reset_parameters(),
    "another Parameter": lambda m: setattr(
        m, "bias_ih_l0", torch.nn.Parameter(m.bias_ih_l0.detach() + 0.1)
    ),
    "swap_tensors": swapped,
    "prune": pruned,
    "parametrize": parametrised,
    "parameters with gaps": strided,
    "data =": lambda m: setattr(m.weight_ih_l0, "data", m.weight_ih_l0.data * 1.1),
    "vector_to_parameters": lambda m: vector_to_parameters(
        1.1 * torch.cat([p.detach().flatten() for p in m.parameters()]), m.parameters()
    ),
    "to half and back": lambda m: m.half().float().load_state_dict(larger(m)),
    "to double": lambda m: m.double().load_state_dict(larger(m)),
}
UNCOUNTED = {
    "data, one element": lambda m: m.weight_hh_l0.data[1, 2].add_(0.01),
    "data, all negated": lambda m: [p.data.neg_() for p in m.parameters()],
    "data, two rows swapped": swap_rows,
    "data, two signs": flip_two_signs,
    "data, the last bias": lambda m: m.bias_hh_l1_reverse.data[-1:].add_(0.01),
    "NumPy view": lambda m: m.weight_ih_l0.detach().numpy().__iadd__(0.01),
}
