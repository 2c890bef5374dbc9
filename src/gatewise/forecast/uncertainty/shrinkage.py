"""How far a forecast is trusted beside a neutral one: as little as costs next to nothing."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gatewise.forecast.data.panel import Array

TRUST: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Weights of the forecast to choose from."""

WORTH: Final = 0.002
"""Share of the loss on held-out rows that more trust must save."""


def least(losses: Array) -> NDArray[np.intp]:
    """Number of the first weight that is good enough.

    Args:
        losses: [len(TRUST), ...] on held-out rows, by weight.

    >>> least(np.array([[1.0, 1.0], [0.9, 1.0], [0.8, 1.1], [0.7, 1.2], [0.7, 1.3]]))
    array([3, 0])
    """
    return (losses <= (1 + WORTH) * losses.min(0)).argmax(0)
