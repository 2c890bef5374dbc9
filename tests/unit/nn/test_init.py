"""`gatewise.nn.init`: what each initialiser writes, on our modules and on PyTorch's."""

import math

import pytest
import torch
from twins import assert_same

from gatewise import Cell
from gatewise.errors import ConfigError
from gatewise.nn import LSTM, LSTMCell, init

H = 400
MAKERS = {
    "LSTM": lambda **kw: LSTM(3, **kw, num_layers=2, bidirectional=True),
    "torch LSTM": lambda **kw: torch.nn.LSTM(3, **kw, num_layers=2),
    "LSTMCell": lambda **kw: LSTMCell(3, **kw),
    "torch LSTMCell": lambda **kw: torch.nn.LSTMCell(3, **kw),
}
INITIALISERS = {
    "default": init.torch_default_,
    "forget": init.forget_bias_,
    "chrono": lambda m, **kw: init.chrono_(m, 50, **kw),
    "uniform": init.uniform_gate_,
    "orthogonal": init.orthogonal_recurrent_,
}
every_module = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def biases(module):
    """(i, f, g, o) of each pair of biases, summed."""
    own = dict(module.named_parameters())
    pairs = [(own[n], own[n.replace("bias_ih", "bias_hh")]) for n in own if n.startswith("bias_ih")]
    return [(a + b).detach().chunk(4) for a, b in pairs]


def values(module):
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def assert_uniform(sample, low, high):
    """Kolmogorov-Smirnov at about one false alarm in a million."""
    x = ((sample.double() - low) / (high - low)).sort().values
    n = len(x)
    assert x[0] >= -1e-6
    assert x[-1] <= 1 + 1e-6
    steps = torch.arange(1, n + 1, dtype=torch.double) / n
    distance = torch.maximum((steps - x).abs(), (x - steps + 1 / n).abs()).max()
    assert distance < 2.7 / math.sqrt(n)


def assert_only_changed(module, before, names):
    for name, value in values(module).items():
        if not name.startswith(names):
            assert torch.equal(value, before[name]), name


@every_module
def test_the_default_is_pytorchs(make):
    module = make(hidden_size=9)
    torch.manual_seed(3)
    init.torch_default_(module)
    torch.manual_seed(3)
    expected = [torch.empty_like(p).uniform_(-1 / 3, 1 / 3) for p in module.parameters()]
    assert_same([*values(module).values()], expected, rtol=0, atol=0)
    torch.manual_seed(3)
    module.reset_parameters()
    assert_same([*values(module).values()], expected, rtol=0, atol=0)


@every_module
def test_forget_bias(make):
    module = make(hidden_size=5)
    before, sums = values(module), biases(module)
    assert init.forget_bias_(module, 2.5) is module
    for (i, f, g, o), old in zip(biases(module), sums, strict=True):
        assert torch.equal(f, torch.full((5,), 2.5))
        assert_same((i, g, o), (old[0], old[2], old[3]), rtol=0, atol=0)
    assert_only_changed(module, before, "bias")
    assert init.forget_bias_(module).state_dict()
    assert (biases(module)[0][1] == 1).all()


@every_module
def test_chrono(make):
    module = make(hidden_size=H)
    before, sums = values(module), biases(module)
    assert init.chrono_(module, T_max=300, T_min=20) is module
    for (i, f, g, o), old in zip(biases(module), sums, strict=True):
        assert_uniform(f.exp(), 20, 299)
        assert torch.equal(i, -f)
        assert_same((g, o), (old[2], old[3]), rtol=0, atol=0)
    assert_only_changed(module, before, "bias")


@every_module
def test_uniform_gates(make):
    module = make(hidden_size=H)
    before = values(module)
    assert init.uniform_gate_(module) is module
    for i, f, _, _ in biases(module):
        assert_uniform(f.sigmoid(), 1 / H, 1 - 1 / H)
        assert torch.equal(i, -f)
    assert_only_changed(module, before, "bias")


@pytest.mark.parametrize("hidden_size", [1, 2])
def test_uniform_gates_of_a_unit_or_two_are_half_open(hidden_size):
    for i, f, _, _ in biases(init.uniform_gate_(LSTM(3, hidden_size))):
        torch.testing.assert_close(f.sigmoid(), torch.full((hidden_size,), 0.5))
        assert torch.equal(i, -f)


