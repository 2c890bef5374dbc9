"""The core reads plain, dense tensors itself: with the numbers of the long way, and no others."""

import itertools
import subprocess
import sys

import pytest
import torch
from torch._dynamo import compiled_autograd
from torch.autograd import forward_ad
from twins import KINDS

from gatewise import _native
from gatewise.errors import ShapeError
from gatewise.nn import LSTM, paths
from gatewise.nn.options import Options

CASES = KINDS | {
    "float64": {"dtype": torch.float64, "num_layers": 2},
    "bfloat16": {"precision": "bfloat16"},
}


def results(lstm, x, hx, weights, *, keep=True):
    with torch.set_grad_enabled(keep):
        y, (h, c) = lstm(x, hx)
    if not keep:
        return [y, h, c]
    loss = sum((w * t).sum() for w, t in zip(weights, (y, h, c), strict=True))
    wanted = [t for t in (x, *(hx or ()), *lstm.parameters()) if t.requires_grad]
    return [y, h, c, *torch.autograd.grad(loss, wanted)]


def take_the_long_way(monkeypatch, lstm):
    monkeypatch.setattr(Options, "is_usual", False)
    monkeypatch.setattr("gatewise.nn.lstm.usual", lambda *_: None)
    lstm._core.usual = None


@pytest.mark.parametrize("with_states", [False, True])
@pytest.mark.parametrize("kwargs", CASES.values(), ids=CASES)
def test_the_quick_way_has_the_bits_of_the_long_one(monkeypatch, kwargs, with_states):
    torch.manual_seed(0)
    lstm = LSTM(4, 7, **kwargs)
    new = lambda *shape: torch.randn(*shape, dtype=lstm.weight_ih_l0.dtype)  # noqa: E731
    states, P = lstm.num_layers * lstm.directions, lstm.proj_size or 7
    x = new(9, 5, 4).requires_grad_()
    hx = (new(states, 5, P).requires_grad_(), new(states, 5, 7)) if with_states else None
    weights = new(9, 5, lstm.directions * P), new(states, 5, P), new(states, 5, 7)
    found = [results(lstm, x, hx, weights, keep=keep) for keep in (True, True, False)]
    take_the_long_way(monkeypatch, lstm)
    expected = [results(lstm, x, hx, weights, keep=keep) for keep in (True, True, False)]
    pairs = zip(itertools.chain(*found), itertools.chain(*expected), strict=True)
    for k, (a, b) in enumerate(pairs):
        assert torch.equal(a, b), k


@pytest.mark.parametrize("wanted", ["bias_ih_l0", "bias_hh_l0", "weight_hh_l0"])
def test_one_gradient_alone_and_a_tape_of_many_steps(monkeypatch, wanted):
    lstm, x, weight = LSTM(3, 40), torch.randn(300, 8, 3), torch.randn(300, 8, 40)
    lstm.requires_grad_(False)
    getattr(lstm, wanted).requires_grad_(True)

    def gradient():
        y, _ = lstm(x)
        return torch.autograd.grad((weight * y).sum(), [getattr(lstm, wanted)])[0]

    found = gradient(), gradient()
    take_the_long_way(monkeypatch, lstm)
    expected = gradient()
    assert all(torch.equal(f, expected) for f in found)


def nothing_left():
    t = torch.zeros(9)[4:]
    t.untyped_storage().resize_(0)
    return t


class Own(torch.Tensor):
    pass


ODD = {
    "pending negation": lambda: torch._neg_view(torch.zeros(5)),
    "zeros without memory": lambda: torch._efficientzerotensor(5),
    "meta": lambda: torch.zeros(5, device="meta"),
    "sparse": lambda: torch.zeros(5).to_sparse(),
    "MKL-DNN": lambda: torch.zeros(5).to_mkldnn(),
    "functional": lambda: torch._to_functional_tensor(torch.zeros(5)),
    "subclass": lambda: torch.zeros(5).as_subclass(Own),
}
UNFIT = {
    "no memory": nothing_left,
    "other dtype": lambda: torch.zeros(5, dtype=torch.float64),
    "integers": lambda: torch.zeros(5, dtype=torch.int32),
    "bfloat16": lambda: torch.zeros(5, dtype=torch.bfloat16),
    "complex": lambda: torch.zeros(5, dtype=torch.complex64),
    "no tensor": lambda: 5,
    "None": lambda: None,
    "other shape": lambda: torch.zeros(6),
    "more axes": lambda: torch.zeros(5, 1),
}


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_what_is_not_plain_numbers_is_not_read(make):
    assert not _native.are_plain((make(),), ((5,),), 32)
    assert not paths.is_plain(make())


