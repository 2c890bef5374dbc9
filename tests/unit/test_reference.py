"""What the reference does apart from its numbers, which tests/parity compares."""

import numpy as np
import pytest

from gatewise import Cell, reference
from gatewise.cell import SITES
from gatewise.errors import ConfigError, ShapeError


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


def test_lengths_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"lengths has shape \(2,\): expected \(5,\)"):
        reference.forward(np.zeros((4, 5, 2)), layer(), lengths=[1, 2])


def test_a_python_function_is_refused():
    with pytest.raises(ConfigError, match="candidate is the Python function"):
        reference.forward(np.zeros((4, 5, 2)), layer(), cell=Cell(candidate=lambda x: x))


def test_zoneout_mixes_old_and_new_and_h_comes_from_the_new_cell_state():
    zero = np.zeros((4, 1))
    w = reference.weights(zero, zero, b_ih=[0.2, -0.3, 0.5, 0.7])
    i, f, o = (1 / (1 + np.exp(-b)) for b in (0.2, -0.3, 0.7))
    c_new = f * 0.9 + i * np.tanh(0.5)
    run = reference.forward(np.zeros((1, 1, 1)), w, [[0.4]], [[0.9]], zoneout=(0.25, 0.75))
    assert run.c.item() == pytest.approx(0.25 * c_new + 0.75 * 0.9)
    assert run.h.item() == pytest.approx(0.75 * o * np.tanh(c_new) + 0.25 * 0.4)
    assert run.cell_state.item() == run.c.item()
    assert run.cell_output.item() == pytest.approx(np.tanh(c_new))


def test_a_recurrent_mask_reaches_w_hh_alone():
    rng = np.random.default_rng(0)
    x, h0 = rng.standard_normal((1, 5, 2)), rng.standard_normal((5, 3))
    w, mask = layer(), np.array([0.0, 1.25, 1.25])
    run = reference.forward(x, w, h0, recurrent_mask=np.tile(mask, (5, 1)))
    scaled = reference.weights(w.w_ih, w.w_hh * mask)
    np.testing.assert_allclose(run.y, reference.forward(x, scaled, h0).y, rtol=1e-13)


def test_rates_of_zero_and_masks_of_one_change_nothing():
    x, w = np.random.default_rng(0).standard_normal((4, 5, 2)), layer()
    run = reference.forward(x, w, recurrent_mask=np.ones((5, 3)), zoneout=(0, 0), lengths=[4] * 5)
    np.testing.assert_array_equal(run.y, reference.forward(x, w).y)


@pytest.mark.parametrize(
    "cell",
    [Cell(**{site: "one"}, peephole=True, layer_norm=norm)
     for site in SITES[:4] for norm in (False, True)]
    + [Cell(coupled=True, peephole=True, layer_norm=True)],
    ids=repr,
)  # fmt: skip
def test_a_removed_gates_weights_do_nothing_and_get_no_gradient(cell):
    rng = np.random.default_rng(0)
    H, gone = 3, np.repeat(~np.array(cell.used_gates), 3)
    own = {"w_ih": (4 * H, 2), "w_hh": (4 * H, H), "b_ih": (4 * H,), "b_hh": (4 * H,)}
    own = {k: rng.standard_normal(s) for k, s in own.items()} | {
        "peephole": rng.standard_normal((3, H))
    }
    if cell.layer_norm:
        shapes = {"norm_ih": (2, 4 * H), "norm_hh": (2, 4 * H), "norm_c": (2, H)}
        own |= {k: rng.standard_normal(s) for k, s in shapes.items()}
    x = rng.standard_normal((4, 5, 2))
    run = reference.forward(x, reference.weights(**own), cell=cell)
    grads = reference.backward(run, rng.standard_normal(run.y.shape)).weights
    changed = dict(own)
    for name in ("w_ih", "w_hh", "b_ih", "b_hh"):
        assert not getattr(grads, name)[gone].any(), name
        assert getattr(grads, name)[~gone].all(), name
        changed[name] = np.where(gone if own[name].ndim == 1 else gone[:, None], 7.0, own[name])
    other = reference.forward(x, reference.weights(**changed), cell=cell)
    np.testing.assert_array_equal(other.y, run.y)
    for k, gate in enumerate((0, 1, 3)):
        assert grads.peephole[k].any() == cell.used_gates[gate]
