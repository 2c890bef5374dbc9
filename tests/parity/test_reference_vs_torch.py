"""The reference's default cell against `torch.nn.LSTM`, in float64."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from layers import assert_near, by_reference, by_torch, draw, native

size = st.sampled_from([1, 2, 7, 17, 33])


@given(T=size, B=st.sampled_from([0, 1, 7, 33]), I=size, H=size, bias=st.booleans())
def test_outputs_and_gradients_equal_torch(T, B, I, H, bias):
    inputs, grads = draw(T, B, I, H, dtype=np.float64, bias=bias)
    got, expected = by_reference(inputs, grads), by_torch(inputs, grads)
    assert got.keys() == expected.keys()
    for name in expected:
        assert_near(got[name], expected[name], np.float64, name)


def test_the_three_agree_on_one_layer(isa):
    inputs, grads = draw(17, 7, 33, 129, dtype=np.float64)
    expected = by_torch(inputs, grads)
    for computed in (native(inputs, grads), by_reference(inputs, grads)):
        for name in expected:
            assert_near(computed[name], expected[name], np.float64, name)
