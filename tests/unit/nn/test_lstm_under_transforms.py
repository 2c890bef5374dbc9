"""torch.func, forward-mode AD, autocast, compile, export and trace, against `torch.nn.LSTM`."""

import copy

import pytest
import torch
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jacrev, jvp, stack_module_state, vmap
from twins import assert_same, assert_same_outcome, flat, gradients, twins

from gatewise import Cell
from gatewise.nn import LSTM
from gatewise.nn import autocast as autocast_of_the_core

# PyTorch's own forward-mode rules use torch.jit.script.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")

X = torch.linspace(-1, 1, 60, dtype=torch.float64).reshape(5, 3, 4)
TANGENT = X.flip(0).contiguous()


@pytest.fixture(params=[{}, {"num_layers": 2, "bidirectional": True}], ids=["plain", "deep"])
def modules(request):
    return twins(dtype=torch.float64, **request.param)


def succeeded(outcome):
    assert not isinstance(outcome, Exception), outcome


def test_functional_call(modules):
    def do(m):
        doubled = {k: v * 2 for k, v in m.named_parameters()}
        return functional_call(m, doubled, (X,))

    succeeded(assert_same_outcome(do, modules))


def test_functional_call_with_parameters_of_another_dtype(modules):
    def do(m):
        return functional_call(m, {k: v.float() for k, v in m.named_parameters()}, (X,))

    assert isinstance(assert_same_outcome(do, modules), Exception)


def test_grad_with_respect_to_parameters_and_input(modules):
    def do(m):
        parameters = {k: v.detach() for k, v in m.named_parameters()}

        def loss(p, x):
            return functional_call(m, p, (x,))[0].square().sum()

        return grad(loss, argnums=(0, 1))(parameters, X)

    succeeded(assert_same_outcome(do, modules))


def slope(m):
    leaf = X.clone().requires_grad_()
    return torch.autograd.grad(m(leaf)[0].sin().sum(), leaf)[0]


def test_torch_func_gives_the_derivatives_of_autograd(modules):
    """Independently of what torch.nn.LSTM can do under a transform."""
    ours, theirs = modules
    expected = slope(theirs)
    assert_same(grad(lambda x: ours(x)[0].sin().sum())(X), expected)
    _, forward = jvp(lambda x: ours(x)[0].sin().sum(), (X,), (TANGENT,))
    assert_same(forward, (expected * TANGENT).sum())
    rows = vmap(lambda x: ours(x)[0], in_dims=1, out_dims=1)(X)
    assert_same(rows, theirs(X)[0])
    jacobian = jacrev(lambda x: ours(x)[0].sum((1, 2)))(X)
    assert_same(jacobian.sum(0), jacrev(lambda x: theirs(x)[0].sum())(X))


def test_vmap_over_an_ensemble_of_weights():
    modules = [LSTM(4, 6, dtype=torch.float64) for _ in range(3)]
    parameters, buffers = stack_module_state(modules)
    base = copy.deepcopy(modules[0]).to("meta")

    def call(p, b):
        return functional_call(base, (p, b), (X,))[0]

    assert_same(vmap(call)(parameters, buffers), torch.stack([m(X)[0] for m in modules]))


def test_gradients_per_sample(modules):
    ours, theirs = modules

    def per_sample(m):
        parameters = {k: v.detach() for k, v in m.named_parameters()}

        def loss(p, x):
            return functional_call(m, p, (x,))[0].square().sum()

        return vmap(grad(loss), in_dims=(None, 1))(parameters, X)

    got = per_sample(ours)
    for b in range(3):
        theirs.zero_grad()
        theirs(X[:, b])[0].square().sum().backward()
        for name, expected in gradients(theirs).items():
            assert_same(got[name][b], expected)


def test_forward_mode(modules):
    ours, theirs = modules
    with forward_ad.dual_level():
        y, _ = ours(forward_ad.make_dual(X, TANGENT))
        tangent = forward_ad.unpack_dual(y).tangent
    e = 1e-6
    with torch.no_grad():
        expected = (theirs(X + e * TANGENT)[0] - theirs(X - e * TANGENT)[0]) / (2 * e)
    assert_same(tangent, expected, rtol=1e-6, atol=1e-8)
    assert_same(ours(X)[0], theirs(X)[0])  # the level is left, the native path is back


def test_autocast_and_lower_precision():
    for do in (
        lambda m: m(X.float()),
        lambda m: (m.bfloat16(), m(X.bfloat16()))[1],
        lambda m: (m.half(), m(X.half()))[1],
    ):
        assert_same_outcome(do, twins())

    def autocast(m):
        with torch.autocast("cpu", torch.bfloat16):
            return m(X.float())

    ours, theirs = twins()
    if autocast_of_the_core._probe(torch.bfloat16, torch.is_grad_enabled()):
        assert_same_outcome(autocast, (ours, theirs))
    else:  # PyTorch cannot on this processor
        got, exact = autocast(ours), theirs(X.float())
        assert_same(got, [t.bfloat16() for t in flat(exact)], rtol=0.02, atol=0.02)


def test_the_meta_device_gives_shapes():
    def shapes(m):
        out = flat(m.to("meta")(X.float().to("meta")))
        assert all(t.device.type == "meta" for t in out)
        return [torch.tensor(t.shape) for t in out]

    assert_same_outcome(shapes, twins(num_layers=2, bidirectional=True))
    assert LSTM(4, 6, device="meta").weight_ih_l0.device.type == "meta"


def test_inference_mode():
    def do(m):
        with torch.inference_mode():
            y, state = m(X)
            assert y.is_inference()
            return y.clone(), [s.clone() for s in state]

    succeeded(assert_same_outcome(do, twins(dtype=torch.float64)))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_compile_computes_and_trains_the_same(backend):
    torch._dynamo.reset()
    ours, theirs = twins()

    def do(m, call):
        y, (h, c) = call(X.float())
        (y.sum() + h.sum() + c.sum()).backward()
        return y, h, c, gradients(m)

    assert_same(do(ours, torch.compile(ours, backend=backend)), do(theirs, theirs))
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore")
def test_compile_of_a_variant_computes_the_same():
    torch._dynamo.reset()
    lstm = LSTM(4, 6, cell=Cell(peephole=True, candidate="softsign"))
    compiled = torch.compile(lstm, backend="eager")
    assert_same(compiled(X.float()), lstm(X.float()))
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore")
def test_export_computes_the_same():
    ours, theirs = twins()
    programs = [torch.export.export(m.eval(), (X.float(),)) for m in (ours, theirs)]
    assert_same(programs[0].module()(X.float()), programs[1].module()(X.float()))


@pytest.mark.filterwarnings("ignore")
def test_jit_trace_computes_the_same():
    ours, theirs = twins()
    traced = torch.jit.trace(ours.eval(), (X.float(),))
    other = X.float().flip(0)
    assert_same(traced(other), theirs(other))


def test_tensor_subclasses_take_torchs_path():
    class Tagged(torch.Tensor):
        pass

    def do(m):
        y, _ = m(X.as_subclass(Tagged))
        assert type(y) is Tagged
        return y.as_subclass(torch.Tensor)

    succeeded(assert_same_outcome(do, twins(dtype=torch.float64)))
