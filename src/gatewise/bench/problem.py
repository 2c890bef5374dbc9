"""Weights and inputs of a case, the same numbers for every peer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gatewise.bench.grid import Case
from gatewise.weights import LSTMConfig, expected_shapes

Array = NDArray[np.floating]

CHECKED_STEPS: Final = 8
"""Steps that a streaming peer takes before it is timed, and is checked by."""

OPTIMISER_STEPS: Final = 3
"""Optimiser steps whose losses are compared."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What a peer computes with, all of it in the case's dtype.

    Attributes:
        case: the mode and shape.
        config: the LSTM.
        weights: its parameters under PyTorch's names.
        x: [T, B, I]; [CHECKED_STEPS, B, I] when streaming.
        dy: [T, B, D*H], the gradient that comes back.
        head: the linear head of a training step, [1, D*H].
        target: [T, B, 1], what it fits.
    """

    case: Case
    config: LSTMConfig
    weights: dict[str, Array]
    x: Array
    dy: Array
    head: Array
    target: Array


def make_problem(case: Case) -> Problem:
    """Draw a case's numbers; the same ones every time.

    >>> from gatewise.bench.grid import Shape
    >>> problem = make_problem(Case("training", Shape(2, 5, 3, 4, bidirectional=True)))
    >>> problem.x.shape, problem.dy.shape, problem.weights["weight_hh_l0_reverse"].shape
    ((5, 2, 3), (5, 2, 8), (16, 4))
    """
    shape, rng = case.shape, np.random.default_rng(0)
    config = LSTMConfig(
        shape.I, shape.H, shape.layers, bidirectional=shape.bidirectional, cell=case.cell
    )
    T = CHECKED_STEPS if case.mode == "streaming" else shape.T
    wide = shape.directions * shape.H
    bound = shape.H**-0.5  # PyTorch's initialisation

    def uniform(*sizes: int) -> Array:
        return rng.uniform(-bound, bound, sizes).astype(case.dtype)

    def normal(*sizes: int) -> Array:
        return rng.standard_normal(sizes, np.float32).astype(case.dtype, copy=False)

    return Problem(
        case,
        config,
        {name: uniform(*sizes) for name, sizes in expected_shapes(config).items()},
        normal(T, shape.B, shape.I),
        normal(T, shape.B, wide),
        uniform(1, wide),
        normal(T, shape.B, 1),
    )
