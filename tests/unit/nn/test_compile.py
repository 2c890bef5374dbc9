"""The operators under torch.compile and torch.export, against the module run eagerly."""

import gc
import json
from dataclasses import astuple

import pytest
import torch
import torch._inductor.config
from twins import assert_same

from gatewise import Cell
from gatewise.errors import ConfigError, ShapeError
from gatewise.nn import LSTM, ops
from gatewise.nn.native import Options
from gatewise.nn.spec import Spec

# The compiler's own.
pytestmark = pytest.mark.filterwarnings("ignore")

I, H = 4, 7
OPTIONS = {
    "plain": {},
    "deep": {
        "num_layers": 2, "bidirectional": True, "bias": False, "batch_first": True,
        "checkpoint_every": 3,
    },
}  # fmt: skip


class Net(torch.nn.Module):
    """An LSTM's parameters, run by the operators between others."""

    def __init__(self, lstm):
        super().__init__()
        sizes = lstm.num_layers, lstm.directions, lstm.input_size, lstm.hidden_size
        self.spec = Spec(*sizes, bias=lstm.bias)
        self.options = Options(lstm.batch_first, lstm.checkpoint_every)
        self.bias, self.batch_first = lstm.bias, lstm.batch_first
        self.own = torch.nn.ParameterList(lstm.parameters())

    def forward(self, x, h0=None, c0=None):
        parameters = list(self.own)
        if not self.bias:
            pairs = zip(parameters[::2], parameters[1::2], strict=True)
            parameters = [p for pair in pairs for p in (*pair, None, None)]
        x = torch.tanh(x)
        x = x.transpose(0, 1) if self.batch_first else x
        y, h, c = ops.run(self.spec, x, h0, c0, parameters, self.options)
        y = y.transpose(0, 1) if self.batch_first else y
        return y.sigmoid(), h, c


class Eager(torch.nn.Module):
    """What `Net` computes, with the module itself."""

    def __init__(self, lstm):
        super().__init__()
        self.lstm = lstm

    def forward(self, x, h0=None, c0=None):
        y, (h, c) = self.lstm(torch.tanh(x), None if h0 is None else (h0, c0))
        return y.sigmoid(), h, c


@pytest.fixture(params=OPTIONS)
def nets(request):
    torch._dynamo.reset()
    torch.manual_seed(0)
    lstm = LSTM(I, H, dtype=torch.float64, **OPTIONS[request.param])
    yield Net(lstm), Eager(lstm)
    torch._dynamo.reset()


def given(net, T, B):
    torch.manual_seed(T)
    L, D = net.spec.L, net.spec.D
    states = (L * D, B, H)
    shapes = ((B, T, I) if net.batch_first else (T, B, I), states, states)
    return [torch.randn(s, dtype=torch.float64) for s in shapes]


def outputs_and_gradients(call, parameters, *inputs):
    leaves = [t.clone().requires_grad_() for t in inputs]
    outputs = call(*leaves)
    loss = sum((k + 1) * t.square().sum() for k, t in enumerate(outputs))
    return [*outputs, *torch.autograd.grad(loss, [*leaves, *parameters])]


def assert_trains_the_same(call, net, eager, *inputs):
    got = outputs_and_gradients(call, net.own, *inputs)
    assert_same(got, outputs_and_gradients(eager, eager.lstm.parameters(), *inputs))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_whole_it_computes_and_trains_the_same(backend, nets):
    net, eager = nets
    compiled = torch.compile(net, backend=backend, fullgraph=True)
    assert_trains_the_same(compiled, net, eager, given(net, 6, 3)[0])
    for T, B in ((6, 3), (9, 5), (5, 40)):  # the second makes T and B symbols
        assert_trains_the_same(compiled, net, eager, *given(net, T, B))
    with torch.no_grad():
        assert_same(compiled(given(net, 6, 3)[0]), eager(given(net, 6, 3)[0]))


def test_inductor_computes_and_trains_the_same():
    """The operators alone: what stands beside them would go through a C++ compiler."""
    torch._dynamo.reset()
    lstm = LSTM(I, H, num_layers=2, dtype=torch.float64)
    spec, parameters = Spec(2, 1, I, H), list(lstm.parameters())

    @torch.compile(fullgraph=True)
    def ours(x, h0, c0):
        return ops.run(spec, x, h0, c0, parameters, Options())

    def theirs(x, h0, c0):
        y, (h, c) = lstm(x, (h0, c0))
        return y, h, c

    with torch._inductor.config.patch(force_disable_caches=True, compile_threads=1):
        inputs = given(Net(lstm), 6, 3)
        got = outputs_and_gradients(ours, parameters, *inputs)
        assert_same(got, outputs_and_gradients(theirs, parameters, *inputs))


def test_a_loss_of_one_output_alone_and_frozen_inputs(nets):
    net, eager = nets
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    x, *_ = given(net, 6, 3)
    for k in range(3):
        weights = [net.own[0], net.own[-1]]
        got = torch.autograd.grad(compiled(x)[k].sum(), weights)
        assert_same(got, torch.autograd.grad(eager(x)[k].sum(), weights))


def test_compiled_training_follows_the_weights():
    torch._dynamo.reset()
    lstm = LSTM(I, H, dtype=torch.float64)
    net, eager = Net(lstm), Eager(lstm)
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.5)
    x, *_ = given(net, 6, 3)
    losses = []
    for _ in range(4):
        optimiser.zero_grad()
        y, _, _ = compiled(x)
        assert_same(y, eager(x)[0])
        loss = y.sum()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > losses[-1] + 1


def exported(net, *inputs):
    free = torch.export.Dim("T", min=1), torch.export.Dim("B", min=1)
    axes = dict(enumerate(reversed(free) if net.batch_first else free))
    return torch.export.export(net, inputs, dynamic_shapes=(axes,))


