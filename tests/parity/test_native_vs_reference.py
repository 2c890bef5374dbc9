"""The native core, each instruction set and dtype, against the NumPy reference."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from layers import assert_near, by_reference, draw, native

DTYPES = (np.float32, np.float64)
sizes = st.fixed_dictionaries(
    {
        "T": st.sampled_from([1, 2, 3, 7, 17, 33]),
        "B": st.sampled_from([1, 2, 7, 17, 33, 129]),
        "I": st.sampled_from([1, 2, 7, 17, 33, 129]),
        "H": st.sampled_from([1, 2, 7, 17, 33, 129]),
    }
)


def compare(shape, dtype, *, bias=True, reverse=False, seed=0):
    inputs, grads = draw(**shape, dtype=dtype, bias=bias, seed=seed)
    got, expected = native(inputs, grads, reverse), by_reference(inputs, grads, reverse)
    assert got.keys() == expected.keys()
    for name in expected:
        assert_near(got[name], expected[name], dtype, f"{name} {shape}")


@pytest.mark.parametrize("dtype", DTYPES)
@given(shape=sizes, flags=st.fixed_dictionaries({"bias": st.booleans(), "reverse": st.booleans()}))
@example(shape={"T": 33, "B": 129, "I": 129, "H": 129}, flags={"bias": True})
@example(shape={"T": 1, "B": 1, "I": 1, "H": 1}, flags={"reverse": True})
def test_outputs_and_gradients_equal_the_reference(isa, dtype, shape, flags):
    compare(shape, dtype, **flags)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("H", range(1, 40))
def test_every_width_up_to_two_vectors_equals_the_reference(isa, dtype, H):
    compare({"T": 3, "B": 5, "I": 41 - H, "H": H}, dtype, seed=H)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("B", range(1, 20))
def test_every_batch_up_to_three_tiles_equals_the_reference(isa, dtype, B):
    compare({"T": 3, "B": B, "I": 5, "H": 9}, dtype, seed=B)


# Of few inputs, dx is summed over the lanes of a vector.
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("I", range(1, 7))
def test_few_inputs_equal_the_reference(isa, dtype, I):
    compare({"T": 3, "B": 7, "I": I, "H": 37}, dtype, seed=I)
    compare({"T": 2, "B": 1, "I": I, "H": 3}, dtype, reverse=True, seed=I)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("I", range(6))
def test_dx_of_few_inputs_keeps_to_its_columns(isa, dtype, I):
    inputs, grads = draw(T=3, B=5, I=I, H=9, dtype=dtype)
    wide = np.full((3, 5, I + 2), 7.0, dtype)
    dx = wide[:, :, 1 : 1 + I]
    native(inputs, grads, dx=dx)
    np.testing.assert_array_equal(dx, native(inputs, grads)["dx"])
    assert (wide[:, :, [0, -1]] == 7).all()


# More weights than L2 keeps: tiles fetch those of the next panel, or block of columns.
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [{"T": 3, "B": 67, "I": 290, "H": 331},
                                   {"T": 140, "B": 1, "I": 7, "H": 300}], ids=str)  # fmt: skip
def test_a_layer_of_many_weights_equals_the_reference(isa, dtype, shape):
    compare(shape, dtype)
    compare(shape, dtype, reverse=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", ["T", "B", "I"])
def test_an_axis_of_length_0_equals_the_reference(isa, dtype, axis):
    compare({"T": 3, "B": 4, "I": 5, "H": 9} | {axis: 0}, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kept", range(3))
def test_one_output_gradient_alone_equals_the_reference(isa, dtype, kept):
    inputs, grads = draw(T=7, B=5, I=3, H=17, dtype=dtype)
    grads = [g if k == kept else None for k, g in enumerate(grads)]
    got, expected = native(inputs, grads), by_reference(inputs, grads)
    for name in expected:
        assert_near(got[name], expected[name], dtype, name)


def test_without_dx_the_other_gradients_are_the_same_bits(isa):
    inputs, grads = draw(T=7, B=5, I=3, H=17, dtype=np.float32)
    whole, without = native(inputs, grads), native(inputs, grads, want_dx=False)
    assert whole.keys() - without.keys() == {"dx"}
    for name, value in without.items():
        np.testing.assert_array_equal(value, whole[name], err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_strided_sequences_equal_dense_ones(isa, dtype):
    inputs, grads = draw(T=6, B=5, I=7, H=9, dtype=dtype)
    dense = native(inputs, grads)
    wide = np.full((5, 6, 20), 7.0, dtype)
    wide[:, :, 3:10] = inputs["x"].swapaxes(0, 1)
    dy = np.full((6, 5, 18), 7.0, dtype)
    dy[:, :, 9:] = grads[0]
    strided = {**inputs, "x": wide.swapaxes(0, 1)[:, :, 3:10]}
    got = native(strided, (dy[:, :, 9:], *grads[1:]))
    for name, value in dense.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)


def test_large_states_and_saturated_gates_equal_the_reference(isa):
    inputs, grads = draw(T=9, B=4, I=3, H=8, dtype=np.float64, seed=3)
    inputs = {k: 40 * v for k, v in inputs.items()}
    got, expected = native(inputs, grads), by_reference(inputs, grads)
    for name in expected:
        assert_near(got[name], expected[name], np.float64, name)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_infinity_travel_as_in_the_reference(isa, dtype, value):
    inputs, grads = draw(T=4, B=9, I=3, H=5, dtype=dtype)
    inputs["x"][1, 2, 1] = value
    with np.errstate(all="ignore"):
        expected = by_reference(inputs, grads)
    got = native(inputs, grads)
    for name in ("y", "h_n", "c_n"):
        np.testing.assert_allclose(got[name], expected[name], rtol=2e-5, atol=2e-6, err_msg=name)
