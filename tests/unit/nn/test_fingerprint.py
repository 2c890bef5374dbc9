"""Two changed weights, wherever they lie, are noticed: the mix of a fingerprint must not cancel."""

import numpy as np
import pytest
import torch

from gatewise.nn import LSTM

I, H = 128, 16
TOP, BELOW = np.uint64(1 << 63), np.uint64(1 << 34)


def flip(words, at, mask):
    words[at % len(words)] ^= mask


def notices(lstm, x, words, changes):
    """Whether the next call computes with the changed weights; they are put back afterwards."""
    lstm(x)
    for at, mask in changes:
        flip(words, at, mask)
    got = lstm(x)[0]
    fresh = LSTM(I, H, dtype=x.dtype)
    fresh.load_state_dict(lstm.state_dict())
    same = torch.equal(got, fresh(x)[0])
    for at, mask in changes:
        flip(words, at, mask)
    return same


@pytest.fixture(params=[torch.float32, torch.float64], ids=str)
def weights(request):
    torch.manual_seed(0)
    lstm = LSTM(I, H, dtype=request.param).requires_grad_(False)
    words = lstm.weight_ih_l0.numpy().reshape(-1).view(np.uint64)
    return lstm, torch.randn(1, 1, I, dtype=request.param), words


def test_a_sign_and_its_echo_at_any_distance_are_noticed(isa, weights):
    # Of a mix by xor, an odd factor and a shift by 29, the top bit comes out as these two bits for
    # certain; a word that meets them later takes them away again.
    lstm, x, words = weights
    missed = [
        distance
        for distance in range(1, 300)
        if not notices(lstm, x, words, [(5, TOP), (5 + distance, TOP | BELOW)])
    ]
    assert not missed


def test_any_two_flipped_bits_are_noticed(isa, weights):
    lstm, x, words = weights
    rng = np.random.default_rng(0)
    for _ in range(300):
        places = rng.integers(len(words), size=2)
        # Signs and mantissas alone: weights stay finite.
        bits = rng.choice([63, 51, 47, 40, 34], size=2)
        changes = [(int(at), np.uint64(1) << np.uint64(b))
                   for at, b in zip(places, bits, strict=True)]  # fmt: skip
        if len(set(places)) == 2:
            assert notices(lstm, x, words, changes), changes