@every_module
def test_orthogonal_blocks(make):
    module = make(hidden_size=7)
    before = values(module)
    assert init.orthogonal_recurrent_(module, gain=2.0) is module
    matrices = [v for n, v in values(module).items() if n.startswith("weight_hh")]
    for block in (b for m in matrices for b in m.chunk(4)):
        torch.testing.assert_close(block @ block.T, 4 * torch.eye(7), rtol=1e-4, atol=1e-5)
    assert not torch.equal(*matrices[0].chunk(4)[:2])
    assert_only_changed(module, before, "weight_hh")


def test_orthogonal_blocks_of_a_projected_lstm_have_orthonormal_columns():
    lstm = init.orthogonal_recurrent_(LSTM(3, 7, proj_size=4))
    for block in lstm.weight_hh_l0.detach().chunk(4):
        torch.testing.assert_close(block.T @ block, torch.eye(4), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", INITIALISERS)
def test_a_seed_repeats_and_autograd_goes_on(name):
    do = INITIALISERS[name]
    kw = [{} if name == "forget" else {"generator": torch.Generator().manual_seed(s)}
          for s in (1, 1, 2)]  # fmt: skip
    lstm = LSTM(3, 6)
    start = {k: v.clone() for k, v in lstm.state_dict().items()}
    state, found = torch.get_rng_state(), []
    for own in kw:
        lstm.load_state_dict(start)
        found.append(values(do(lstm, **own)))
    assert torch.equal(torch.get_rng_state(), state)
    assert_same(found[0], found[1], rtol=0, atol=0)
    if name != "forget":
        assert any(not torch.equal(found[0][k], found[2][k]) for k in start)
    lstm(torch.randn(4, 2, 3))[0].sum().backward()
    assert all(p.grad is not None and p.is_leaf for p in lstm.parameters())


def test_norms_and_learnt_states_start_where_they_do_nothing():
    lstm = LSTM(3, 6, cell=Cell(layer_norm=True, peephole=True), learn_initial_state=True)
    with torch.no_grad():
        for p in lstm.parameters():
            p.fill_(9)
    init.torch_default_(lstm)
    assert not lstm.h_0.any()
    assert not lstm.c_0.any()
    for norm in (lstm.norm_ih_l0, lstm.norm_hh_l0, lstm.norm_c_l0):
        assert torch.equal(norm, torch.stack([torch.ones_like(norm[0]), torch.zeros_like(norm[0])]))
    assert 0 < lstm.weight_peephole_l0.abs().max() <= 6**-0.5


@pytest.mark.parametrize("name", ["forget", "chrono", "uniform"])
@every_module
def test_a_bias_is_needed(make, name):
    with pytest.raises(ConfigError, match="has no biases: expected bias=True"):
        INITIALISERS[name](make(hidden_size=5, bias=False))


@pytest.mark.parametrize("do", INITIALISERS.values(), ids=INITIALISERS)
@pytest.mark.parametrize("wrong", [torch.nn.GRU(3, 4), torch.nn.Sequential(), None])
def test_other_modules_are_refused(do, wrong):
    with pytest.raises(ConfigError, match=f"lstm is a {type(wrong).__name__}: expected an LSTM"):
        do(wrong)


@pytest.mark.parametrize("cell", [Cell(coupled=True), Cell(forget_gate="one")], ids=repr)
def test_a_cell_without_a_forget_gate_has_no_forget_bias(cell):
    for module in (LSTM(3, 4, cell=cell), LSTMCell(3, 4, cell=cell)):
        with pytest.raises(ConfigError, match="has no forget gate of its own"):
            init.forget_bias_(module)


@pytest.mark.parametrize(
    "span", [(1, 1), (10, 0), (10, -1), (10, 9.5), (float("nan"), 1), (float("inf"), 1)]
)
def test_spans_that_cannot_be_are_refused(span):
    with pytest.raises(ConfigError, match=r"expected 0 < T_min <= T_max - 1"):
        init.chrono_(LSTM(3, 4), *span)
