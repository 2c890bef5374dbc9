"""PyTorch's tools on `gatewise.nn.LSTM`, each against `torch.nn.LSTM`."""

import copy
import inspect

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune
from twins import PAIRS, assert_same, flat, gradients, twins

from gatewise import Cell
from gatewise.errors import ConfigError
from gatewise.nn import LSTM, LSTMCell, accelerate, restore

X = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
KINDS = {
    "plain": {},
    "deep": {"num_layers": 2, "bidirectional": True, "batch_first": True},
    "projected": {"proj_size": 3},
}
every_kind = pytest.mark.parametrize("kw", KINDS.values(), ids=KINDS)
# PyTorch's own: what it will not keep for ever, and float32 projections.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor"),
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
]


class Model(nn.Module):
    def __init__(self, lstm):
        super().__init__()
        self.lstm = lstm
        self.head = nn.Linear(lstm.proj_size or lstm.hidden_size * (1 + lstm.bidirectional), 2)

    def forward(self, x):
        y, (h, c) = self.lstm(x)
        return self.head(y), h, c


def models(**kw):
    found = []
    for lstm in twins(**kw):
        torch.manual_seed(1)
        found.append(Model(lstm).eval())
    return found


@every_kind
def test_script(kw):
    ours, theirs = models(**kw)
    parameters = list(ours.parameters())
    scripted = torch.jit.script(ours)
    assert_same(scripted(X), torch.jit.script(theirs)(X), rtol=0, atol=0)
    assert all(a is b for a, b in zip(parameters, ours.parameters(), strict=True))
    # PyTorch puts what it scripts into the model itself.
    assert type(ours.lstm) is nn.LSTM
    assert_same(accelerate(ours)(X), theirs(X), rtol=1e-5, atol=1e-6)


def test_a_bare_lstm_that_is_scripted_stays_itself():
    lstm = LSTM(4, 6)
    torch.jit.script(lstm)
    assert type(lstm) is LSTM


