"""What cannot be traced, edited or drawn is refused with a sentence."""

import numpy as np
import pytest
import torch

from gatewise import trace
from gatewise.errors import ConfigError, DtypeError, GatewiseError, ShapeError
from gatewise.trace import Edit, record, run_on

LSTM, X = torch.nn.LSTM(3, 4), torch.randn(6, 2, 3)


def number(value):
    return value


@pytest.mark.parametrize(
    ("edits", "error", "fault"),
    [
        (Edit("candidate", object()), DtypeError, "value for candidate"),
        (Edit("candidate", number), DtypeError, "value for candidate"),
        (Edit("candidate", 1 + 2j), DtypeError, "complex"),
        (Edit("candidate", [[1.0], [2.0, 3.0]]), ShapeError, "value for candidate"),
        (Edit("candidate", 1.0, steps="a"), ConfigError, "steps is .*whole numbers, 0 to 5"),
        (Edit("candidate", 1.0, units=[0.5]), ConfigError, "units is .*whole numbers, 0 to 3"),
        (Edit("candidate", 1.0, layer="a"), ConfigError, "layer is 'a'"),
        (Edit("candidate", 1.0, direction=[0, 0]), ConfigError, "direction is"),
        (Edit("candidate", "resample", seed="a"), ConfigError, "seed is 'a'"),
        (Edit("candidate", "resample", seed=-1), ConfigError, "seed is -1"),
        (None, ConfigError, "edits holds None"),
        (["candidate"], ConfigError, "edits holds 'candidate'"),
    ],
)
def test_edits_that_are_none(edits, error, fault):
    with pytest.raises(error, match=fault):
        run_on(LSTM, X, edits)


@pytest.mark.parametrize("t", [-1, 6, "a", 2.5, None, [1], True])
def test_a_state_at_no_step(t):
    with pytest.raises(ConfigError, match=r"t is .*0 to 5"):
        record(LSTM, X).state_at(t)


def test_a_state_after_the_end_of_a_row():
    recorded = record(LSTM, X, lengths=[6, 3])
    assert np.isfinite(recorded.state_at(2)).all()
    with pytest.raises(ConfigError, match="row 1 has 3 steps"):
        recorded.state_at(3)


def test_names_and_keep_of_no_kind():
    with pytest.raises(ShapeError, match="inputs: got 5, expected a list of 3"):
        record(LSTM, X, inputs=5)
    with pytest.raises(ConfigError, match="keep is 5"):
        record(LSTM, X, keep=5)


DRAWN = ("plot_gates", "plot_saturation", "plot_sites", "plot_attention", "plot_operating_points")


@pytest.mark.parametrize("shape", [(0, 2, 3), (5, 0, 3), (0, 0, 3)])
def test_an_empty_trace_is_whole_and_says_that_it_is_empty(shape, tmp_path):
    x = torch.zeros(shape)
    found = record(LSTM, x)
    for name, array in found.data.data_vars.items():
        assert array.shape == (1, 1, *shape[:2], 4), name
        assert array.values.size == 0
    edited = run_on(LSTM, x, Edit("forget_gate", 1.0))
    assert edited.data["cell_state"].shape == found.data["cell_state"].shape
    found.save(tmp_path / "a.nc")
    assert trace.Trace.load(tmp_path / "a.nc") == found
    assert trace.findings(found)
    assert "<" in found._repr_html_()
    flow = trace.gradient_flow(LSTM, x, np.zeros((*shape[:2], 4)))
    assert flow["cell_state"].shape == (1, 1, *shape[:2], 4)
    for name in DRAWN:
        with pytest.raises(GatewiseError, match="empty"):
            getattr(trace, name)(found)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_shown(value):
    found = record(LSTM, X * value)
    trace.findings(found)
    for name in DRAWN:
        getattr(trace, name)(found)
