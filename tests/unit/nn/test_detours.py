"""What the core could have done runs step by step: warned of once, with a remedy that works."""

import warnings

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from gatewise import Cell
from gatewise.nn import LSTM, native, variants

CELL = Cell(candidate="softsign")
X = torch.randn(5, 3, 4)
PACKED = pack_sequence([torch.randn(n, 4) for n in (5, 3, 2)])
COST = "An LSTM that PyTorch does not have .* runs step by step in PyTorch, 3 to 100 times slower"
KINDS = [{"cell": CELL}, {"zoneout": 0.1}]


def compiled(lstm):
    torch._dynamo.reset()
    return torch.compile(lstm, backend="eager")


def autocast(lstm, enabled=True):
    def call(x):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            return lstm(x)

    return call


def packed_outside(lstm):
    outside = torch.compiler.disable(lambda: lstm(PACKED))
    return compiled(lambda x: (outside(), x.sum()))


DETOURS = {
    "float16": (lambda m: m.half(), X.half(), "in float16 or bfloat16"),
    "bfloat16": (lambda m: m.bfloat16(), X.bfloat16(), "in float16 or bfloat16"),
    "autocast": (autocast, X, r"under torch\.autocast"),
    "packed": (compiled, PACKED, "with a packed sequence or lengths while torch.compile"),
    "lengths": (
        lambda m: compiled(lambda x: m(x, lengths=[5, 2, 1])),
        X,
        "with a packed sequence or lengths while",
    ),
    "compiled in bfloat16": (lambda m: compiled(m.bfloat16()), X.bfloat16(), "in float16 or"),
}
REMEDIES = {
    "float16": lambda m: m.half().float(),
    "precision": lambda m: LSTM(4, 6, cell=m.cell, precision="bfloat16"),
    "autocast": lambda m: autocast(autocast(m, enabled=False)),
    "packed": packed_outside,
}


@pytest.fixture(autouse=True)
def anew():
    """Nothing was warned of yet, nor will be after."""
    variants._warn_once.cache_clear()
    yield
    variants._warn_once.cache_clear()


@pytest.mark.parametrize("options", KINDS, ids=["cell", "zoneout"])
@pytest.mark.parametrize("name", DETOURS)
def test_a_detour_is_warned_of_once(name, options):
    prepare, x, reason = DETOURS[name]
    lstm = LSTM(4, 6, **options).eval()
    call = prepare(lstm)
    with torch.no_grad(), torch._dynamo.config.patch(allow_rnn=True):
        with pytest.warns(UserWarning, match=f"{COST}.* it was called {reason}") as caught:
            call(x)
        assert sum("step by step" in str(w.message) for w in caught) == 1
        torch._dynamo.reset()
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "An LSTM")
            call(x)


@pytest.mark.parametrize("extra", [{}, {"lengths": [5] * X.shape[1]}], ids=["plain", "lengths"])
def test_the_line_that_calls_is_named(extra):
    with pytest.warns(UserWarning, match="An LSTM") as caught:
        LSTM(4, 6, cell=CELL).half()(X.half(), **extra)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("name", REMEDIES)
def test_the_remedies_run_on_the_core(name, monkeypatch):
    runs = []
    run = native.run
    monkeypatch.setattr(native, "run", lambda *args: runs.append(1) or run(*args))
    call = REMEDIES[name](LSTM(4, 6, cell=CELL))
    with torch.no_grad():
        call(X)
    assert runs == [1]


def test_what_the_core_cannot_do_is_not_warned_of():
    lstm = LSTM(4, 6, cell=CELL, dtype=torch.float64)
    x = X.double().requires_grad_()
    torch.func.grad(lambda x: lstm(x)[0].sum())(X.double())
    (g,) = torch.autograd.grad(lstm(x)[0].square().sum(), x, create_graph=True)
    g.sum().backward()
    LSTM(4, 6).bfloat16()(X.bfloat16())  # PyTorch's own kernels
    assert LSTM(4, 6, cell=CELL)(PACKED)[0].data.shape == (10, 6)
