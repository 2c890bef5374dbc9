"""A row's product against the same row elsewhere: other memory, other places, other company."""

import numpy as np
import pytest
import torch

from gatewise.forecast.models.products import ROWS, Linear, tensor, tiles

SIZES = [(1, 1), (3, 2), (5, 4), (17, 8), (30, 5), (33, 48), (48, 18), (78, 32), (131, 3)]
OFFSETS = (4, 8, 16, 32, 48)


def misplaced(values, offset):
    """A copy that begins `offset` bytes after a multiple of 64."""
    memory = np.empty(values.nbytes + 128, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    made = memory[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    made[...] = values
    return made


@pytest.fixture(autouse=True)
def single(threads):
    threads(1)


@pytest.mark.parametrize("offset", OFFSETS)
def test_a_tensor_is_aligned_wherever_its_array_is(offset):
    for dtype in (np.float32, np.float64):
        values = np.arange(40, dtype=dtype).reshape(5, 8)
        for given in (misplaced(values, offset), values.T, values[1:, ::2], values[::-1]):
            made = tensor(given)
            assert made.data_ptr() % 64 == 0
            assert made.is_contiguous()
            np.testing.assert_array_equal(made.numpy(), given)


def test_a_tensor_is_a_copy_of_what_may_not_be_written():
    values = np.arange(3.0)
    values.flags.writeable = False
    made = tensor(values)
    made[0] = 9.0
    assert values[0] == 0.0


@pytest.mark.parametrize("sizes", SIZES)
def test_rows_wherever_they_stand(sizes):
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    product = Linear(*sizes)
    x = rng.normal(size=(12 * ROWS, sizes[0])).astype(np.float32)
    with torch.no_grad():
        made = product(tensor(x))
        for order in (rng.permutation(len(x)), np.arange(len(x))[::-1]):
            assert torch.equal(product(tensor(x[order])), made[order.copy()])
        for count in (ROWS, 3 * ROWS, 7 * ROWS):
            assert torch.equal(product(tensor(x[-count:])), made[-count:])
        for offset in OFFSETS:
            assert torch.equal(product(tensor(misplaced(x, offset))), made)


@pytest.mark.parametrize("sizes", SIZES)
def test_a_padded_product_vs_torch(sizes):
    torch.manual_seed(0)
    product = Linear(*sizes)
    x = torch.randn(7, sizes[0], requires_grad=True)
    plain = torch.nn.functional.linear(x, product.weight, product.bias)
    torch.testing.assert_close(product(x), plain)
    weights = torch.randn_like(plain)
    wanted = (x, *product.parameters())
    found = torch.autograd.grad((product(x) * weights).sum(), wanted)
    expected = torch.autograd.grad((plain * weights).sum(), wanted)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("count", [0, 1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS])
def test_tiles_hold_every_row_once_and_are_all_full(count):
    parts = list(tiles(count))
    seen = [rows[: part.stop - part.start] for part, rows in parts]
    assert [len(rows) for _, rows in parts] == [ROWS] * -(-count // ROWS)
    np.testing.assert_array_equal(np.concatenate([*seen, []]), np.arange(count))
    assert all(rows.max() < count for _, rows in parts)
