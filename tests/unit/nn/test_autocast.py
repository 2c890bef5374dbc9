"""Under torch.autocast: where PyTorch can, what it computes; where it cannot, the core."""

import warnings

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence
from twins import assert_same, gradients, twins

from gatewise.nn import LSTM, autocast, variants

# Once, and held below.
pytestmark = pytest.mark.filterwarnings("ignore:Under torch.autocast an LSTM computes in float32")

KINDS = {
    "plain": {},
    "deep": {"num_layers": 2, "bidirectional": True, "batch_first": True, "bias": False},
    "regularised": {"weight_dropout": 0.2, "recurrent_dropout": 0.1},
}
DTYPES = [torch.bfloat16, torch.float16]
X = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def without_pytorch(monkeypatch):
    """As on a processor without AVX-512."""
    monkeypatch.setattr(autocast, "_probe", lambda *_: False)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kw", KINDS.values(), ids=KINDS)
def test_the_core_runs_what_pytorch_cannot(kw, dtype, without_pytorch, monkeypatch):
    torch.manual_seed(0)
    lstm = LSTM(4, 6, **kw).eval()
    leaf, exact_leaf = X.clone().requires_grad_(), X.clone().requires_grad_()
    exact = lstm(exact_leaf)
    exact[0].sin().sum().backward()
    expected = [exact_leaf.grad, {n: g.clone() for n, g in gradients(lstm).items()}]
    lstm.zero_grad()
    monkeypatch.setattr(torch.nn.LSTM, "forward", lambda *_: pytest.fail("in PyTorch"))
    with torch.autocast("cpu", dtype):
        assert lstm.explain(leaf).path == "autocast"
        got = lstm(leaf)
        got[0].float().sin().sum().backward()
    for a, b in zip((got[0], *got[1]), (exact[0], *exact[1]), strict=True):
        assert a.dtype is dtype
        assert (a.float() - b).abs().max() < 0.02
    assert_same([leaf.grad, gradients(lstm)], expected, rtol=0.1, atol=0.05)


@pytest.mark.parametrize("dtype", DTYPES)
def test_states_and_modules_of_another_dtype(dtype, without_pytorch):
    lstm = LSTM(4, 6)
    state = torch.zeros(1, 3, 6), torch.zeros(1, 3, 6)
    with torch.autocast("cpu", dtype):
        expected = lstm(X)
        assert_same(lstm(X, state), expected, rtol=0, atol=0)
        lstm.to(dtype)
        assert_same(lstm(X, tuple(s.to(dtype) for s in state)), expected, rtol=0.02, atol=0.01)


@pytest.mark.parametrize(
    ("kw", "dtype"), [({}, torch.float16), ({"weight_dropout": 0.2}, torch.bfloat16)]
)
def test_float32_in_place_of_autocast_s_dtype_is_warned_of_once(kw, dtype, without_pytorch):
    lstm = LSTM(4, 6, **kw).eval()
    variants._warn_once.cache_clear()
    with torch.autocast("cpu", dtype):
        with pytest.warns(UserWarning, match="computes in float32 here") as caught:
            lstm(X)
        assert caught[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            lstm(X)


def test_emulated_bfloat16_needs_no_warning(without_pytorch):
    variants._warn_once.cache_clear()
    with torch.autocast("cpu", torch.bfloat16), warnings.catch_warnings():
        warnings.simplefilter("error")
        LSTM(4, 6)(X)


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_where_pytorch_can_it_does(dtype, recorded):
    ours, theirs = twins()
    with torch.autocast("cpu", dtype), torch.set_grad_enabled(recorded):
        try:
            expected = theirs(X)
        except RuntimeError:  # on this processor
            assert not autocast._probe(dtype, recorded)
            assert ours.explain(X).path == "autocast"
            assert ours(X)[0].dtype is dtype
            return
        assert ours.explain(X).path == "torch"
        assert_same(ours(X), expected, rtol=0, atol=0)


INPUTS = {
    "packed": lambda dtype: pack_sequence([X[:, 0], X[:3, 1]]),
    "of autocast's dtype": X.to,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", INPUTS)
def test_what_pytorch_can_on_any_processor_has_its_dtypes(name, dtype):
    ours, theirs = twins()
    with torch.autocast("cpu", dtype):
        got, expected = (m(INPUTS[name](dtype)) for m in (ours, theirs))
    assert_same(got, expected, rtol=0.02, atol=0.01)


@pytest.mark.parametrize("dtype", DTYPES)
def test_modules_in_half_precision(dtype):
    ours, theirs = twins(dtype=dtype)
    for x in (X.to(dtype), pack_sequence([X[:, 0].to(dtype), X[:3, 1].to(dtype)])):
        assert_same(ours(x), theirs(x), rtol=0, atol=0)


def test_the_probe_draws_nothing():
    autocast._probe.cache_clear()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    autocast._probe(torch.bfloat16, True)
    assert torch.equal(torch.get_rng_state(), before)


def test_outside_autocast_an_lstm_is_itself_again(without_pytorch):
    lstm = LSTM(4, 6)
    expected = lstm(X)
    with torch.autocast("cpu", torch.bfloat16):
        lstm(X)
    assert_same(lstm(X), expected, rtol=0, atol=0)
