"""A Python function at a site: the numbers of the built-in it equals, one warning, clear errors."""

import copy
import pickle
import warnings

import pytest
import torch
from torch.nn import functional
from twins import assert_same, gradients

from gatewise import Cell, reference, trace
from gatewise.cell import SITES
from gatewise.errors import ConfigError, ShapeError
from gatewise.nn import LSTM, LSTMCell

COST = r"step by step in PyTorch, 3 to 100 times slower"


def squash(x):
    return torch.tanh(x)


def quiet(cls, *args, **kw):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cls(*args, **kw)


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("kw", [{}, {"num_layers": 2, "bidirectional": True, "proj_size": 3}])
def test_a_function_gives_what_the_built_in_gives(site, kw):
    torch.manual_seed(0)
    built_in = LSTM(4, 6, cell=Cell(**{site: "tanh"}, peephole=True), dtype=torch.float64, **kw)
    lstm = quiet(LSTM, 4, 6, cell=Cell(**{site: squash}, peephole=True), dtype=torch.float64, **kw)
    lstm.load_state_dict(built_in.state_dict())
    found = []
    for module in (lstm, built_in):
        y, (h, c) = module(torch.ones(5, 3, 4, dtype=torch.float64), lengths=[5, 2, 3])
        (y.square().sum() + c.sum()).backward()
        found.append((y, h, c, gradients(module)))
    assert_same(*found, rtol=1e-12, atol=1e-12)


def test_a_function_trains_where_no_built_in_is():
    lstm = quiet(LSTM, 4, 6, cell=Cell(candidate=functional.silu), dtype=torch.float64)
    x = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: lstm(x)[0], x)
    cell = quiet(LSTMCell, 4, 6, cell=lstm.cell, dtype=torch.float64)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in lstm.state_dict().items()})
    torch.testing.assert_close(cell(x[0])[0], lstm(x[:1])[0][0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cls", [LSTM, LSTMCell])
def test_the_cost_is_said_once_for_each_function(cls):
    def first(x):
        return x

    def second(x):
        return x

    with pytest.warns(UserWarning, match=rf"The Python function first .*{COST}") as caught:
        cls(4, 6, cell=Cell(candidate=first, cell_output=first))
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cls(4, 6, cell=Cell(cell_output=first))
        cls(4, 6, cell=Cell(cell_output="relu"))
    with pytest.warns(UserWarning, match="second"):
        cls(4, 6, cell=Cell(candidate=second, cell_output=first))


@pytest.mark.parametrize("cls", [LSTM, LSTMCell])
def test_it_is_shown_copied_and_pickled(cls):
    module = quiet(cls, 4, 6, cell=Cell(candidate=squash))
    assert "cell=Cell(candidate=squash)" in repr(module)
    x = torch.randn(2, 3, 4) if cls is LSTM else torch.randn(3, 4)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert_same(other(x), module(x), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("function", "got"),
    [(torch.sum, r"\(\)"), (functional.glu, r"\(3, 3\)"), (lambda x: 1, "int")],
    ids=["scalar", "half", "number"],
)
def test_a_function_that_changes_the_shape_is_refused(function, got):
    lstm = quiet(LSTM, 4, 6, cell=Cell(candidate=function))
    with pytest.raises(ShapeError, match=rf"function at candidate returned {got}: expected .*3, 6"):
        lstm(torch.randn(2, 3, 4))


def test_what_runs_without_torch_says_that_it_cannot():
    lstm = quiet(LSTM, 4, 6, cell=Cell(candidate=squash))
    with pytest.raises(ConfigError, match=r"Cell\(candidate=squash\) holds a Python function"):
        trace.record(lstm, torch.randn(2, 3, 4))
    w = reference.weights(*(p.detach().numpy() for p in lstm.parameters()))
    with pytest.raises(ConfigError, match="candidate is the Python function squash"):
        reference.forward(torch.randn(2, 3, 4).numpy(), w, cell=lstm.cell)
