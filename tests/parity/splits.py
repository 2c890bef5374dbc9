"""A grid of calls that the core shares out over threads, each compared bit by bit with one thread.

    python tests/parity/splits.py eval|training|packed|runtime [full]

Threads 1 to 16, rows 1 to 16, three widths, four kinds of ragged batches. Each call has work for 16
threads by `useful_threads` in native/src/sharing.h. Without "full" an eighth of the numbers of
threads is tried for each batch, another eighth for the next. A program of its own, so that a crash
is seen from outside: it names each call before it begins.
"""

import sys
from collections.abc import Iterator

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from gatewise.nn import LSTM
from gatewise.runtime import Model
from gatewise.weights import from_module

PATHS = ("eval", "training", "packed", "runtime")
KINDS = ("uniform", "first long", "equal", "one long")
WIDTHS = (1, 5, 64)
H, THREADS = 64, 16
OPERATIONS_PER_THREAD = 1e7


def lengths_of(kind: str, B: int, rows: int, rng: np.random.Generator) -> list[int]:
    """Lengths of B rows, about `rows` steps of all of them together."""
    if kind == "uniform":
        found = rng.integers(1, 2 * max(rows // B, 1) + 1, B)
    elif kind == "equal":
        found = np.full(B, max(rows // B, 1))
    else:
        found = np.ones(B, np.int64)
        found[0 if kind == "first long" else rng.integers(B)] = rows
    return found.tolist()


def calls(full: bool) -> Iterator[tuple[int, int, str, list[int]]]:
    for number, (B, (i, I), (k, kind)) in enumerate(
        (B, w, n) for B in range(1, 17) for w in enumerate(WIDTHS) for n in enumerate(KINDS)
    ):
        threads = [n for n in range(2, THREADS + 1) if full or (n + B + i + k) % 8 == 0]
        yield number, B, kind, [I, *threads]


def run(path: str, lstm: LSTM, x: torch.Tensor, lengths: list[int]) -> list[np.ndarray]:
    """Outputs, and in training gradients."""
    if path == "runtime":
        y, state = Model(from_module(lstm)).run(x.numpy(), lengths=lengths)
        return [y, *state]
    lstm.zero_grad()
    x = x.clone().requires_grad_(path == "training")
    with torch.set_grad_enabled(path == "training"):
        if path == "packed":
            packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
            y, state = lstm(packed)
            y = y.data
        else:
            y, state = lstm(x, lengths=lengths)
    outputs = [y, *state]
    if path != "training":
        return [t.numpy() for t in outputs]
    torch.autograd.backward(outputs, [torch.ones_like(t) for t in outputs])
    found = [*outputs, x.grad, *(p.grad for p in lstm.parameters())]
    return [t.detach().clone().numpy() for t in found]


def main(path: str, full: bool) -> int:
    wrong = 0
    # Backward does twice the operations of forward, and gets the threads for them.
    operations = OPERATIONS_PER_THREAD * THREADS / (2 if path == "training" else 1)
    for number, B, kind, (I, *threads) in calls(full):
        rng = np.random.default_rng(number)
        D = 1 + number % 2
        rows = int(operations / (2 * D * 4 * H * (I + H))) + 1
        lengths = lengths_of(kind, B, rows, rng)
        torch.manual_seed(number)
        lstm = LSTM(I, H, bidirectional=D == 2).train(path == "training")
        x = torch.randn(max(lengths), B, I)
        torch.set_num_threads(1)
        alone = run(path, lstm, x, lengths)
        for n in threads:
            print(f"{n} threads, B {B}, I {I}, D {D}, {kind}: {lengths}", flush=True)
            torch.set_num_threads(n)
            together = run(path, lstm, x, lengths)
            if any(a.tobytes() != b.tobytes() for a, b in zip(alone, together, strict=True)):
                print("OTHER BITS than with one thread", flush=True)
                wrong += 1
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], "full" in sys.argv))