@pytest.mark.parametrize("make", UNFIT.values(), ids=UNFIT)
def test_other_numbers_are_not_read(make):
    assert not _native.are_plain((make(),), ((5,),), 32)


def test_nothing_within_a_transform_is_read():
    seen = []

    def look(t):
        seen.append(_native.are_plain((t,), (tuple(t.shape),), 32))
        return t.sum()

    torch.func.vmap(look)(torch.zeros(3, 5))
    torch.func.grad(look)(torch.zeros(5))
    assert seen == [False, False]


def test_plain_numbers_are_read():
    made = torch.zeros(5), torch.nn.Parameter(torch.zeros(5)), torch.zeros(5, 2)[:, 0]
    with torch.inference_mode():
        made += (torch.zeros(5), torch.zeros(5).requires_grad_())
    assert _native.are_plain(made, ((5,), (5,), (-1,), (5,), (5,)), 32)
    assert all(map(paths.is_plain, made))
    assert _native.are_plain((None, made[0]), (None, (5,)), 32)
    assert not _native.are_plain((made[0],), (None,), 32)
    assert not _native.are_plain(made, ((5,),), 32)
    assert not _native.are_plain((torch.zeros(0),), ((-1,),), 32)  # -1 is any size above 0


@pytest.mark.parametrize("keep", [True, False])
def test_states_of_another_batch_are_refused(keep):
    lstm, x = LSTM(4, 7), torch.randn(9, 5, 4)
    with torch.set_grad_enabled(keep):
        lstm(x)
        for hx in (
            (torch.zeros(1, 6, 7), torch.zeros(1, 5, 7)),
            (torch.zeros(1, 5, 7), torch.zeros(1, 6, 7)),
        ):
            with pytest.raises(RuntimeError, match="hidden"):
                lstm(x, hx)


def test_the_core_takes_the_tensors_of_usual_calls_and_no_others():
    lstm, x, h, c = LSTM(4, 7), torch.randn(9, 5, 4), torch.zeros(1, 5, 7), torch.zeros(1, 5, 7)
    lstm(x)
    engine = lstm._core.engine(0, 1)
    without, with_states = engine.usual_shapes, engine.usual_shapes_with_states
    parameters = tuple(lstm.parameters())

    def is_taken(x, h, c, shapes):
        given = (x, h, c, *parameters), shapes, 1, False, 0
        return engine.cache(torch.float32).forward_tensors(*given) is not None

    assert is_taken(x, None, None, without)
    assert is_taken(x, h, c, with_states)
    assert is_taken(x[2:3], h, c, with_states)
    assert not is_taken(x, None, None, with_states)
    assert not is_taken(x, h, c, without)
    assert not is_taken(torch.randn(5, 9, 4).transpose(0, 1), h, c, with_states)
    assert not is_taken(x[:, :4].contiguous(), h, c, with_states)
    assert not is_taken(x, torch.zeros(1, 4, 7), c, with_states)
    assert not is_taken(x, h, torch.zeros(1, 6, 7), with_states)
    assert not is_taken(x[:0], h, c, with_states)
    assert not is_taken(x.double(), h, c, with_states)
    assert not is_taken(torch.randn(9, 5, 3), h, c, with_states)


def test_packed_weights_of_another_network_are_refused():
    lstm, other, x = LSTM(4, 7), LSTM(4, 8), torch.randn(9, 5, 4)
    for module in (lstm, other):
        module(x)
    engine, parameters = lstm._core.engine(0, 1), tuple(lstm.parameters())
    call = (x, None, None, *parameters), engine.usual_shapes, 1, False, 0
    cache = engine.cache(torch.float32)
    with pytest.raises(ValueError, match="another network"):
        cache.forward_tensors(
            *call, other._core.engine(0, 1).pack(list(other.parameters()), x.dtype)
        )
    own = cache.forward_tensors(*call, engine.pack(list(parameters), x.dtype))
    assert torch.equal(own[0], lstm(x)[0])


