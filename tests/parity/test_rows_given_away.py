"""Threads that give rows away in the middle of a sequence: the bits of one thread."""

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

import gatewise.nn
from gatewise import Cell

T, B, I, H = 60, 33, 16, 64  # enough work for several threads, and for many looks
KINDS = {
    "plain": {},
    "both directions": {"bidirectional": True, "num_layers": 2},
    "peepholes": {"cell": Cell(peephole=True)},
    "layer norm": {"cell": Cell(layer_norm=True)},
    "projection": {"proj_size": 17},
    "checkpoints": {"checkpoint_every": 7},
}


@pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])
@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_threads_gives_the_bits_of_one(kind, ragged, threads):
    torch.manual_seed(3)
    lstm = gatewise.nn.LSTM(I, H, **KINDS[kind])
    x = torch.randn(T, B, I, requires_grad=True)
    lengths = torch.randint(1, T + 1, (B,)).sort(descending=True).values

    def results(count):
        threads(count)
        lstm.zero_grad()
        x.grad = None
        given = pack_padded_sequence(x, lengths) if ragged else x
        with torch.no_grad():
            without_tape, _ = lstm(given)
        y, (h, c) = lstm(given)
        if ragged:
            y, without_tape = y.data, without_tape.data
        (y.square().sum() + h.sum() + c.sum()).backward()
        gradients = [p.grad.clone() for p in lstm.parameters()]
        return [without_tape, y.detach(), h.detach(), c.detach(), x.grad, *gradients]

    alone = results(1)
    for count in (2, 3, 8, 16, 16):  # more than cores: some come late, and wait for rows
        for own, one in zip(results(count), alone, strict=True):
            assert torch.equal(own, one)