def test_an_exported_program_is_one_operator_for_any_t_and_b(nets):
    net, eager = nets
    program = exported(net, given(net, 6, 3)[0])
    called = [str(n.target) for n in program.graph.nodes if n.op == "call_function"]
    assert called.count("gatewise.lstm.default") == 1
    module = program.module()
    for T, B in ((6, 3), (11, 2), (1, 1), (2, 40)):
        x, *_ = given(net, T, B)
        with torch.no_grad():
            assert_same(module(x), eager(x))


def test_an_exported_program_trains(nets):
    net, eager = nets
    x, *_ = given(net, 6, 3)
    module = exported(net, x).module()
    for call in (module, torch.compile(module, backend="aot_eager", fullgraph=True)):
        got = outputs_and_gradients(call, module.parameters(), x)
        assert_same(got, outputs_and_gradients(eager, eager.lstm.parameters(), x))


def test_an_exported_program_outlives_a_file(nets, tmp_path):
    net, eager = nets
    x, *_ = given(net, 6, 3)
    torch.export.save(exported(net, x), tmp_path / "program.pt2")
    with torch.no_grad():
        assert_same(torch.export.load(tmp_path / "program.pt2").module()(x), eager(x))


@pytest.mark.parametrize("keep", [False, True])
def test_the_operator_is_what_pytorch_expects_of_any(keep):
    lstm = LSTM(I, H, dtype=torch.float64)
    net = Net(lstm)
    x, h0, _ = given(net, 6, 3)
    config = ops._encoded((*Spec(1, 1, I, H)[:-1], astuple(Cell())), net.options)
    torch.library.opcheck(
        torch.ops.gatewise.lstm.default,
        (x.requires_grad_(), h0, None, list(net.own), [], config, keep),
        # Of a tape, whose memory is not the same twice, the last test cannot judge.
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor")
        + (() if keep else ("test_aot_dispatch_dynamic",)),
    )


def test_packed_weights_go_with_the_parameters():
    ops._engines.clear()
    config = ops._encoded((*Spec(1, 1, I, H)[:-1], astuple(Cell())), Options())
    x = torch.zeros(2, 3, I)

    def run(lstm):
        torch.ops.gatewise.lstm(
            x, None, None, [p.detach() for p in lstm.parameters()], [], config, False
        )

    first, second = LSTM(I, H), LSTM(I, H)
    for lstm in (first, second, first):
        run(lstm)
    assert len(ops._engines) == 2
    del first, second, lstm
    gc.collect()
    run(LSTM(I, H))
    assert len(ops._engines) == 1


def call(**changes):
    """One call of the operator as it should be, but for some arguments."""
    spec = (*Spec(1, 1, I, H)[:-1], astuple(Cell()))
    parameters = [p.detach() for p in LSTM(I, H).parameters()]
    config = json.dumps([spec, Options(), None])
    given = {"x": torch.zeros(2, 3, I), "parameters": parameters, "noise": [], "config": config}
    given |= changes
    return torch.ops.gatewise.lstm(
        given["x"], None, None, given["parameters"], given["noise"], given["config"], False
    )


def config(sizes=(1, 1, I, H, 0, True, False), cell=(), options=(False, 0, None, None, None),
           rates=None):  # fmt: skip
    return json.dumps([[*sizes, cell or astuple(Cell())], options, rates])


CONFIGS = {
    "no JSON": "{",
    "another object": "{}",
    "nothing": "[]",
    "deep": "[" * 100_000,
    "fewer sizes": config((1, 1, I, H)),
    "more sizes": config((1, 1, I, H, 0, True, False, 0)),
    "a short cell": config(cell=("sigmoid", "sigmoid")),
    "an unknown activation": config(cell=("x", *astuple(Cell())[1:])),
    "three directions": config((1, 3, I, H, 0, True, False)),
    "no layers": config((0, 1, I, H, 0, True, False)),
    "a fraction": config((1, 1, I, 2.5, 0, True, False)),
    "a flag as a size": config((True, 1, I, H, 0, True, False)),
    "sizes that overflow": config((2**62, 1, I, H, 0, True, False)),
    "a rate of two": config(rates=(2.0, 0.0)),
    "a rate that is none": config(rates=("a", 0.0)),
    "one rate": config(rates=(0.1,)),
    "negative checkpoints": config(options=(False, -1, None, None, None)),
    "a ragged batch": config(options=(False, 0, [3, 3], None, None)),
}


@pytest.mark.parametrize("text", CONFIGS.values(), ids=CONFIGS)
def test_the_operator_refuses_a_config_that_is_none(text):
    call(config=config())
    with pytest.raises((ConfigError, ShapeError)):
        call(config=text)


def test_the_operator_refuses_other_numbers_of_tensors():
    full = [p.detach() for p in LSTM(I, H).parameters()]
    for parameters in (
        [],
        full[:3],
        [*full, full[0]],
        [None, *full[1:]],
        [full[0], None, *full[2:]],
    ):
        with pytest.raises(ShapeError):
            call(parameters=parameters)
    with pytest.raises(ShapeError, match="b_ih of layer and direction 0 is missing"):
        call(parameters=[*full[:2], None, full[3]])
    with pytest.raises(ShapeError, match="expected none, since bias is False"):
        call(config=config((1, 1, I, H, 0, False, False)))
    with pytest.raises(ShapeError, match=r"1 masks: expected 4 and 0"):
        call(noise=[None])
    with pytest.raises(ShapeError, match=r"3 masks: expected 4 and 0"):  # without rates
        call(noise=[torch.zeros(1, 3, H), None, None])
