"""What a task hands to training: sequences, targets, and which of the outputs count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Loss = Literal["squared", "labels", "class"]
"""Mean squared error; binary cross-entropy, summed over the labels; cross-entropy of one class."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some sequences of a task.

    Attributes:
        x: [T, B, I] float32, zeros beyond the end of a sequence.
        target: [T, B, O] float32 numbers or labels, or [T, B] int64 classes.
        counts: [T, B] bool, the outputs that are judged; none beyond the end of a sequence.
        lengths: [B] steps of each sequence.
    """

    x: NDArray[np.float32]
    target: NDArray[Any]
    counts: NDArray[np.bool_]
    lengths: NDArray[np.int64]

    def rows(self, which: slice) -> Batch:
        """Return some of the sequences, without the steps that none of them has."""
        lengths = self.lengths[which]
        T = int(lengths.max(initial=1))
        return Batch(
            self.x[:T, which], self.target[:T, which], self.counts[:T, which], lengths
        )  # fmt: skip


class Task(Protocol):
    """A task: a seeded generator, and what counts as right.

    Every task is a frozen dataclass of its sizes.
    """

    @property
    def inputs(self) -> int:
        """Numbers read per step."""
        ...

    @property
    def outputs(self) -> int:
        """Numbers put out per step."""
        ...

    @property
    def loss(self) -> Loss:
        """What is minimised."""
        ...

    @property
    def trivial(self) -> float:
        """The loss of the best answer that does not look at the input."""
        ...

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw sequences."""
        ...

    def correct(self, output: NDArray[Any], batch: Batch) -> NDArray[np.bool_]:
        """Judge the outputs [T, B, O] before any squash: [B] whether all of a sequence is right."""
        ...


def at_the_end(values: NDArray[Any], lengths: NDArray[np.int64], T: int) -> tuple[Any, Any]:
    """Return targets [T, B, *] and which count, for tasks that are judged at the last step."""
    rows = np.arange(len(lengths))
    target = np.zeros((T, *values.shape), values.dtype)
    counts = np.zeros((T, len(lengths)), np.bool_)
    target[lengths - 1, rows], counts[lengths - 1, rows] = values, True
    return target, counts


def within(output: NDArray[Any], batch: Batch, bound: float) -> NDArray[np.bool_]:
    """Return [B] whether every number that counts is less than `bound` away from its target."""
    right = (np.abs(output - batch.target) < bound).all(axis=2)
    return np.asarray(np.all(right | ~batch.counts, axis=0))


def sigmoid(x: NDArray[Any]) -> NDArray[Any]:
    """1 / (1 + exp(-x)), of outputs that stand for probabilities."""
    return 1 / (1 + np.exp(-np.clip(x, -60, 60)))
