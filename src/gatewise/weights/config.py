"""What an LSTM is, apart from its numbers; the names and shapes of its parameters."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

from gatewise.cell import Cell
from gatewise.errors import ConfigError, shown

PARAMETER_NAMES: Final = {
    "w_ih": "weight_ih",
    "w_hh": "weight_hh",
    "b_ih": "bias_ih",
    "b_hh": "bias_hh",
    "w_hr": "weight_hr",
    "peephole": "weight_peephole",
    "norm_ih": "norm_ih",
    "norm_hh": "norm_hh",
    "norm_c": "norm_c",
}
"""Names in the equations (see `gatewise.reference.Weights`) and in a module's state_dict."""

INITIAL_STATE_NAMES: Final = ("h_0", "c_0")
"""Names of the learnable initial states of all layers and directions."""

_BYTES: Final = 8
"""Of the widest number, a float64."""


@dataclass(frozen=True, slots=True)
class LSTMConfig:
    """What an LSTM is, apart from its numbers; the names are those of `gatewise.nn.LSTM`.

    Of the regularisers only zoneout stands here: the others do nothing outside training.

    Raises:
        ConfigError: a size is not positive, or so large that the parameters could not be
            addressed; proj_size is not below hidden_size; or a value has another type.

    >>> LSTMConfig(3, 4, bidirectional=True).directions
    2
    """

    input_size: int
    hidden_size: int
    num_layers: int = 1
    bias: bool = True
    batch_first: bool = False
    bidirectional: bool = False
    proj_size: int = 0
    cell: Cell = Cell()
    zoneout: tuple[float, float] = (0.0, 0.0)
    learn_initial_state: bool = False

    def __post_init__(self) -> None:
        for name in ("input_size", "hidden_size", "num_layers", "proj_size"):
            value, least = getattr(self, name), int(name != "proj_size")
            if type(value) is not int or value < least:
                raise ConfigError(
                    f"{name} is {shown(value)}: expected a whole number of at least {least}."
                )
        if self.proj_size >= self.hidden_size:
            raise ConfigError(
                f"proj_size is {shown(self.proj_size)}: expected less than "
                f"hidden_size={shown(self.hidden_size)}. Pass 0 for no projection."
            )
        for name in ("bias", "batch_first", "bidirectional", "learn_initial_state"):
            if type(getattr(self, name)) is not bool:
                raise ConfigError(
                    f"{name} is {shown(getattr(self, name))}: expected True or False."
                )
        if not isinstance(self.cell, Cell):
            raise ConfigError(f"cell is {shown(self.cell)}: expected a gatewise.Cell.")
        rates = self.zoneout
        pair = isinstance(rates, tuple) and len(rates) == 2
        if not pair or not all(type(rate) is float and 0 <= rate < 1 for rate in rates):
            raise ConfigError(
                f"zoneout is {shown(rates)}: expected two rates from 0 to below 1, as floats."
            )
        if not self.fits(1):
            raise ConfigError(
                f"input_size is {shown(self.input_size)}, hidden_size {shown(self.hidden_size)} "
                f"and num_layers {shown(self.num_layers)}: expected parameters that can be "
                "addressed. Choose smaller sizes."
            )

    @property
    def directions(self) -> int:
        """Number of directions D."""
        return 2 if self.bidirectional else 1

    def fits(self, rows: int) -> bool:
        """Whether arrays for so many rows can be addressed, and those of the parameters.

        What the core can run is its own affair: see `check` in lstm.h.

        >>> LSTMConfig(8, 16).fits(1000), LSTMConfig(8, 16).fits(2**60)
        (True, False)
        """
        widest = max(self.input_size, self.directions * self.hidden_size)
        gates = self.num_layers * self.directions * 4 * self.hidden_size
        largest = max(gates * (2 * widest + 8), gates * rows, widest * rows)
        return _BYTES * largest <= sys.maxsize


def parameter_suffix(layer: int, direction: int) -> str:
    """Return what follows a parameter's name in a state_dict.

    >>> parameter_suffix(1, 0), parameter_suffix(0, 1)
    ('_l1', '_l0_reverse')
    """
    return f"_l{layer}{'_reverse' if direction else ''}"


def expected_shapes(config: LSTMConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter of an LSTM, under its name in the state_dict."""
    H, D = config.hidden_size, config.directions
    P = config.proj_size or H
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(config.num_layers):
        for direction in range(D):
            own: dict[str, tuple[int, ...]] = {
                "w_ih": (4 * H, D * P if layer else config.input_size),
                "w_hh": (4 * H, P),
            }
            if config.bias:
                own |= {"b_ih": (4 * H,), "b_hh": (4 * H,)}
            if config.proj_size:
                own["w_hr"] = (P, H)
            own |= variant_shapes(config.cell, H)
            suffix = parameter_suffix(layer, direction)
            shapes |= {PARAMETER_NAMES[k] + suffix: v for k, v in own.items()}
    if config.learn_initial_state:
        for name, size in zip(INITIAL_STATE_NAMES, (P, H), strict=True):
            shapes[name] = (config.num_layers * D, 1, size)
    return shapes


def variant_shapes(cell: Cell, H: int) -> dict[str, tuple[int, int]]:
    """Return the shapes of what a cell has beyond PyTorch's parameters, by names of the equations.

    >>> variant_shapes(Cell(peephole=True), 5)
    {'peephole': (3, 5)}
    """
    shapes = {"peephole": (3, H)} if cell.peephole else {}
    if cell.layer_norm:
        shapes |= {"norm_ih": (2, 4 * H), "norm_hh": (2, 4 * H), "norm_c": (2, H)}
    return shapes
