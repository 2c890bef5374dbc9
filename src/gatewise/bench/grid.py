"""Modes and shapes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, cast

import numpy as np

from gatewise.bench.cells import cell_name
from gatewise.cell import Cell
from gatewise.errors import ConfigError, nearest, shown

Dtype = Literal["float32", "float64"]
Mode = Literal["inference", "training", "streaming", "training-step"]
MODES: Final[dict[Mode, str]] = {
    "inference": "one forward pass over whole sequences",
    "training": "forward and backward, with the gradients of the weights and of the input",
    "streaming": "one step of one row (B = T = 1), the state carried to the next",
    "training-step": "with a linear head: forward, loss, backward, clipped gradients, fused Adam",
}

_NAME: Final = re.compile(r"(\d+)x(\d+)x(\d+)x(\d+)(?:-l(\d+))?(-bi)?")


@dataclass(frozen=True, slots=True)
class Shape:
    """Batch, time, input and hidden size; layers, and whether both directions run."""

    B: int
    T: int
    I: int
    H: int
    layers: int = 1
    bidirectional: bool = False

    @classmethod
    def parse(cls, text: str) -> Shape:
        """Read a shape's name.

        Raises:
            ConfigError: it is not one, or a size is 0.

        >>> Shape.parse("32x100x16x64-l2-bi")
        Shape(B=32, T=100, I=16, H=64, layers=2, bidirectional=True)
        """
        found = _NAME.fullmatch(text)
        sizes = [int(size) for size in found.groups(default="1")[:5]] if found else [0]
        if found is None or min(sizes) < 1:
            raise ConfigError(
                f"Shape {shown(text)}: expected BxTxIxH of positive sizes, such as 32x100x16x64, "
                "with -l2 for two layers and -bi for both directions."
            )
        return cls(*sizes, bidirectional=found[6] is not None)

    @property
    def name(self) -> str:
        """The shape in one word, as `parse` reads it."""
        word = "x".join(map(str, (self.B, self.T, self.I, self.H)))
        layers = f"-l{self.layers}" if self.layers > 1 else ""
        return word + layers + ("-bi" if self.bidirectional else "")

    @property
    def directions(self) -> int:
        """Number of directions D."""
        return 2 if self.bidirectional else 1

    @property
    def flops(self) -> float:
        """Floating-point operations of one forward pass, in its matrix products."""
        inputs = self.I + (self.layers - 1) * self.directions * self.H
        return 8.0 * self.B * self.T * self.H * self.directions * (inputs + self.layers * self.H)


@dataclass(frozen=True, slots=True)
class Case:
    """A shape in a mode, and what else is asked of it.

    Args:
        mode: of `MODES`.
        shape: sizes, layers and directions.
        cell: which LSTM. Default: PyTorch's.
        ragged: in training, rows of different `lengths` in a `PackedSequence`. Default False.
        dtype: of weights and inputs. Default "float32".
    """

    mode: Mode
    shape: Shape
    cell: Cell = Cell()
    ragged: bool = False
    dtype: Dtype = "float32"

    @property
    def plain(self) -> Case:
        """The same sizes with PyTorch's cell and all steps of all rows."""
        return Case(self.mode, self.shape, dtype=self.dtype)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Valid steps of each row: T, or if ragged, drawn evenly from [T/10, T], always the same.

        >>> lengths = Case("training", Shape(128, 100, 64, 64), ragged=True).lengths
        >>> len(lengths), min(lengths), max(lengths)
        (128, 10, 100)
        """
        B, T = self.shape.B, self.shape.T
        if not self.ragged:
            return (T,) * B
        return tuple(np.random.default_rng(0).integers(max(1, T // 10), T + 1, B).tolist())

    @property
    def flops(self) -> float:
        """Floating-point operations of one call; a backward pass has twice those of a forward."""
        share = sum(self.lengths) / (self.shape.B * self.shape.T)
        return self.shape.flops * share * (3 if self.mode in ("training", "training-step") else 1)

    @property
    def variant(self) -> dict[str, Any]:
        """What is not plain, as JSON values: ``cell`` (its name), ``steps``, ``dtype``.

        >>> Case("training", Shape(1, 10, 3, 4), Cell(candidate="relu")).variant
        {'cell': 'relu'}
        """
        found: dict[str, Any] = {}
        if not self.cell.is_default:
            found["cell"] = cell_name(self.cell)
        if self.ragged:
            found["steps"] = sum(self.lengths)
        if self.dtype != "float32":
            found["dtype"] = self.dtype
        return found

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        where = {"mode": self.mode, "shape": asdict(self.shape)}
        return {**where, **self.variant, "flops": self.flops}


def _shapes(*names: str) -> tuple[Shape, ...]:
    return tuple(Shape.parse(name) for name in names)


MAIN: Final = _shapes(
    "1x100x1x32", "1x100x64x64", "1x100x256x256", "32x50x1x32", "32x100x16x64", "32x100x64x64",
    "32x100x128x128", "64x100x256x256", "128x50x512x512", "32x500x16x128", "256x24x32x128",
)  # fmt: skip
"""Sequences of one layer, from the smallest to the largest: the grid that means are taken over."""

_EXTRA: Final = _shapes(
    "2x100x64x64", "4x100x64x64", "8x100x64x64", "2x100x128x128", "4x100x128x128",
    "8x100x128x128", "2x100x256x256", "4x100x256x256", "8x100x256x256",
    "1x100x64x64-l2", "32x100x16x64-l2", "1x100x64x64-bi", "32x100x64x64-bi",
)  # fmt: skip
_SEQUENCES: Final = MAIN + _EXTRA
_STEPS: Final = _shapes("1x1x1x32", "1x1x16x64", "1x1x64x128", "1x1x256x256")
_WHOLE: Final = _shapes("32x100x16x64-l2")

GRID: Final[dict[Mode, tuple[Shape, ...]]] = {
    "inference": _SEQUENCES,
    "training": _SEQUENCES,
    "streaming": _STEPS,
    "training-step": _WHOLE,
}
QUICK: Final[dict[Mode, tuple[Shape, ...]]] = {
    "inference": _shapes("1x100x64x64", "32x100x16x64", "32x100x128x128"),
    "training": _shapes("1x100x64x64", "32x100x16x64", "32x100x128x128"),
    "streaming": _shapes("1x1x16x64", "1x1x64x128"),
    "training-step": _WHOLE,
}
CONTENDED: Final = (
    Case("inference", Shape(32, 100, 128, 128)),
    Case("training", Shape(32, 100, 128, 128)),
)
"""What is also timed while another process holds one of the cores."""


def cases(
    modes: Iterable[str] = tuple(MODES),
    shapes: Sequence[Shape] = (),
    grid: dict[Mode, tuple[Shape, ...]] = GRID,
) -> tuple[Case, ...]:
    """Return what to measure.

    Args:
        modes: names from `MODES`.
        shapes: in place of the grid's. Streaming takes their I and H, and skips bidirectional ones.
        grid: the shapes of each mode.

    Raises:
        ConfigError: there is no such mode.

    >>> [case.shape.name for case in cases(["streaming"], [Shape(32, 100, 16, 64)])]
    ['1x1x16x64']
    """
    found: list[Case] = []
    for mode in modes:
        if mode not in MODES:
            raise ConfigError(f"There is no mode {shown(mode)}. {nearest(mode, list(MODES))}")
        known = cast(Mode, mode)
        chosen = shapes or grid[known]
        if known == "streaming":
            chosen = [Shape(1, 1, s.I, s.H, s.layers) for s in chosen if not s.bidirectional]
        found += [Case(known, shape) for shape in chosen]
    return tuple(dict.fromkeys(found))
