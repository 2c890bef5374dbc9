"""Shapes and modes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Mode = Literal["inference", "training"]
MODES: Final[tuple[Mode, ...]] = ("inference", "training")


@dataclass(frozen=True, slots=True)
class Shape:
    """Batch, time, input and hidden size."""

    B: int
    T: int
    I: int
    H: int

    @property
    def flops(self) -> float:
        """Floating-point operations of one forward pass, in its matrix products."""
        return 8.0 * self.B * self.T * self.H * (self.I + self.H)


GRID: Final = tuple(
    Shape(*s)
    for s in (
        (1, 100, 1, 32),
        (1, 100, 64, 64),
        (1, 100, 256, 256),
        (32, 50, 1, 32),
        (32, 100, 16, 64),
        (32, 100, 64, 64),
        (32, 100, 128, 128),
        (64, 100, 256, 256),
        (128, 50, 512, 512),
        (32, 500, 16, 128),
        (256, 24, 32, 128),
    )
)