@every_kind
def test_trace(kw):
    ours, theirs = models(**kw)
    assert_same(torch.jit.trace(ours, (X,))(X.flip(0)), theirs(X.flip(0)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["LSTM", "LSTMCell"])
def test_symbolic_trace(kind):
    class Caller(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x, h, c):
            return self.inner(torch.tanh(x), (h, c))

    x, state = (X, torch.randn(1, 3, 6)) if kind == "LSTM" else (X[0], torch.randn(3, 6))
    results, targets = [], []
    for inner in twins(kind):
        graph = torch.fx.symbolic_trace(Caller(inner))
        results.append(flat(graph(x, state, state)))
        targets.append([(n.op, str(n.target)) for n in graph.graph.nodes])
    assert_same(*results)
    assert targets[0] == targets[1]


def test_symbolic_trace_refuses_hooks_that_would_run_twice():
    model = nn.Sequential(LSTM(4, 6))
    model[0].register_forward_hook(lambda *_: None)
    with pytest.raises(ConfigError, match="hooks of a LSTM: expected none"):
        torch.fx.symbolic_trace(model)


@pytest.mark.parametrize("dtype", [torch.qint8, torch.float16])
def test_quantised_once_restored_or_named(dtype):
    ours, theirs = models()
    quantise = torch.ao.quantization.quantize_dynamic
    expected = quantise(theirs, dtype=dtype)
    assert_same(quantise(restore(copy.deepcopy(ours)), dtype=dtype)(X), expected(X))
    named = quantise(ours, {LSTM, LSTMCell, nn.Linear}, dtype=dtype)
    assert_same(named(X), expected(X))
    assert type(ours.lstm) is LSTM


@pytest.mark.parametrize("kind", ["LSTM", "LSTMCell"])
def test_a_quantiser_that_passes_over_ours_is_told_of(kind):
    model = nn.Sequential(PAIRS[kind][0](4, 6))
    with pytest.warns(UserWarning, match=rf"passes over this gatewise.nn.{kind}.*restore\(model"):
        quantised = torch.ao.quantization.quantize_dynamic(model)
    assert type(quantised[0]) is PAIRS[kind][0]


@pytest.mark.parametrize(
    ("kw", "reason"),
    [
        ({"cell": Cell(peephole=True)}, "its cell is Cell"),
        ({"zoneout": 0.1}, "it has regularisers"),
        ({"learn_initial_state": True}, "it learns its initial state"),
        ({"precision": "bfloat16"}, "its precision is bfloat16"),
    ],
    ids=["cell", "regularised", "learnt", "bfloat16"],
)
def test_what_pytorch_does_not_have_is_neither_scripted_nor_quantised(kw, reason):
    model = nn.Sequential(LSTM(4, 6, **kw))
    with pytest.raises(ConfigError, match=reason):
        torch.jit.script(model)
    with pytest.warns(UserWarning, match=f"no such LSTM, since {reason}"):
        quantised = torch.ao.quantization.quantize_dynamic(model, {LSTM})
    assert type(quantised[0]) is LSTM
    assert type(restore(model)[0]) is LSTM
    assert all(getattr(model[0], name) == value for name, value in kw.items() if name != "zoneout")


def test_a_precision_without_effect_stands_in_nobody_s_way():
    for kw in ({"proj_size": 2}, {"dtype": torch.float64}):
        model = nn.Sequential(LSTM(4, 6, precision="bfloat16", **kw))
        assert type(restore(model)[0]) is nn.LSTM


def test_a_quantiser_s_warning_names_the_caller_s_line():
    model = nn.Sequential(LSTM(4, 6))
    with pytest.warns(UserWarning, match="passes over") as caught:
        torch.ao.quantization.quantize_dynamic(model)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("tool", ["prepare", "prepare_qat"])
@pytest.mark.parametrize("kw", [{"cell": Cell(peephole=True)}, {"zoneout": 0.1}], ids=repr)
def test_a_whole_model_is_prepared_but_for_what_pytorch_does_not_have(tool, kw):
    """A qconfig for a whole model reaches every module in it."""
    model = Model(LSTM(4, 6, **kw)).train(tool == "prepare_qat")
    model.qconfig = torch.ao.quantization.QConfig(
        activation=torch.ao.quantization.FakeQuantize.with_args(),
        weight=torch.ao.quantization.default_weight_fake_quant,
    )
    with pytest.warns(UserWarning, match="passes over this gatewise.nn.LSTM"):
        prepared = getattr(torch.ao.quantization, tool)(model)
    assert type(prepared.lstm) is LSTM
    assert hasattr(prepared.head, "activation_post_process")
    prepared(X)
    if tool == "prepare":
        converted = torch.ao.quantization.convert(prepared)
        assert type(converted.lstm) is LSTM
        assert type(converted.head) is torch.ao.nn.quantized.Linear


def test_flat_weights_assigned_and_read():
    ours, theirs = twins(num_layers=2)
    for m in (ours, theirs):
        assert all(a is b for a, b in zip(m._flat_weights, m.parameters(), strict=True))
        m(X)
        m._flat_weights = [2 * w.detach() for w in m._flat_weights]
    assert_same(ours(X), theirs(X))
    for m in (ours, theirs):
        m.weight_hh_l0 = nn.Parameter(m.weight_hh_l0.detach() * 3)
    assert_same(ours(X), theirs(X))
    for m in (ours, theirs):
        m.flatten_parameters()
        m.load_state_dict({k: v * 0.5 for k, v in m.state_dict().items()})
    assert_same(ours(X), theirs(X))
    assert [[w.shape for w in k] for k in ours.all_weights] == [
        [w.shape for w in k] for k in theirs.all_weights
    ]


CHANGES = {
    "prune": lambda m: prune.l1_unstructured(m, "weight_hh_l0", 0.3),
    "prune, structured": lambda m: prune.ln_structured(m, "weight_ih_l0", 0.3, n=2, dim=0),
    "weight_norm": lambda m: parametrizations.weight_norm(m, "weight_hh_l0"),
    "spectral_norm": lambda m: parametrizations.spectral_norm(m.eval(), "weight_ih_l0"),
    "half and back": lambda m: m.half().float(),
    "double": lambda m: m.double().float(),
    "share_memory": lambda m: m.share_memory(),
    "to_empty": lambda m: m.load_state_dict(m.to("meta").to_empty(device="cpu") and SAVED),
    "assign": lambda m: m.load_state_dict(SAVED, assign=True),
    "meta, assign": lambda m: m.to("meta").load_state_dict(SAVED, assign=True),
}
SAVED = {name: 0.5 * p.detach() for name, p in twins()[1].named_parameters()}


@pytest.mark.parametrize("called", [False, True])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_after_a_tool_has_changed_the_module(change, called):
    results = []
    for m in twins():
        if called:
            m(X)
        torch.manual_seed(0)
        change(m)
        y, state = m(X)
        y.sin().sum().backward()
        results.append([y, *state, gradients(m)])
    assert_same(*results)


def test_a_swap_of_tensors_is_seen():
    results = []
    for m in twins():
        m(X)
        m._flat_weight_refs = []  # PyTorch swaps nothing that has weak references
        torch.utils.swap_tensors(m.weight_hh_l0, nn.Parameter(m.weight_hh_l0.detach() * 2))
        m._init_flat_weights()
        results.append(m(X))
    assert_same(*results)


def test_functional_call_and_its_gradients():
    results = []
    for m in twins(dtype=torch.float64):
        weights = {name: 2 * p.detach() for name, p in m.named_parameters()}
        x = X.double()

        def loss(w, m=m, x=x):
            return torch.func.functional_call(m, w, (x,))[0].sin().sum()

        results.append([torch.func.grad(loss)(weights), loss(weights), m(x)])
    assert_same(*results)


def test_a_replica_for_data_parallel():
    results = []
    for m in twins():
        m(X)
        replica = m._replicate_for_data_parallel()
        for name, p in m.named_parameters():
            setattr(replica, name, (2 * p).detach())
        results.append([replica(X), m(X)])
    assert_same(*results)


def test_a_meta_module_gives_meta_results():
    for ours, theirs in (twins(device="meta"), twins()):
        a, b = (m.to("meta")(X.to("meta")) for m in (ours, theirs))
        assert [(t.shape, t.device, t.dtype) for t in flat(a)] == [
            (t.shape, t.device, t.dtype) for t in flat(b)
        ]


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.filterwarnings("ignore")
def test_onnx_export(dynamo, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    if dynamo:
        pytest.importorskip("onnxscript")
    ours, theirs = models(num_layers=2, bidirectional=True)
    file = str(tmp_path / "m.onnx")
    torch.onnx.export(ours, (X,), file, dynamo=dynamo, input_names=["x"])
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    got = [torch.tensor(a) for a in session.run(None, {"x": X.numpy()})]
    assert_same(got, theirs(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", PAIRS)
def test_the_signature_is_pytorch_s_and_ours(kind):
    ours = inspect.signature(PAIRS[kind][0]).parameters
    theirs = inspect.signature(nn.modules.rnn.RNNBase if kind == "LSTM" else nn.LSTMCell).parameters
    shared = [p for p in theirs.values() if p.name != "mode"]
    assert [(p.name, p.default) for p in ours.values()][: len(shared)] == [
        (p.name, p.default) for p in shared
    ]
    rest = list(ours.values())[len(shared) :]
    assert rest[0].name == "cell"
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in rest)


def test_restore_is_the_inverse_of_accelerate():
    model = nn.ModuleList([nn.LSTM(4, 6, num_layers=2), nn.LSTMCell(4, 6)])
    before = [(type(m), sorted(m.__dict__)) for m in model]
    expected = model[0](X), model[1](X[0])
    accelerate(model)
    model[0](X)
    assert restore(model) is model
    assert [(type(m), sorted(m.__dict__)) for m in model] == before
    assert_same((model[0](X), model[1](X[0])), expected, rtol=0, atol=0)
