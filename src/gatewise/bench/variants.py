"""Cells, ragged batches and float64: what `make bench-cells` measures."""

from __future__ import annotations

from typing import Final

from gatewise.bench.cells import CELLS
from gatewise.bench.grid import Case, Shape
from gatewise.bench.peers import CELL_PEERS

T: Final = 100
BATCHES: Final = (1, 8, 32, 128)
HIDDEN: Final = (32, 64, 128, 256)

VARIANT_PEERS: Final = ("gatewise", *CELL_PEERS, "torch")


def shapes(batches: tuple[int, ...] = BATCHES, hidden: tuple[int, ...] = HIDDEN) -> list[Shape]:
    """Return all pairs of a batch and a hidden size, with as many inputs as hidden units.

    >>> [shape.name for shape in shapes((1, 8), (32,))]
    ['1x100x32x32', '8x100x32x32']
    """
    return [Shape(B, T, H, H) for B in batches for H in hidden]


def variants(quick: bool = False) -> tuple[Case, ...]:
    """Return what to measure.

    Args:
        quick: few shapes, and three of the cells.
    """
    grid = shapes((1, 32), (32, 64)) if quick else shapes()
    cells = ("hard", "coupled", "all different") if quick else tuple(CELLS)
    return (
        *(Case("inference", shape, CELLS[name]) for name in cells for shape in grid),
        *(Case("training", shape, CELLS[name]) for name in cells for shape in grid),
        *(Case("training", shape, ragged=True) for shape in grid if shape.B > 1),
        Case("training", Shape(32, T, 64, 64), dtype="float64"),
    )
