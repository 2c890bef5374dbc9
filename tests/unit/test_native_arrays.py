"""The core's face for NumPy refuses what the compiled module would misread."""

import numpy as np
import pytest

from gatewise._native import _core
from gatewise._native.arrays import Network


def parameters(dtype=np.float32):
    rng = np.random.default_rng(0)
    shapes = ((12, 2), (12, 3), (12,), (12,))
    return [[rng.standard_normal(shape).astype(dtype) for shape in shapes]]


def unaligned(a):
    made = np.frombuffer(bytes(2) + a.tobytes(), a.dtype, offset=2).reshape(a.shape)
    assert not made.flags.aligned
    return made


@pytest.mark.parametrize("dtype", [np.float16, np.int32, ">f4", np.longdouble])
def test_weights_of_another_dtype_are_refused(dtype):
    with pytest.raises(ValueError, match="w_ih: expected float32 or float64, got"):
        Network(parameters(dtype))


@pytest.mark.parametrize("k", range(4))
def test_unaligned_weights_are_refused(k):
    given = parameters()
    given[0][k] = unaligned(given[0][k])
    with pytest.raises(ValueError, match="expected aligned float32"):
        Network(given)


@pytest.mark.parametrize("k", range(6))
def test_unaligned_arrays_of_a_run_are_refused(k):
    network = Network(parameters())
    shapes = ((4, 5, 2), (1, 5, 3), (1, 5, 3), (4, 5, 3), (1, 5, 3), (1, 5, 3))
    arrays = [np.zeros(shape, np.float32) for shape in shapes]
    network.forward(*arrays)
    arrays[k] = unaligned(arrays[k])
    with pytest.raises(ValueError, match="expected aligned float32"):
        network.forward(*arrays)


def test_a_cell_or_site_of_another_length_is_refused():
    x = np.zeros(3, np.float32)
    for site in ((), ("tanh",), ("tanh", 1.0, 1.0), ("tanh", 1.0, 1.0, 0.0, 0.0)):
        with pytest.raises(ValueError, match="a site is"):
            _core.activate(site, x, x)
    for cell in (("sigmoid",), ("sigmoid",) * 7, ("sigmoid",) * 9):
        with pytest.raises(ValueError, match="a cell is"):
            _core.used_gates(cell)
        with pytest.raises(ValueError, match="a cell is"):
            _core.CacheF32(1, 1, 2, 3, False, cell)
