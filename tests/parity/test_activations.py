"""The core's sigmoid and tanh against float64, in units in the last place; sampled.

`make test-exhaustive` looks at every float32.
"""

import numpy as np
import pytest

from gatewise import _native
from gatewise.cell import ACTIVATIONS

NAMES = ("sigmoid", "tanh")
TINY = {np.float32: np.finfo(np.float32).tiny, np.float64: np.finfo(np.float64).tiny}
DOUBLE_ULP = 4.0


def activate(name, x):
    y = np.full_like(x, 7)
    _native.activate(name, x, y)
    return y


def exact(name, x):
    """Long double, where NumPy has one beyond float64."""
    x = x.astype(np.longdouble)
    return np.tanh(x) if name == "tanh" else 1 / (1 + np.exp(-x))


def error_ulp(name, x):
    """Error in units in the last place of the exact result; flushing to zero is allowed."""
    dtype = x.dtype.type
    with np.errstate(all="ignore"):
        expected = exact(name, x)
        got = activate(name, x)
        ulp = np.spacing(np.maximum(np.abs(expected), TINY[dtype]).astype(dtype)).astype(float)
        error = np.abs(got.astype(np.longdouble) - expected) / ulp
    flushed = (np.abs(expected) < TINY[dtype]) & (got == 0)
    return np.where(flushed, 0, error).astype(float)


def samples(dtype):
    """Log-spaced magnitudes, random bit patterns, all about 0, 1 and the ends of the range."""
    rng = np.random.default_rng(0)
    largest = np.log10(np.finfo(dtype).max)
    spaced = np.logspace(-44, largest * 0.999, 60_001).astype(dtype)
    bits = np.uint32 if dtype is np.float32 else np.uint64
    random = rng.integers(0, np.iinfo(bits).max, 100_000, bits, endpoint=True).view(dtype)
    near = [v + np.linspace(-1e-2, 1e-2, 4001) for v in (0, 0.34657, 1, 40, 87.3365, 708.396)]
    middle = rng.uniform(-20, 20, 100_000)
    x = np.concatenate([spaced, random[np.isfinite(random)], *near, middle]).astype(dtype)
    return np.concatenate([x, -x])


@pytest.mark.parametrize(
    ("dtype", "flushed", "kept"),
    [
        (np.float32, [-87.33655, -87.4, -87.5, -87.6, -88, -1e30, -np.inf], -87.33653),
        (np.float64, [-708.3965, -708.45, -708.5, -708.6, -709, -1e300, -np.inf], -708.3964),
    ],
)
def test_a_sigmoid_below_the_normal_range_is_zero(isa, dtype, flushed, kept):
    assert not activate("sigmoid", np.array(flushed, dtype)).any()
    assert activate("sigmoid", np.array([kept], dtype)) >= TINY[dtype]


@pytest.mark.parametrize("name", NAMES)
def test_float32_is_within_the_stated_bound(isa, name):
    x = samples(np.float32)
    error = error_ulp(name, x)
    worst = error.argmax()
    assert error[worst] <= _native.MAX_ACTIVATION_ULP, f"{name}({x[worst]!r})"


@pytest.mark.parametrize("name", NAMES)
def test_float64_is_within_a_few_ulp(isa, name):
    x = samples(np.float64)
    error = error_ulp(name, x)
    worst = error.argmax()
    assert error[worst] <= DOUBLE_ULP, f"{name}({x[worst]!r})"


def test_the_measure_notices_an_error_of_three_ulp(monkeypatch):
    def wrong(name, x, y):
        y[:] = np.tanh(x.astype(np.float64)).astype(np.float32)
        y[:] += 3 * np.spacing(y)

    monkeypatch.setattr(_native, "activate", wrong)
    x = np.linspace(0.1, 0.9, 100, dtype=np.float32)
    assert error_ulp("tanh", x).max() > _native.MAX_ACTIVATION_ULP


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values_are_those_of_the_table(isa, dtype):
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan], dtype)
    for name in NAMES:
        expected = ACTIVATIONS[name].function(x.astype(np.float64))
        np.testing.assert_array_equal(activate(name, x), expected.astype(dtype), err_msg=name)
    assert np.signbit(activate("tanh", x)[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_a_value_does_not_depend_on_its_place_in_the_vector(isa, dtype, name):
    x = np.random.default_rng(1).standard_normal(67).astype(dtype)
    whole = activate(name, x)
    alone = np.concatenate([activate(name, x[k : k + 1]) for k in range(len(x))])
    np.testing.assert_array_equal(whole, alone)


@pytest.mark.parametrize("name", NAMES)
def test_float32_results_stay_inside_the_range_of_the_table(isa, name):
    x = samples(np.float32)
    low, high = ACTIVATIONS[name].range
    y = activate(name, x)
    assert y.min() >= low
    assert y.max() <= high


def test_an_unknown_activation_is_refused():
    x = np.zeros(3)
    with pytest.raises(ValueError, match="no such activation"):
        _native.activate("mish", x, x.copy())
    with pytest.raises(ValueError, match="as long as x"):
        _native.activate("tanh", x, np.zeros(4))
