"""Shrinkage of a forecast towards a neutral one: as much of it as costs next to nothing."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gatewise.forecast.data.panel import Array

WEIGHTS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Weights of the forecast to choose from; the rest is the neutral one's."""

WORTH: Final = 0.002
"""Share of the loss on held-out rows that less shrinkage must save."""


def least(losses: Array) -> NDArray[np.intp]:
    """Number of the first weight that is good enough.

    Args:
        losses: [len(WEIGHTS), ...] on held-out rows, by weight.

    >>> least(np.array([[1.0, 1.0], [0.9, 1.0], [0.8, 1.1], [0.7, 1.2], [0.7, 1.3]]))
    array([3, 0])
    """
    return (losses <= (1 + WORTH) * losses.min(0)).argmax(0)
