"""What the reference does apart from its numbers, which tests/parity compares."""

import numpy as np
import pytest

from gatewise import Cell, reference
from gatewise.errors import ShapeError


def layer(I=2, H=3):
    rng = np.random.default_rng(0)
    return reference.weights(rng.standard_normal((4 * H, I)), rng.standard_normal((4 * H, H)))


def test_missing_biases_and_states_are_zero():
    w = layer()
    assert not w.b_ih.any()
    assert not w.b_hh.any()
    x = np.ones((4, 5, 2))
    zero = np.zeros((5, 3))
    np.testing.assert_array_equal(reference.forward(x, w).y, reference.forward(x, w, zero, zero).y)


def test_missing_output_gradients_are_zero():
    run = reference.forward(np.ones((4, 5, 2)), layer())
    zeros = reference.backward(run, np.zeros((4, 5, 3)), np.zeros((5, 3)), np.zeros((5, 3)))
    nothing = reference.backward(run)
    for name in ("x", "h0", "c0"):
        np.testing.assert_array_equal(getattr(nothing, name), getattr(zeros, name))
        assert not getattr(nothing, name).any()


def test_no_steps_leave_the_state_alone():
    h0, c0 = np.full((5, 3), 0.5), np.full((5, 3), 2.0)
    run = reference.forward(np.empty((0, 5, 2)), layer(), h0, c0)
    assert run.y.shape == (0, 5, 3)
    np.testing.assert_array_equal(run.h, h0)
    np.testing.assert_array_equal(run.c, c0)
    found = reference.backward(run, dh=h0, dc=c0)
    np.testing.assert_array_equal(found.h0, h0)
    np.testing.assert_array_equal(found.c0, c0)


def test_everything_is_float64_whatever_comes_in():
    w = reference.weights([[1], [1], [1], [1]], np.ones((4, 1), np.float32))
    run = reference.forward([[[1]]], w)
    assert {a.dtype for a in (run.y, run.h, run.c, run.gates, run.cell_state)} == {np.dtype(float)}


def test_one_gate_at_a_time_does_its_work():
    zero = np.zeros((4, 1))
    x, c0 = np.zeros((1, 1, 1)), np.full((1, 1), 0.7)

    def after(i, f, o):
        w = reference.weights(zero, zero, b_ih=[i, f, 1.0, o])
        return reference.forward(x, w, None, c0)

    assert after(-99, 99, 99).c.item() == pytest.approx(0.7)
    assert after(-99, -99, 99).c.item() == pytest.approx(0)
    assert after(99, -99, 99).c.item() == pytest.approx(np.tanh(1.0))
    assert after(99, 99, -99).y.item() == pytest.approx(0)
    assert after(99, 99, 99).y.item() == pytest.approx(np.tanh(0.7 + np.tanh(1.0)))


def test_unused_weights_have_no_influence():
    run = [
        reference.forward(np.ones((3, 1, 2)), reference.weights(w_ih, np.ones((4, 1))),
                          cell=Cell(forget_gate="one")).y
        for w_ih in (np.ones((4, 2)), np.array([[1, 1], [9, 9], [1, 1], [1, 1]]))
    ]  # fmt: skip
    np.testing.assert_array_equal(*run)


@pytest.mark.parametrize("shapes", [((6, 2), (6, 1)), ((4, 2), (8, 1)), ((4,), (4, 1))])
def test_matrices_that_do_not_stack_four_gates_are_refused(shapes):
    with pytest.raises(ShapeError, match=r"expected \[4H, I\] and \[4H, P\]"):
        reference.weights(*(np.zeros(s) for s in shapes))


@pytest.mark.parametrize("shape", [(4, 2), (4, 5, 3), (2,)])
def test_an_input_that_does_not_fit_is_refused(shape):
    with pytest.raises(ShapeError, match=r"expected \[T, B, I=2\]"):
        reference.forward(np.zeros(shape), layer())
