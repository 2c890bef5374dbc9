"""`Spec`: what some layers of an LSTM are for the core, apart from their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from gatewise import _native
from gatewise.cell import Cell
from gatewise.errors import ShapeError
from gatewise.weights import PARAMETER_NAMES, parameter_suffix

Shape = tuple[int, ...]


class Spec(NamedTuple):
    """What some layers of an LSTM are for the core. Immutable, compared by value.

    A named tuple, not a dataclass: it is made and compared at each call.

    Attributes:
        L, D, I, H: layers, directions, input and hidden size.
        projection: proj_size, 0 for none.
        bias: whether there are biases.
        bfloat16: round weights and what meets them (float32 only).
        cell: which LSTM.
    """

    L: int
    D: int
    I: int
    H: int
    projection: int = 0
    bias: bool = True
    bfloat16: bool = False
    cell: Cell = Cell()

    @property
    def P(self) -> int:  # noqa: N802
        """Size of the hidden state: the projection's if there is one, else H."""
        return self.projection or self.H

    @property
    def names(self) -> tuple[str, ...]:
        """What the core takes of each layer and direction, in the words of the equations."""
        return _native.parameter_names(self.cell, self.projection)

    @property
    def shapes(self) -> list[Shape]:
        """Of all parameters: `names` for each layer and direction."""
        found: list[Shape] = []
        for layer in range(self.L):
            inputs = self.D * self.P if layer else self.I
            own = _native.parameter_shapes(self.names, inputs, self.H, self.projection).values()
            found += [shape for _ in range(self.D) for shape in own]
        return found

    def registered_names(self) -> list[str | None]:
        """Return the names under which a module registers them; None for a bias it has not."""
        missing = () if self.bias else ("b_ih", "b_hh")
        return [
            None if name in missing else PARAMETER_NAMES[name] + parameter_suffix(layer, direction)
            for layer in range(self.L)
            for direction in range(self.D)
            for name in self.names
        ]

    def of_layers(self, first: int, end: int, bfloat16: bool) -> Spec:
        """Return what the layers from `first` to before `end` are."""
        inputs = self.D * self.P if first else self.I
        return self._replace(L=end - first, I=inputs, bfloat16=bfloat16)

    def check(self, parameters: Sequence[Any]) -> None:
        """Refuse parameters of other shapes: `names` of each layer and direction.

        Raises:
            ShapeError: one has another shape, or is missing; or there is a bias without `bias`.
        """
        self.check_given(parameters)
        for k, p in enumerate(parameters):
            wanted = self.bias or self._name(k) not in ("b_ih", "b_hh")
            if p is None and wanted:
                raise ShapeError(f"{self._place(k)} is missing. Assign a parameter.")
            if p is not None and not wanted:
                raise ShapeError(f"{self._place(k)} is given: expected none, since bias is False.")

    def check_given(self, parameters: Sequence[Any]) -> None:
        """The same, but for those that are missing.

        Raises:
            ShapeError: one has another shape.
        """
        for k, (p, expected) in enumerate(zip(parameters, self.shapes, strict=True)):
            if p is not None and tuple(p.shape) != expected:
                raise ShapeError(
                    f"{self._place(k)} has shape {tuple(p.shape)}: expected {expected}. "
                    "Assign a parameter of that shape."
                )

    def _name(self, k: int) -> str:
        return self.names[k % len(self.names)]

    def _place(self, k: int) -> str:
        return f"{self._name(k)} of layer and direction {k // len(self.names)}"
