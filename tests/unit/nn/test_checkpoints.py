"""`checkpoint_every`: the same bits as without, from less memory."""

import pytest
import torch
from twins import assert_same

from gatewise.errors import ConfigError
from gatewise.nn import LSTM

EVERY = (1, 3, 7, 200)  # the last is longer than any sequence here
CONFIGS = {
    "one layer": {},
    "no bias": {"bias": False},
    "two layers": {"num_layers": 2},
    "three layers, batch first": {"num_layers": 3, "batch_first": True},
    "bidirectional": {"bidirectional": True, "num_layers": 2},
    "dropout": {"num_layers": 3, "dropout": 0.4, "bidirectional": True},
}
# The core rounds k up to whole blocks of 128 rows: 130 rows fill them at any k, 3 rows do not.
SIZES = {"many rows": (11, 130), "few rows": (100, 3), "one row": (150, 1)}


def run(every, x, state, **kw):
    """Outputs and all gradients of a new module, the same weights and dropout each time."""
    torch.manual_seed(0)
    lstm = LSTM(5, 9, checkpoint_every=every, dtype=x.dtype, **kw)
    leaves = [t.clone().requires_grad_() for t in (x, *state)]
    torch.manual_seed(1)
    y, (h, c) = lstm(leaves[0], tuple(leaves[1:]))
    (y.sin().sum() + h.sum() + c.square().sum()).backward()
    return [y, h, c, *(t.grad for t in leaves), *(p.grad for p in lstm.parameters())]


def inputs(T, B, dtype=torch.float32, num_layers=1, bidirectional=False, batch_first=False, **_):
    torch.manual_seed(2)
    states = num_layers * (2 if bidirectional else 1)
    x = torch.randn((B, T, 5) if batch_first else (T, B, 5), dtype=dtype)
    return x, [torch.randn(states, B, 9, dtype=dtype) for _ in range(2)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("kw", CONFIGS.values(), ids=CONFIGS)
def test_outputs_and_gradients_have_the_same_bits(isa, kw, sizes, dtype):
    given = inputs(*sizes, dtype, **kw)
    expected = run(0, *given, **kw)
    for every in EVERY:
        for a, b in zip(run(every, *given, **kw), expected, strict=True):
            assert torch.equal(a, b), every


@pytest.mark.parametrize("every", EVERY)
def test_threads_leave_the_bits_as_they_are(threads, every):
    given = inputs(60, 64, num_layers=2, bidirectional=True)
    threads(1)
    expected = run(0, *given, num_layers=2, bidirectional=True)
    for count in (2, 3):
        threads(count)
        got = run(every, *given, num_layers=2, bidirectional=True)
        for a, b in zip(got, expected, strict=True):
            assert torch.equal(a, b)


def test_gradients_that_are_not_wanted_are_not_missed():
    kw = {"num_layers": 2}
    x, _ = inputs(40, 33)
    found = []
    for every in (0, 7):
        torch.manual_seed(0)
        lstm = LSTM(5, 9, checkpoint_every=every, **kw)
        lstm.weight_ih_l0.requires_grad_(False)
        _, (_, c) = lstm(x)  # no state, no gradient of x, of y or of h_n
        c.sum().backward()
        found.append([p.grad for p in lstm.parameters() if p.requires_grad])
    assert_same(found[1], found[0], rtol=0, atol=0)


def test_two_results_under_way_do_not_share_their_checkpoints():
    torch.manual_seed(0)
    lstm, plain = LSTM(5, 9, checkpoint_every=3), LSTM(5, 9)
    plain.load_state_dict(lstm.state_dict())
    found = []
    for m in (lstm, plain):
        xs = [inputs(100, 7 + n)[0].requires_grad_() for n in range(2)]
        losses = [m(x)[0].sin().sum() for x in xs]
        losses[0].backward()
        losses[1].backward()
        found.append([*(x.grad for x in xs), *(p.grad for p in m.parameters())])
    assert_same(*found, rtol=0, atol=0)


def saved_numbers(every, T, B, **kw):
    """Elements that the graph keeps beside input, output and parameters."""
    lstm = LSTM(16, 32, checkpoint_every=every, **kw)
    x, sizes = torch.randn(T, B, 16), {}

    def pack(t):
        sizes[t.data_ptr()] = t.numel()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y, _ = lstm(x)
    known = {t.data_ptr() for t in (x, y, *lstm.parameters())}
    return sum(size for address, size in sizes.items() if address not in known)


def test_the_tape_is_as_small_as_documented():
    T, B, H, k = 120, 128, 32, 10
    all_kept = saved_numbers(0, T, B)
    assert 5 * T * B * H <= all_kept <= 5.2 * T * B * H
    assert saved_numbers(k, T, B) <= 1.1 * T * B * H / k
    assert saved_numbers(2 * k, T, B) < 0.6 * saved_numbers(k, T, B)


def test_the_outputs_below_the_last_layer_are_kept_too():
    T, B, H, k = 120, 128, 32, 10
    kw = {"num_layers": 3, "bidirectional": True}
    kept = saved_numbers(k, T, B, **kw)
    outputs = 2 * T * B * 2 * H
    assert outputs <= kept <= 1.1 * (outputs + 6 * T * B * H / k)
    assert kept < 0.2 * saved_numbers(0, T, B, **kw)


def test_without_gradients_nothing_is_kept():
    x, lstm = inputs(40, 7)[0], LSTM(5, 9, checkpoint_every=3)
    with torch.no_grad():
        y, _ = lstm(x)
    assert torch.equal(y, lstm(x)[0])


@pytest.mark.parametrize("every", [-1, -7, 1.5, True, "3", None])
def test_what_is_no_number_of_steps_is_refused(every):
    with pytest.raises(ConfigError, match=f"checkpoint_every is {every!r}: expected 0"):
        LSTM(5, 9, checkpoint_every=every)
