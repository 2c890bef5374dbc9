"""Under modes, tracers, tensor subclasses and hooks of saved tensors: the numbers of without."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.utils.rnn import pack_sequence
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode
from twins import assert_same, gradients, twins

from gatewise import Cell
from gatewise.errors import GatewiseError
from gatewise.nn import LSTM

KINDS = {
    "plain": {},
    "deep": {"num_layers": 2, "bidirectional": True, "batch_first": True, "bias": False},
    "projected": {"proj_size": 3},
    "cell": {"cell": Cell(candidate="softsign", peephole=True)},
}
every_kind = pytest.mark.parametrize("kw", KINDS.values(), ids=KINDS)


class Seen(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


class SeenFunctions(TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


class Subclass(torch.Tensor):
    pass


def made(kw, dtype=torch.float64):
    torch.manual_seed(0)
    return LSTM(4, 6, dtype=dtype, **kw), torch.randn(5, 3, 4, dtype=dtype)


def trained(m, x, forward_in=None, backward_in=None):
    """Outputs and gradients, each half within a context of its own."""
    m.zero_grad()
    leaf = x.clone().requires_grad_()
    with forward_in or torch.enable_grad():
        y, (h, c) = m(leaf)
        loss = y.sin().sum() + 2 * h.sum() + 3 * c.square().sum()
    with backward_in or torch.enable_grad():
        loss.backward()
    return [y, h, c, leaf.grad, {n: g.clone() for n, g in gradients(m).items()}]


@every_kind
@pytest.mark.parametrize("mode", [Seen, SeenFunctions])
def test_a_user_s_mode_sees_the_operator_and_the_numbers_stay(kw, mode):
    m, x = made(kw)
    expected = trained(m, x)
    seen = mode()
    assert_same(trained(m, x, forward_in=seen), expected, rtol=0, atol=0)
    assert any("gatewise" in name and "lstm" in name for name in seen.names)
    assert_same(trained(m, x, backward_in=mode()), expected)
    with seen:
        assert_same(trained(m, x), expected, rtol=0, atol=0)


def test_a_packed_batch_under_a_mode():
    m, x = made({})
    packed = pack_sequence([x[:5, 0], x[:3, 1]])
    expected = m(packed)[0].data
    for mode in (Seen(), SeenFunctions()):
        with mode:
            assert_same(m(packed)[0].data, expected)


@every_kind
def test_second_derivatives_under_a_mode(kw):
    m, x = made(kw)
    found = []
    for mode in (torch.enable_grad(), SeenFunctions()):
        leaf = x.clone().requires_grad_()
        with mode:
            (slope,) = torch.autograd.grad(m(leaf)[0].sin().sum(), leaf, create_graph=True)
            found.append(torch.autograd.grad(slope.square().sum(), leaf))
    assert_same(*found)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_default_device_changes_no_result(device):
    m, x = made({"num_layers": 2})
    expected = trained(m, x)
    with torch.device(device):
        assert_same(trained(m, x), expected, rtol=0, atol=0)


def test_work_in_place_under_a_mode():
    m, x = made({})
    found = []
    for mode in (torch.enable_grad(), Seen(), SeenFunctions()):
        m.zero_grad()
        with mode:
            m(x)[0].mul_(2).sin().sum().backward()
        found.append({n: g.clone() for n, g in gradients(m).items()})
    assert_same(found[1], found[0])
    assert_same(found[2], found[0])


@pytest.mark.parametrize("tracing_mode", ["real", "fake", "symbolic"])
@every_kind
def test_make_fx_records_the_operator(kw, tracing_mode):
    m, x = made(kw)

    def forward(x):
        y, (h, c) = m(x)
        return y, h, c

    def backward(x):
        leaf = x.detach().requires_grad_()
        return torch.autograd.grad(sum(t.sin().sum() for t in forward(leaf)), leaf)

    for call in (forward, backward):
        graph = make_fx(call, tracing_mode=tracing_mode, _allow_non_fake_inputs=True)(x)
        assert any("gatewise.lstm" in str(n.target) for n in graph.graph.nodes)
        other = torch.randn_like(x)
        assert_same(graph(other), call(other))


@every_kind
def test_fake_tensors_get_fake_results(kw):
    m, x = made(kw)
    expected = m(x)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        got = m(mode.from_tensor(x))
        for a, b in zip((got[0], *got[1]), (expected[0], *expected[1]), strict=True):
            assert type(a) is FakeTensor
            assert (a.shape, a.stride(), a.dtype) == (b.shape, b.stride(), b.dtype)
        got[0].sum().backward()
        assert all(type(p.grad) is FakeTensor for p in m.parameters())


@pytest.mark.parametrize("inputs", ["real", "fake"])
def test_a_real_module_under_fake_mode_raises_as_pytorch_s_does(inputs):
    x = torch.randn(5, 3, 4)
    mode = FakeTensorMode()
    for m in twins():
        for call in (m, lambda x, m=m: m(x)[0].sum().backward()):
            given = x if inputs == "real" else mode.from_tensor(x)
            with mode, pytest.raises(Exception, match="FakeTensor"):
                call(given)


def test_a_backward_under_fake_mode_of_a_real_forward_raises():
    for m in twins():
        loss = m(torch.randn(5, 3, 4))[0].sum()
        with FakeTensorMode(), pytest.raises(Exception, match=r"[Ff]ake"):
            loss.backward()


def test_a_module_made_under_fake_mode():
    with FakeTensorMode():
        for m in twins():
            y, _ = m(torch.randn(5, 3, 4))
            assert type(y) is FakeTensor
            y.sum().backward()


@pytest.mark.parametrize("kw", [{}, {"num_layers": 2, "bidirectional": True}], ids=["one", "deep"])
def test_the_flop_counter_counts_what_pytorch_s_would(kw):
    counts = []
    for m in twins(dtype=torch.float64, **kw):
        x = torch.randn(50, 3, 4, dtype=torch.float64, requires_grad=True)
        with FlopCounterMode(display=False) as forward:
            m(x)
        with FlopCounterMode(display=False) as both:
            m(x)[0].sum().backward()
        counts.append((forward.get_total_flops(), both.get_total_flops()))
    assert counts[0][0] == counts[1][0] > 0
    assert counts[0][1] == pytest.approx(counts[1][1], rel=0.02)


@every_kind
def test_a_tensor_subclass(kw):
    m, x = made(kw)
    expected = m(x)
    assert_same(m(x.as_subclass(Subclass))[0].as_subclass(torch.Tensor), expected[0])
    m.weight_hh_l0 = torch.nn.Parameter(m.weight_hh_l0.detach().as_subclass(Subclass))
    assert_same(m(x)[0].as_subclass(torch.Tensor), expected[0])


@every_kind
@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpoint(kw, use_reentrant):
    m, x = made(kw)

    def inner(x):
        y, (h, c) = m(x)
        return y, h, c

    def call(x):
        y, *state = checkpoint(inner, x, use_reentrant=use_reentrant)
        return y, state

    call.zero_grad, call.named_parameters = m.zero_grad, m.named_parameters
    assert_same(trained(call, x), trained(m, x), rtol=0, atol=0)


HOOKS = {
    "save_on_cpu": save_on_cpu,
    "clones": lambda: saved_tensors_hooks(torch.clone, lambda t: t),
    "with gaps": lambda: saved_tensors_hooks(
        lambda t: torch.stack([t, t], -1), lambda t: t[..., 0]
    ),
}


@every_kind
@pytest.mark.parametrize("hooks", HOOKS.values(), ids=HOOKS)
def test_hooks_of_saved_tensors(kw, hooks):
    m, x = made(kw)
    assert_same(trained(m, x, forward_in=hooks()), trained(m, x), rtol=0, atol=0)


@pytest.mark.parametrize("mode", [torch.enable_grad, SeenFunctions], ids=["core", "operator"])
@pytest.mark.parametrize(
    "unpack",
    [lambda t: t.half(), lambda t: t[..., :1], lambda t: t.to("meta")],
    ids=["dtype", "shape", "device"],
)
def test_hooks_that_return_another_kind_are_refused(unpack, mode):
    m, x = made({})
    with mode():
        with saved_tensors_hooks(lambda t: t, unpack):
            y, _ = m(x)
        with pytest.raises((GatewiseError, RuntimeError), match="expected"):
            y.sum().backward()
