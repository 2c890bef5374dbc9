"""Sequences of symbols: which came first, what to recall, how many."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise.lab.tasks.batch import Batch, Loss, at_the_end, sigmoid, within

_WINDOWS: Final = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}


@dataclass(frozen=True)
class TemporalOrder:
    """In which order two or three symbols came: Hochreiter & Schmidhuber 1997, section 5.6.

    Symbols are one-hot, of eight: E at the start, B at the end, distractors a to d between, and X
    or Y at times drawn from 10-20 and 50-60 (task 6a, two relevant symbols) or 10-20, 33-43 and
    66-76 (6b, three). The length is uniform on 100 to 110. One class for each order, at the end.
    Right is every output (a sigmoid) within .3 of its label.

    Args:
        relevant: 2 or 3 symbols.
    """

    relevant: int = 2
    inputs: int = 8
    loss: Loss = "labels"

    @property
    def outputs(self) -> int:
        """Four or eight classes."""
        return 2**self.relevant

    @property
    def trivial(self) -> float:
        """Cross-entropy of the class frequencies, summed over the labels."""
        p = 1 / self.outputs
        return -self.outputs * (p * math.log(p) + (1 - p) * math.log(1 - p))

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw sequences."""
        rows, lengths = np.arange(size), rng.integers(100, 111, size=size)
        T = int(lengths.max(initial=1))
        symbol = rng.integers(4, size=(T, size))  # a to d; then E, B, X, Y
        kind = np.zeros(size, np.int64)
        for low, high in _WINDOWS[self.relevant]:
            chosen = rng.integers(2, size=size)
            symbol[rng.integers(low, high + 1, size=size), rows] = 6 + chosen
            kind = 2 * kind + chosen
        symbol[0], symbol[lengths - 1, rows] = 4, 5
        x = np.eye(8, dtype=np.float32)[symbol]
        x[np.arange(T)[:, None] >= lengths] = 0
        labels = np.eye(self.outputs, dtype=np.float32)[kind]
        return Batch(x, *at_the_end(labels, lengths, T), lengths)

    def correct(self, output: NDArray[Any], batch: Batch) -> NDArray[np.bool_]:
        """Every output within .3."""
        return within(sigmoid(output), batch, 0.3)


@dataclass(frozen=True)
class Copy:
    """Ten symbols, recalled after a blank: the form of Arjovsky, Shah & Bengio 2016, section 5.1.

    10 symbols of 8, then T - 1 blanks, a delimiter, and 10 blanks during which the symbols are to
    be put out in order; before that, blanks. T + 20 steps, 10 input symbols, 9 classes. Without
    memory the best cross-entropy is 10 ln 8 / (T + 20), the mean over all steps.

    Args:
        T: steps from the last symbol to the first recall.
    """

    T: int = 100
    inputs: int = 10
    outputs: int = 9
    loss: Loss = "class"

    @property
    def trivial(self) -> float:
        """The memoryless loss."""
        return 10 * math.log(8) / (self.T + 20)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw sequences."""
        T = self.T + 20
        symbols = rng.integers(8, size=(10, size))
        given, target = np.full((T, size), 8), np.full((T, size), 8)  # 8 is the blank
        given[:10], given[self.T + 9], target[-10:] = symbols, 9, symbols
        x = np.eye(10, dtype=np.float32)[given]
        return Batch(x, target, np.ones((T, size), np.bool_), np.full(size, T))

    def correct(self, output: NDArray[Any], batch: Batch) -> NDArray[np.bool_]:
        """Every symbol, and every blank before, is the likeliest."""
        return (output.argmax(axis=2) == batch.target).all(axis=0)


@dataclass(frozen=True)
class Counting:
    """Next symbol of aⁿbⁿ or aⁿbⁿcⁿ: Gers & Schmidhuber 2001; Weiss, Goldberg & Yahav 2018.

    A word is a start symbol, n times each letter, and then an end symbol, which is to be predicted;
    n is uniform on `low` to `high`. After the first letter the next symbol is not determined until
    the second letter has come: only determined symbols are judged, all are learnt.

    Args:
        letters: 2 or 3.
        low, high: range of n.

    >>> batch = Counting(high=3, low=3).batch(np.random.default_rng(0), 1)
    >>> "".join("SabcE"[k] for k in batch.x[:, 0].argmax(axis=1)), batch.target[:, 0].tolist()
    ('Saaabbb', [1, 1, 1, 2, 2, 2, 4])
    """

    letters: int = 2
    low: int = 1
    high: int = 40
    inputs: int = 5
    outputs: int = 5
    loss: Loss = "class"

    @property
    def trivial(self) -> float:
        """Cross-entropy of the symbols' frequencies in words of the mean n."""
        n = (self.low + self.high) / 2
        share = n / (self.letters * n + 1)
        return -self.letters * share * math.log(share) + math.log(self.letters * n + 1) / (
            self.letters * n + 1
        )

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw words."""
        return self.words(rng.integers(self.low, self.high + 1, size=size))

    def words(self, n: NDArray[np.int64]) -> Batch:
        """Return the words of these n."""
        lengths = self.letters * n + 1
        t = np.arange(int(lengths.max(initial=1)))[:, None]
        following = np.where(t < self.letters * n, 1 + t // np.maximum(n, 1), 4)
        given = np.concatenate([np.zeros((1, len(n)), np.int64), following[:-1]])
        inside = t < lengths
        x = np.eye(5, dtype=np.float32)[given] * inside[..., None]
        return Batch(x, np.where(inside, following, 0), inside, lengths)

    def determined(self, batch: Batch) -> NDArray[np.bool_]:
        """Return [T, B] where only one symbol may follow: from the first b on."""
        n = (batch.lengths - 1) // self.letters
        return batch.counts & (np.arange(len(batch.x))[:, None] > n)

    def correct(self, output: NDArray[Any], batch: Batch) -> NDArray[np.bool_]:
        """Every determined symbol is the likeliest: the word is accepted."""
        right = output.argmax(axis=2) == batch.target
        return (right | ~self.determined(batch)).all(axis=0)
