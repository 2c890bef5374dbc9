"""Whatever is handed over, the answer is a result or one of our errors."""

from contextlib import suppress

import numpy as np
import pytest
import torch

from gatewise import trace
from gatewise.errors import GatewiseError
from gatewise.trace import Edit, Keep, record, run_on

L = torch.nn.LSTM(3, 4, dtype=torch.float64)
X = torch.randn(60, 2, 3, dtype=torch.float64)
ROW, PAIR = X[:, :1], (X[:, 0], X[:, 1])
ODD = (
    None,
    "a",
    1.5,
    -1,
    99,
    True,
    [],
    [1, 2],
    {},
    1 + 2j,
    np.nan,
    np.float64(2),
    slice(2),
    object(),
)
TRACES = {
    "whole": record(L, X),
    "cell states": record(L, X, keep=["cell_state"]),
    "no units": record(L, X, keep=Keep(units=[])),
    "no layers": record(L, X, keep=Keep(layers=[])),
    "no steps": record(L, torch.zeros(0, 2, 3)),
    "no rows": record(L, torch.zeros(5, 0, 3)),
    "infinite": run_on(L, X, Edit("cell_state", np.inf, steps=5, units=[0])),
    "NaN": record(L, X * np.nan),
}
SEEN = (
    "attention", "effective_rank", "findings", "forget_path", "half_life", "memory",
    "plot_attention", "plot_gates", "plot_operating_points", "plot_saturation", "plot_sites",
)  # fmt: skip
TARGET, DY = np.arange(120.0).reshape(60, 2), np.ones((60, 2, 4))


def metric(y):
    return float(y[-1].sum())


def head(states):
    return states[..., :1]


CALLS = {
    "attention": (lambda **kw: trace.attention(TRACES["whole"], **kw),
                  ("layer", "direction", "batch", "units", "times")),
    "similar_states": (lambda t=2, **kw: trace.similar_states(TRACES["whole"], t, **kw),
                       ("t", "batch", "name", "layer", "direction", "count")),
    "probe": (lambda target=TARGET, **kw:
              trace.probe(TRACES["whole"], target, **kw),
              ("target", "name", "layer", "direction", "penalty", "folds", "level", "seed")),
    "lens": (lambda head=head, **kw: trace.lens(TRACES["whole"], head, **kw),
             ("head", "layer", "direction")),
    "plot_intervention": (lambda edited=TRACES["whole"], **kw:
                          trace.plot_intervention(TRACES["whole"], edited, **kw),
                          ("edited", "labels", "name", "layer", "direction", "batch", "most")),
    "plot_attention": (lambda **kw: trace.plot_attention(TRACES["whole"], **kw),
                       ("layer", "direction", "batch", "most")),
    "plot_gates": (lambda **kw: trace.plot_gates(TRACES["whole"], **kw),
                   ("layer", "direction", "batch", "labels")),
    "saturation": (lambda site="forget_gate", **kw: trace.saturation(TRACES["whole"], site, **kw),
                   ("site", "margin")),
    "operating": (lambda site="candidate", **kw: trace.operating(TRACES["whole"], site, **kw),
                  ("site", "beyond")),
    "influence": (lambda **kw: trace.influence(L, X, **kw),
                  ("of", "layer", "direction", "step", "inputs")),
    "integrated_gradients": (lambda **kw: trace.integrated_gradients(L, ROW[:5], **kw),
                             ("baseline", "time", "of", "points")),
    "lyapunov_exponents": (lambda **kw: trace.lyapunov_exponents(L, ROW, **({"count": 2} | kw)),
                           ("count", "layer", "direction", "warm_up", "seed")),
    "patch": (lambda site="cell_state", **kw:
              trace.patch(L, *(x[:3] for x in PAIR), site, metric, **kw),
              ("site", "layer", "direction", "state")),
    "path_patch": (lambda gate="candidate", **kw:
                   trace.path_patch(L, *(x[:3] for x in PAIR), gate, metric, **kw),
                   ("gate", "layer", "direction", "state")),
    "gradient_flow": (lambda dy=DY, **kw: trace.gradient_flow(L, X, dy, **kw),
                      ("dy", "state")),
    "record": (lambda **kw: record(L, X, **kw),
               ("state", "lengths", "time", "keep", "inputs", "units")),
    "cut": (TRACES["whole"].cut, ("time", "batch", "layer", "hidden", "other")),
    "state_at": (TRACES["whole"].state_at, ("t",)),
    "edit": (lambda site="candidate", value=1.0, **kw: run_on(L, X, Edit(site, value, **kw)),
             ("site", "value", "units", "steps", "layer", "direction", "seed")),
    "keep": (lambda **kw: record(L, X, keep=Keep(**kw)),
             ("variables", "units", "layers", "steps", "dtype")),
}  # fmt: skip
ARGUMENTS = [(call, argument) for call, (_, names) in CALLS.items() for argument in names]


@pytest.mark.parametrize(("call", "argument"), ARGUMENTS)
@pytest.mark.parametrize("value", ODD, ids=lambda v: type(v).__name__)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_odd_arguments(call, argument, value):
    with suppress(GatewiseError):
        CALLS[call][0](**{argument: value})


@pytest.mark.parametrize("name", SEEN)
@pytest.mark.parametrize("kind", TRACES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_odd_traces(kind, name):
    with suppress(GatewiseError):
        getattr(trace, name)(TRACES[kind])


@pytest.mark.parametrize("kind", TRACES)
def test_every_trace_shows_itself_and_comes_back_from_its_file(kind, tmp_path):
    assert "<" in TRACES[kind]._repr_html_()
    TRACES[kind].save(tmp_path / "a.nc")
    assert trace.Trace.load(tmp_path / "a.nc") == TRACES[kind]
