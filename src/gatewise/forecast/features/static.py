"""Static columns as numbers: z-scores over the series, or one number per category.

What is coded comes from the fitted table; series of another table are coded alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gatewise.forecast.data.panel import Array, Panel, Series

_CATEGORIES: Final = 32
"""Categories of a column that count, the commonest: names of every shop would be numbers without
end."""


@dataclass(frozen=True, slots=True)
class StaticCode:
    """How a static column becomes numbers; JSON-able.

    Attributes:
        name: of the column.
        mean, std: of its numbers over the series.
        categories: of a text column, in order; empty for numbers.
    """

    name: str
    mean: float = 0.0
    std: float = 1.0
    categories: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """How many numbers."""
        return len(self.categories) or 1

    def encode(self, value: float | str) -> list[float]:
        """[width] numbers; an unknown or rare category, or a missing number, is all zero.

        >>> StaticCode("kind", categories=("a", "b")).encode("b"), StaticCode("x", 1, 2).encode(5)
        ([0.0, 1.0], [2.0])
        """
        if self.categories:
            return [float(value == c) for c in self.categories]
        number = (float(value) - self.mean) / self.std if not isinstance(value, str) else 0.0
        return [number if np.isfinite(number) else 0.0]


def static_codes(panel: Panel) -> tuple[StaticCode, ...]:
    """Choose how each static column of a panel is coded."""
    return tuple(
        _code(name, [s.static[i] for s in panel.series])
        for i, name in enumerate(panel.columns.static)
    )


def encode_static(codes: Sequence[StaticCode], series: Sequence[Series]) -> Array:
    """Return [S, D] the numbers of each series."""
    rows = [
        [x for code, value in zip(codes, s.static, strict=True) for x in code.encode(value)]
        for s in series
    ]
    return np.array(rows, dtype=np.float64).reshape(len(rows), sum(c.width for c in codes))


def _code(name: str, values: list[float | str]) -> StaticCode:
    texts = Counter(sorted(v for v in values if isinstance(v, str)))
    if texts:
        commonest = (text for text, _ in texts.most_common(_CATEGORIES))
        return StaticCode(name, categories=tuple(sorted(commonest)))
    numbers = np.array(values, dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers) or numbers.std() == 0:
        return StaticCode(name, mean=float(numbers.mean()) if len(numbers) else 0.0)
    return StaticCode(name, float(numbers.mean()), float(numbers.std()))
