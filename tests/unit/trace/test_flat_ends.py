"""What the captions say of flat ends, against derivatives of the reference."""

import numpy as np
import pytest

from gatewise import reference
from gatewise.trace import forget_path, plot_operating_points, record
from gatewise.weights import LSTMConfig, LSTMWeights

STEPS = 60
LOGIT_OF_FORGET = 8.0
SATURATED = 5.0


def run_with(input_logit=0.0, candidate=0.0, c0=SATURATED, logit=LOGIT_OF_FORGET):
    """A cell of one unit with slight recurrence, and its weights."""
    rng = np.random.default_rng(0)
    bias = np.array([input_logit, logit, candidate, 0.0])
    w = reference.weights(0.1 * rng.normal(size=(4, 1)), 0.1 * rng.normal(size=(4, 1)), bias)
    x = rng.normal(size=(STEPS, 1, 1))
    return x, w, reference.forward(x, w, np.zeros((1, 1)), np.full((1, 1), c0))


def test_where_psi_is_flat_all_along_the_gradient_passes_from_c_to_c():
    _, _, run = run_with(input_logit=-9.0)
    slopes = 1 - run.cell_output**2
    assert slopes.max() < 3e-4  # flat at each of the sixty steps
    passed = reference.backward(run, dc=np.ones((1, 1))).c0.item()
    assert passed == pytest.approx(0.98, abs=0.005)
    assert passed == pytest.approx(run.gates[:, 0, 1].prod(), rel=1e-3)


def test_where_psi_is_flat_that_step_s_h_says_little_about_c():
    _, _, run = run_with(input_logit=-9.0)
    last = np.zeros((STEPS, 1, 1))
    last[-1] = 1.0
    assert abs(reference.backward(run, dy=last).c0.item()) < 3e-4
    _, _, steep = run_with(input_logit=-9.0, c0=0.1)
    assert abs(reference.backward(steep, dy=last).c0.item()) > 0.3


def test_where_phi_is_flat_a_step_learns_little_new():
    found = {}
    for bias in (0.0, 6.0):
        _, _, run = run_with(candidate=bias, c0=0.0, logit=0.0)
        gradient = reference.backward(run, dc=np.ones((1, 1)))
        found[bias] = abs(gradient.weights.b_ih[2])
    assert found[6.0] < 1e-3 * found[0.0]


def recorded(directions=1):
    rng = np.random.default_rng(1)
    config = LSTMConfig(input_size=2, hidden_size=3, bidirectional=directions == 2)
    arrays = {}
    for suffix in ("", "_reverse")[:directions]:
        arrays |= {
            f"weight_ih_l0{suffix}": rng.normal(size=(12, 2)),
            f"weight_hh_l0{suffix}": np.zeros((12, 3)),
            f"bias_ih_l0{suffix}": rng.normal(size=12),
            f"bias_hh_l0{suffix}": np.zeros(12),
        }
    return record(LSTMWeights(config, arrays), rng.normal(size=(7, 2, 2)))


def test_the_carousel_beside_the_curves_is_the_forget_path():
    trace = recorded()
    axis = plot_operating_points(trace).axes[-1]
    path = forget_path(trace).isel(layer=0, direction=0)
    lines = [line.get_ydata() for line in axis.lines]
    np.testing.assert_array_equal(np.array(lines[:-1]).T, path.values.reshape(7, 6))
    np.testing.assert_array_equal(lines[-1], np.median(path.values.reshape(7, 6), axis=1))
    assert axis.get_ylabel() == "∂c_t/∂c_start"


def test_in_reverse_the_forget_path_is_what_the_first_cell_state_holds_of_the_others():
    trace = recorded(2)
    gates = trace.data["forget_gate"].values[0]
    path = forget_path(trace, 2).values[0]
    for k in range(5):
        np.testing.assert_allclose(path[0, k], gates[0, 3 : 3 + k].prod(0))
        np.testing.assert_allclose(path[1, k], gates[1, 2 : 2 + k].prod(0))
    axis = plot_operating_points(trace, direction=1).axes[-1]
    assert axis.get_ylabel() == "∂c_start/∂c_t"