WITHOUT_TABLE = """
import torch
from torch.autograd import forward_ad
with_table = torch.Tensor.__dlpack_c_exchange_api__
del torch.Tensor.__dlpack_c_exchange_api__
from gatewise import _native
from gatewise.nn import LSTM
lstm = LSTM(4, 7)
assert not _native.are_plain((torch.zeros(5),), ((5,),), 32)
x = torch.randn(9, 5, 4)
loss = (lstm(x)[0] ** 2).sum()
loss.backward()
other = torch.nn.LSTM(4, 7)
other.load_state_dict(lstm.state_dict())
(other(x)[0] ** 2).sum().backward()
for p, q in zip(lstm.parameters(), other.parameters()):
    torch.testing.assert_close(p.grad, q.grad)
"""


def test_without_the_table_of_functions_calls_go_the_long_way():
    subprocess.run([sys.executable, "-c", WITHOUT_TABLE], check=True)


def test_what_python_raises_while_a_tensor_is_read_is_raised():
    class Refusing(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            raise RuntimeError("refused")

    t = torch.zeros(5)
    with Refusing(), pytest.raises(RuntimeError, match="refused"):
        _native.are_plain((t,), ((5,),), 32)
    assert _native.are_plain((t,), ((5,),), 32)


def test_a_view_far_into_memory_that_was_given_back_is_refused():
    lstm, memory = LSTM(4, 7), torch.empty(2**30 + 60)  # 4 GB, of which one page is used
    x = memory[2**30 :].view(5, 3, 4).zero_()
    lstm(x)
    memory.untyped_storage().resize_(0)
    with pytest.raises(ShapeError, match="no memory"):
        lstm(x)


def test_checkpoints_may_be_any_number_of_steps_apart():
    lstm, x = LSTM(4, 7), torch.randn(9, 5, 4)
    expected = torch.autograd.grad((lstm(x)[0] ** 2).sum(), list(lstm.parameters()))
    lstm.checkpoint_every = 10**30
    found = torch.autograd.grad((lstm(x)[0] ** 2).sum(), list(lstm.parameters()))
    assert all(map(torch.equal, found, expected))


@pytest.mark.filterwarnings("ignore:`torch.jit.script`")  # PyTorch's own, at the first dual number
def test_a_gradient_with_a_tangent_gives_one():
    lstm = LSTM(4, 7, dtype=torch.float64)
    other = torch.nn.LSTM(4, 7, dtype=torch.float64)
    other.load_state_dict(lstm.state_dict())
    x = torch.randn(5, 3, 4, dtype=torch.float64, requires_grad=True)
    dy, tangent = torch.randn(2, 5, 3, 7, dtype=torch.float64)
    tangents = []
    for module in (lstm, other):
        y, _ = module(x)
        with forward_ad.dual_level():
            (dx,) = torch.autograd.grad(y, [x], forward_ad.make_dual(dy, tangent))
            tangents.append(forward_ad.unpack_dual(dx).tangent)
    torch.testing.assert_close(*tangents)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = LSTM(4, 7), torch.nn.Linear(7, 1)

    def forward(self, x):
        return self.head(torch.tanh(self.lstm(x)[0]))


@pytest.mark.filterwarnings("ignore")  # the compiler's own
@pytest.mark.parametrize("make", [lambda: LSTM(4, 7), Net], ids=["alone", "within"])
def test_compiled_modules_train_step_after_step(make):
    module, x = make(), torch.randn(5, 3, 4)

    def gradients(run):
        found = run(x)
        y = found if isinstance(found, torch.Tensor) else found[0]
        return torch.autograd.grad((y**2).sum(), list(module.parameters()))

    expected = gradients(module)
    compiled = torch.compile(module, backend="eager")
    for _ in range(3):
        torch.testing.assert_close(gradients(compiled), expected)
        torch.testing.assert_close(gradients(module), expected)


@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_a_compiled_backward_runs_ours_as_it_is():
    lstm, x = LSTM(4, 7), torch.randn(5, 3, 4)
    expected = torch.autograd.grad((lstm(x)[0] ** 2).sum(), list(lstm.parameters()))
    loss = (lstm(x)[0] ** 2).sum()
    with compiled_autograd._enable(torch.compile(backend="eager")):
        loss.backward()
    torch.testing.assert_close([p.grad for p in lstm.parameters()], list(expected))
