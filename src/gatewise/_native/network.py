"""A network in the core's words: which parameters it takes of each layer and direction."""

from __future__ import annotations

from typing import Any

from gatewise._native._core import check
from gatewise.cell import Cell
from gatewise.errors import ShapeError, shown


def parameter_names(cell: Cell, projection: int = 0) -> tuple[str, ...]:
    """Return the names (see `gatewise.reference.Weights`) of what the core takes, in its order.

    >>> parameter_names(Cell(peephole=True))
    ('w_ih', 'w_hh', 'b_ih', 'b_hh', 'peephole')
    """
    names = ["w_ih", "w_hh", "b_ih", "b_hh"]
    if projection:
        names.append("w_hr")
    if cell.peephole:
        names.append("peephole")
    if cell.layer_norm:
        names += ["norm_ih", "norm_hh", "norm_c"]
    return tuple(names)


def parameter_shapes(
    names: tuple[str, ...], inputs: int, H: int, projection: int = 0
) -> dict[str, tuple[int, ...]]:
    """Return the shape of each of these parameters of one layer and direction."""
    P = projection or H
    shapes: dict[str, tuple[int, ...]] = {
        "w_ih": (4 * H, inputs),
        "w_hh": (4 * H, P),
        "b_ih": (4 * H,),
        "b_hh": (4 * H,),
        "w_hr": (P, H),
        "peephole": (3, H),
        "norm_ih": (2, 4 * H),
        "norm_hh": (2, 4 * H),
        "norm_c": (2, H),
    }
    return {name: shapes[name] for name in names}


def cell_fields(cell: Cell) -> tuple[Any, ...]:
    """Return a cell as the compiled module takes it."""
    return () if cell.is_default else cell.as_tuple()


def check_sizes(
    L: int, D: int, I: int, H: int, projection: int = 0, T: int = 0, B: int = 0
) -> None:
    """Refuse sizes that the core cannot run, before anything is allocated.

    Raises:
        ShapeError: one is out of its range, or a product of them overflows.
    """
    if not all(abs(n) < 2**63 for n in (L, D, I, H, projection, T, B)) or not check(
        L, D, I, H, projection, T, B
    ):
        sizes = {"L": L, "D": D, "input_size": I, "hidden_size": H, "proj_size": projection,
                 "T": T, "B": B}  # fmt: skip
        told = ", ".join(f"{name}={shown(size)}" for name, size in sizes.items())
        raise ShapeError(
            f"An LSTM of {told} cannot be run: expected "
            "sizes above 0, proj_size up to hidden_size, and products that can be addressed."
        )
