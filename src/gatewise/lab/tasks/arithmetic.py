"""Two marked numbers of a long sequence, added or multiplied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gatewise.lab.tasks.batch import Batch, Loss, at_the_end, within


@dataclass(frozen=True)
class Adding:
    """The adding problem of Hochreiter & Schmidhuber 1997, section 5.4, or its later form.

    Form "1997": pairs (value, marker) with values U[-1, 1]; the length is uniform on T to 1.1 T.
    One of the first 10 pairs is marked, and one of the first T/2 - 1 that are not. The marker is 1,
    else 0, and -1 at the first and the last pair. The target at the end is .5 + (X1 + X2) / 4; if
    the first pair is marked, its X is 0. Right is an error below .04. Answering .5 gives about
    1/24.

    Form "sum" (Le, Jaitly & Hinton 2015; Arjovsky, Shah & Bengio 2016): T pairs, values U[0, 1],
    two markers anywhere, the target is their sum. Answering 1 gives 1/6.

    Args:
        T: the length.
        form: which of the two.
        halves: form "sum" alone: one marker in each half.

    >>> batch = Adding(20).batch(np.random.default_rng(0), 5)
    >>> batch.x.shape[1:], sorted(set(batch.x[..., 1].ravel().tolist()))
    ((5, 2), [-1.0, 0.0, 1.0])
    """

    T: int = 100
    form: Literal["1997", "sum"] = "1997"
    halves: bool = False
    inputs: int = 2
    outputs: int = 1
    loss: Loss = "squared"

    @property
    def trivial(self) -> float:
        """Variance of the target; 1/24 in the 1997 form, but for first pairs that are marked."""
        if self.form == "sum":
            return 1 / 6
        return (2 - sum(_first_marked(self.T))) / 48

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw sequences."""
        if self.form == "1997":
            return _marked(rng, self.T, size, (-1.0, 1.0), 0.0, lambda a, b: 0.5 + (a + b) / 4)
        T, rows = self.T, np.arange(size)
        if self.halves:
            first, second = rng.integers(T // 2, size=size), rng.integers(T // 2, T, size=size)
        else:
            first = rng.integers(T, size=size)
            second = (first + rng.integers(1, T, size=size)) % T
        x = np.zeros((T, size, 2), np.float32)
        x[..., 0] = rng.uniform(0, 1, (T, size))
        x[first, rows, 1] = x[second, rows, 1] = 1
        total = x[first, rows, 0] + x[second, rows, 0]
        lengths = np.full(size, T)
        return Batch(x, *at_the_end(total[:, None], lengths, T), lengths)

    def correct(self, output: NDArray[Any], batch: Batch) -> NDArray[np.bool_]:
        """An error below .04, in units of the 1997 target; the sum has four times its scale."""
        return within(output, batch, 0.04 if self.form == "1997" else 0.16)


@dataclass(frozen=True)
class Multiplication:
    """The multiplication problem of Hochreiter & Schmidhuber 1997, section 5.5.

    As `Adding`, with values U[0, 1] and the target X1 * X2; if the first pair is marked, its X is
    1.
    """

    T: int = 100
    inputs: int = 2
    outputs: int = 1
    loss: Loss = "squared"

    @property
    def trivial(self) -> float:
        """Variance of the target; 7/144, but for first pairs that are marked."""
        q = sum(_first_marked(self.T))
        return (1 - q) / 9 + q / 3 - ((1 - q) / 4 + q / 2) ** 2

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw sequences."""
        return _marked(rng, self.T, size, (0.0, 1.0), 1.0, lambda a, b: a * b)

    def correct(self, output: NDArray[Any], batch: Batch) -> NDArray[np.bool_]:
        """An error below .04."""
        return within(output, batch, 0.04)


def _first_marked(T: int) -> tuple[float, float]:
    """How often the first marker stands at the first pair, and how often the second does."""
    first = 1 / min(10, T // 2 - 1)
    return first, (1 - first) / (T // 2 - 2)


def _marked(
    rng: np.random.Generator,
    T: int,
    size: int,
    span: tuple[float, float],
    of_first: float,
    target: Any,
) -> Batch:
    rows, lengths = np.arange(size), rng.integers(T, int(1.1 * T) + 1, size=size)
    longest = int(lengths.max(initial=1))
    first = rng.integers(min(10, T // 2 - 1), size=size)
    second = rng.integers(T // 2 - 2, size=size)
    second += second >= first  # the first T/2 - 1 pairs but that one
    x = np.zeros((longest, size, 2), np.float32)
    x[..., 0] = rng.uniform(*span, (longest, size))
    numbers = []
    for marked in (first, second):
        x[marked, rows, 1] = 1
        numbers.append(np.where(marked == 0, of_first, x[marked, rows, 0]))
    x[0, :, 1] = x[lengths - 1, rows, 1] = -1
    x[np.arange(longest)[:, None] >= lengths] = 0
    answer = target(*numbers).astype(np.float32)
    return Batch(x, *at_the_end(answer[:, None], lengths, longest), lengths)
