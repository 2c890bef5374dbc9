"""`gatewise.nn.LSTM` in models under torch.compile and torch.export: one operator, no break."""

import pytest
import torch
import torch._dynamo
from twins import assert_same, twins

from gatewise import Cell
from gatewise.nn import LSTM

# The compiler's own.
pytestmark = pytest.mark.filterwarnings("ignore")

OPTIONS = {
    "plain": {},
    "deep": {"num_layers": 2, "bidirectional": True, "batch_first": True, "bias": False},
    "dropout": {"num_layers": 3, "dropout": 0.4},
    "cell": {"cell": Cell(candidate="softsign", peephole=True, layer_norm=True), "proj_size": 3},
    "regularised": {"recurrent_dropout": 0.3, "zoneout": (0.2, 0.1), "weight_dropout": 0.2},
}


class Model(torch.nn.Module):
    def __init__(self, lstm):
        super().__init__()
        self.lstm = lstm

    def forward(self, x):
        y, (h, c) = self.lstm(torch.tanh(x))
        return y.sigmoid(), h, c


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    with torch._dynamo.config.patch(allow_rnn=True):
        yield
    torch._dynamo.reset()


def operators(backend_graphs):
    return [
        str(n.target) for g in backend_graphs for n in g.graph.nodes if "gatewise" in str(n.target)
    ]


def outcome(call, x, parameters):
    torch.manual_seed(0)  # of the dropout
    leaf = x.clone().requires_grad_()
    outputs = call(leaf)
    loss = sum((k + 1) * t.square().sum() for k, t in enumerate(outputs))
    return [*outputs, *torch.autograd.grad(loss, [leaf, *parameters])]


@pytest.mark.parametrize("options", OPTIONS)
def test_a_model_compiles_whole_with_one_operator_per_call_of_the_core(options):
    model = Model(LSTM(4, 6, dtype=torch.float64, **OPTIONS[options]))
    graphs = []

    def backend(graph, example_inputs):
        graphs.append(graph)
        return graph

    compiled = torch.compile(model, backend=backend, fullgraph=True)
    parameters = list(model.parameters())
    for shape in ((5, 3, 4), (7, 2, 4)):
        x = torch.randn(shape, dtype=torch.float64)
        assert_same(outcome(compiled, x, parameters), outcome(model, x, parameters))
    calls = 3 if options == "dropout" else 1
    for graph in graphs:
        assert len(operators([graph])) == calls


def test_without_allow_rnn_the_graph_breaks_and_the_core_runs(monkeypatch):
    model = Model(LSTM(4, 6))
    x = torch.randn(5, 3, 4)
    with torch._dynamo.config.patch(allow_rnn=False):
        assert_same(torch.compile(model, backend="eager")(x), model(x))


def test_what_the_core_does_not_do_compiles_as_before():
    x = torch.randn(5, 3, 4)
    for lstm in (
        LSTM(4, 6, cell=Cell(candidate=torch.sin)), LSTM(4, 6).bfloat16(),
    ):  # fmt: skip
        model = Model(lstm)
        given = x.to(lstm.weight_ih_l0.dtype)
        compiled = torch.compile(model, backend="eager", fullgraph=True)
        assert_same(compiled(given), model(given))
        torch._dynamo.reset()


def test_transforms_inside_a_compiled_function():
    ours, theirs = twins(dtype=torch.float64)
    x = torch.randn(5, 3, 4, dtype=torch.float64)

    def slope(lstm):
        return torch.func.grad(lambda v: lstm(v)[0].sin().sum())

    compiled = torch.compile(slope(ours), backend="eager", fullgraph=True)
    leaf = x.clone().requires_grad_()
    expected = torch.autograd.grad(theirs(leaf)[0].sin().sum(), leaf)
    assert_same(compiled(x), expected)


def test_autocast_inside_a_compiled_function():
    model = Model(LSTM(4, 6))
    x = torch.randn(5, 3, 4)

    def run(call):
        with torch.autocast("cpu", torch.bfloat16):
            return call(x)

    assert_same(run(torch.compile(model, backend="eager")), run(model))


@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_model_holds_one_operator(strict):
    model = Model(LSTM(4, 6, num_layers=2, bidirectional=True)).eval()
    free = {0: torch.export.Dim("T"), 1: torch.export.Dim("B")}
    x = torch.randn(5, 3, 4)
    program = torch.export.export(model, (x,), dynamic_shapes=(free,), strict=strict)
    assert operators([program]) == ["gatewise.lstm.default"]
    for T, B in ((5, 3), (9, 2)):
        x = torch.randn(T, B, 4)
        assert_same(program.module()(x), model(x))


def test_the_older_tracers_see_pytorch_s_operator(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    model = Model(LSTM(4, 6)).eval()
    x = torch.randn(5, 3, 4)
    traced = torch.jit.trace(model, (x,))
    assert_same(traced(x.flip(0)), model(x.flip(0)))
    file = str(tmp_path / "model.onnx")
    torch.onnx.export(model, (x,), file, dynamo=False, input_names=["x"])
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    got = session.run(None, {"x": x.numpy()})
    assert_same([torch.tensor(a) for a in got], model(x))
