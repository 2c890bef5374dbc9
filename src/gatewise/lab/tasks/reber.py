"""The embedded Reber grammar, word by word or in an endless stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise.lab.tasks.batch import Batch, Loss, sigmoid

SYMBOLS: Final = "BTPSXVE"

# Of each node the two ways on: symbol and node. 0 to 2: B, then T or P, then B; 3 to 7 are the
# inner grammar's nodes; 8: its E; 9: the same T or P as at 1; 10: E.
_WAYS: Final = (
    ("B1", "B1"), ("T2", "P2"), ("B3", "B3"), ("T4", "P5"), ("S4", "X6"), ("T5", "V7"),
    ("X5", "S8"), ("P6", "V8"), ("E9", "E9"), ("TA", "PA"), ("E0", "E0"),
)  # fmt: skip
_AGAIN: Final = 9
_SYMBOL: Final = np.array([[SYMBOLS.index(way[0]) for way in ways] for ways in _WAYS])
_NEXT: Final = np.array([[int(way[1], 16) for way in ways] for ways in _WAYS])
_LEGAL: Final = np.zeros((2, len(_WAYS), 7), np.float32)
for _which in range(2):
    for _node, _symbols in enumerate(_SYMBOL):
        own = _symbols[[_which]] if _node == _AGAIN else _symbols
        _LEGAL[_which, _node, own] = 1


@dataclass(frozen=True)
class EmbeddedReber:
    """Predict every symbol that may follow: Hochreiter & Schmidhuber 1997, section 5.1.

    A word is B, T or P, a word of the Reber grammar (B ... E), the same T or P, E: the last but one
    symbol depends on the second. Symbols are one-hot of seven, the labels those that may follow.
    Right is a word of which at every step exactly the legal symbols have outputs above .5. Gers,
    Schmidhuber & Cummins 2000, section 4.1, for the stream: words one after the other, with no sign
    of where one ends.

    Args:
        steps: 0 for words; else the length of a stream.

    >>> words = EmbeddedReber().batch(np.random.default_rng(0), 2)
    >>> [text_of(words, b) for b in range(2)]
    ['BPBTSXSEP', 'BTBTXSET']
    """

    steps: int = 0
    inputs: int = 7
    outputs: int = 7
    loss: Loss = "labels"
    trivial: float = 3.61  # of the symbols' frequencies, over 10,000 words

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw words, or pieces of streams that begin with a word."""
        node, which = np.zeros(size, np.int64), np.zeros(size, np.int64)
        inside = np.ones(size, bool)
        symbols, legal, counts = [], [], []
        while inside.any() if not self.steps else len(symbols) < self.steps:
            choice = rng.integers(2, size=size)
            which = np.where(node == 1, choice, which)
            choice = np.where(node == _AGAIN, which, choice)
            symbols.append(_SYMBOL[node, choice])
            node = _NEXT[node, choice]
            after = _LEGAL[which, node]
            counts.append(inside)
            if not self.steps:  # nothing follows a word's end, which is not judged
                inside = inside & (node != 0)
                counts[-1] = inside
            legal.append(after)
        T = len(symbols)
        counted = np.stack(counts) if T else np.zeros((0, size), bool)
        lengths = counted.sum(axis=0).astype(np.int64)
        x = np.eye(7, dtype=np.float32)[np.stack(symbols)] * counted[..., None]
        return Batch(x[: lengths.max()], np.stack(legal)[: lengths.max()],
                     counted[: lengths.max()], lengths)  # fmt: skip

    def correct(self, output: NDArray[Any], batch: Batch) -> NDArray[np.bool_]:
        """Legal symbols above .5, all others below, at every step."""
        return np.asarray((self.legal(output, batch) | ~batch.counts).all(axis=0))

    def legal(self, output: NDArray[Any], batch: Batch) -> NDArray[np.bool_]:
        """Return [T, B] whether exactly the legal symbols are above .5."""
        return np.asarray(((sigmoid(output) > 0.5) == (batch.target > 0.5)).all(axis=2))


def text_of(batch: Batch, b: int) -> str:
    """Return what is read of a row; of a word all but its last E."""
    return "".join(SYMBOLS[k] for k in batch.x[: batch.lengths[b], b].argmax(axis=1))
