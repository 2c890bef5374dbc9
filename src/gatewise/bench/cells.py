"""The cells that are measured beside PyTorch's, and their names in results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Final

from gatewise.cell import Cell

CELLS: Final = {
    "hard": Cell("hard_sigmoid", "hard_sigmoid", "hard_tanh", "hard_sigmoid", "hard_tanh"),
    "relu": Cell(candidate="relu"),
    "softsign": Cell(cell_output="softsign"),
    "no input gate": Cell(input_gate="one"),
    "coupled": Cell(coupled=True),
    "peephole": Cell(peephole=True),
    "all different": Cell("hard_sigmoid", "sigmoid", "softsign", "hard_tanh", "tanh"),
}
"""A cell for each thing that can be other than in PyTorch's, and one of five activations."""

COMPILED: Final = "hard"
"""The cell that is compiled, too: its activations cost a compiled loop the least."""


def cell_name(cell: Cell) -> str:
    """Return the name under which a cell stands in `CELLS`; else what it changes.

    >>> cell_name(Cell(coupled=True)), cell_name(Cell(output_gate="relu"))
    ('coupled', "Cell(output_gate='relu')")
    """
    return next((name for name, known in CELLS.items() if known == cell), repr(cell))


def definitions(cells: Iterable[Cell]) -> dict[str, dict[str, Any]]:
    """Return what each name stands for, as JSON values: what the cell changes in PyTorch's.

    >>> definitions([Cell(), Cell(candidate="relu"), Cell(candidate="relu")])
    {'relu': {'candidate': 'relu'}}
    """
    return {
        cell_name(cell): {
            f.name: getattr(cell, f.name)
            for f in fields(Cell)
            if getattr(cell, f.name) != f.default
        }
        for cell in cells
        if not cell.is_default
    }
