"""Measures on traces whose answers are known."""

import numpy as np
import pytest
import xarray as xr

from gatewise import Cell
from gatewise.errors import ConfigError
from gatewise.trace import Trace, forget_path, half_life, memory, saturation
from gatewise.trace.measures import variable

DIMS = ("layer", "direction", "time", "batch", "hidden")


def trace_of(cell=None, **variables):
    """A trace with one layer, direction and row; a variable is a list of steps [T][H]."""
    arrays = {k: (DIMS, np.array(v, float)[None, None, :, None, :]) for k, v in variables.items()}
    return Trace(xr.Dataset(arrays), cell or Cell())


def values(array):
    return array.values[0, 0].tolist()


def test_saturation_counts_steps_at_both_ends():
    gate = [[0.05, 0.5, 0.95], [0.05, 0.5, 0.05], [0.5, 0.5, 0.11], [0.5, 0.5, 0.89]]
    found = saturation(trace_of(input_gate=gate), "input_gate")
    assert found.dims == ("layer", "direction", "hidden")
    assert values(found) == [0.5, 0.0, 0.5]


def test_the_margin_of_saturation_is_a_part_of_the_range():
    trace = trace_of(candidate=[[-0.85, 0.79], [0.0, 0.81]])
    assert values(saturation(trace, "candidate", margin=0.1)) == [0.5, 0.5]
    assert values(saturation(trace, "candidate", margin=0.05)) == [0.0, 0.0]


@pytest.mark.parametrize("name", ["relu", "identity", "one"])
def test_saturation_needs_a_finite_range(name):
    trace = trace_of(Cell(candidate=name), candidate=[[0.0]])
    with pytest.raises(ConfigError, match=f"{name}.*expected a finite range"):
        saturation(trace, "candidate")


def test_saturation_of_an_unknown_site_is_refused():
    with pytest.raises(ConfigError, match=r"no site 'forget'.*'forget_gate'"):
        saturation(trace_of(forget_gate=[[0.5]]), "forget")


def test_memory_is_that_of_the_mean_forget_gate():
    trace = trace_of(forget_gate=[[0.9, 0.0, 1.0, 0.4], [0.9, 0.0, 1.0, 0.6]])
    found = memory(trace)
    assert found.dims == ("layer", "direction", "hidden")
    assert values(found) == pytest.approx([10, 1, np.inf, 2])


@pytest.mark.parametrize("f", [0.5, -0.5])
def test_half_of_what_changes_its_sign_is_forgotten_as_fast(f):
    trace = trace_of(Cell(forget_gate="tanh"), forget_gate=[[f, 0.9 * np.sign(f)]] * 30)
    assert values(half_life(trace)) == pytest.approx([1, np.log(0.5) / np.log(0.9)])
    left = np.abs(np.cumprod(trace.data["forget_gate"].values[0, 0, :, 0, 0]))
    assert left[0] == 0.5  # after one step


def test_memory_is_the_sum_of_the_weights_of_all_steps():
    for f in (0.2, 0.5, 0.99):
        assert values(memory(trace_of(forget_gate=[[f]])))[0] == pytest.approx(
            (f ** np.arange(5000)).sum()
        )


def test_the_forget_path_is_the_running_product_after_its_start():
    trace = trace_of(forget_gate=[[0.1], [0.5], [0.5], [1.0]])
    assert forget_path(trace).values.ravel().tolist() == [1, 0.5, 0.25, 0.25]
    assert forget_path(trace, 2).values.ravel().tolist() == [1, 1]
    assert forget_path(trace).dims == DIMS
    assert trace.data["forget_gate"].values.ravel().tolist() == [0.1, 0.5, 0.5, 1.0]


def test_the_forget_path_is_the_derivative_along_the_cell_state():
    from gatewise import reference

    zero_recurrence = reference.weights(
        np.random.default_rng(0).standard_normal((8, 3)), np.zeros((8, 2))
    )
    x = np.random.default_rng(1).standard_normal((6, 1, 3))
    run = reference.forward(x, zero_recurrence)
    trace = trace_of(forget_gate=run.gates[:, 0, 1])
    slopes = reference.backward(run, dc=np.ones((1, 2))).c0[0] / run.gates[0, 0, 1]
    np.testing.assert_allclose(forget_path(trace).values[0, 0, -1, 0], slopes, rtol=1e-12)


@pytest.mark.parametrize("start", [-1, 4])
def test_a_start_outside_the_trace_is_refused(start):
    with pytest.raises(ConfigError, match=f"start is {start}: expected 0 to 3"):
        forget_path(trace_of(forget_gate=[[0.5]] * 4), start)


def test_a_variable_is_found_by_name_or_its_neighbour_named():
    trace = trace_of(forget_gate=[[0.5]])
    assert variable(trace, "forget_gate").equals(trace.data["forget_gate"])
    with pytest.raises(ConfigError, match=r"no variable 'forget_gates'.*mean 'forget_gate'\?"):
        variable(trace, "forget_gates")
