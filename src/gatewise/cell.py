"""The cell as one value, and the one table that defines every activation.

    i_t = σ_i(W_ii x_t + b_ii + W_hi h_{t-1} + b_hi)        input gate
    f_t = σ_f(W_if x_t + b_if + W_hf h_{t-1} + b_hf)        forget gate
    g_t =   φ(W_ig x_t + b_ig + W_hg h_{t-1} + b_hg)        candidate
    o_t = σ_o(W_io x_t + b_io + W_ho h_{t-1} + b_ho)        output gate
    c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t                         cell state
    h_t = o_t ⊙ ψ(c_t)                                      hidden state

This module knows nothing of arrays' shapes, of kernels or of torch; everything else stands on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import ConfigError, nearest, shown

GATE_ORDER: Final = ("i", "f", "g", "o")
"""Order of the four gates in every stacked weight, bias and trace (PyTorch's order)."""

SITES: Final = ("input_gate", "forget_gate", "candidate", "output_gate", "cell_output")
"""The five places of the cell that carry an activation."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Function:
    """One row of the table of functions.

    Attributes:
        function: x -> y, elementwise, float64.
        derivative: (x, y) -> dy/dx, given both the input and the output.
        range: (infimum, supremum) of y.
        centre: y(0), if the function is point-symmetric about (0, y(0)) and not constant.
        slope_at_zero: dy/dx at x = 0.
        formula: the definition, as text for docs and plots.
    """

    function: Callable[[Array], Array]
    derivative: Callable[[Array, Array], Array]
    range: tuple[float, float]
    centre: float | None
    slope_at_zero: float
    formula: str


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))  # never overflows
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


def _inside(x: Array, low: float, high: float) -> Array:
    return ((x > low) & (x < high)).astype(np.float64)


_INF = float("inf")

_FUNCTIONS: Final[dict[str, _Function]] = {
    "sigmoid": _Function(_sigmoid, lambda x, y: y * (1 - y), (0.0, 1.0), 0.5, 0.25, "1/(1 + e^-x)"),
    "tanh": _Function(np.tanh, lambda x, y: 1 - y * y, (-1.0, 1.0), 0.0, 1.0, "tanh(x)"),
    "hard_sigmoid": _Function(
        lambda x: np.clip(x / 6 + 0.5, 0.0, 1.0),
        lambda x, y: _inside(x, -3.0, 3.0) / 6,
        (0.0, 1.0),
        0.5,
        1 / 6,
        "clip(x/6 + 1/2, 0, 1)",
    ),
    "hard_tanh": _Function(
        lambda x: np.clip(x, -1.0, 1.0),
        lambda x, y: _inside(x, -1.0, 1.0),
        (-1.0, 1.0),
        0.0,
        1.0,
        "clip(x, -1, 1)",
    ),
    # At 0 the derivative of relu is 0, as PyTorch has it.
    "relu": _Function(
        lambda x: np.maximum(x, 0.0),
        lambda x, y: (x > 0).astype(np.float64),
        (0.0, _INF),
        None,
        0.0,
        "max(x, 0)",
    ),
    "softsign": _Function(
        lambda x: x / (1 + np.abs(x)),
        lambda x, y: 1 / (1 + np.abs(x)) ** 2,
        (-1.0, 1.0),
        0.0,
        1.0,
        "x/(1 + |x|)",
    ),
    "identity": _Function(
        lambda x: np.array(x, dtype=np.float64),
        lambda x, y: np.ones_like(x),
        (-_INF, _INF),
        0.0,
        1.0,
        "x",
    ),
    "one": _Function(np.ones_like, lambda x, y: np.zeros_like(x), (1.0, 1.0), None, 0.0, "1"),
}
"""Every built-in function; the reference, the kernels, the docs and the plots follow this table."""


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation: y = scale * function(slope * x) + shift, of a built-in function.

    Fair comparisons need activations of matched slope and range: a tanh with the range and the
    slope of a sigmoid, for instance.

    Args:
        name: a built-in function, one of `ACTIVATIONS`.
        scale: factor of the function's value, finite and not 0. Default 1.
        slope: factor of its input, finite and not 0. Default 1.
        shift: added to the value, finite. Default 0.

    Raises:
        ConfigError: there is no such function, or a number is out of its range.

    >>> like_sigmoid = Activation("tanh", scale=0.5, slope=0.5, shift=0.5)
    >>> like_sigmoid.range, like_sigmoid.slope_at_zero, like_sigmoid.zero_centred
    ((0.0, 1.0), 0.25, False)
    """

    name: str
    scale: float = 1.0
    slope: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or self.name not in _FUNCTIONS:
            raise ConfigError(
                f"There is no activation {shown(self.name)}: expected one of "
                f"{', '.join(_FUNCTIONS)}. "
                f"{nearest(str(self.name), list(_FUNCTIONS))}"
            )
        for field, lowest in (("scale", "not 0"), ("slope", "not 0"), ("shift", "")):
            value = getattr(self, field)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not np.isfinite(value) or (lowest and value == 0):
                raise ConfigError(
                    f"{field} of the activation {self.name!r} is {shown(value)}: expected a finite "
                    f"number{' other than 0' if lowest else ''}. A constant is the activation "
                    "'one'."
                )
            object.__setattr__(self, field, float(value))

    @property
    def is_plain(self) -> bool:
        """Whether it is the function itself."""
        return self.scale == 1 and self.slope == 1 and self.shift == 0

    @property
    def formula(self) -> str:
        """The definition, as text for docs and plots."""
        if self.is_plain:
            return _FUNCTIONS[self.name].formula
        return f"{self.scale:g} {self.name}({self.slope:g} x) {self.shift:+g}"

    @property
    def range(self) -> tuple[float, float]:
        """(infimum, supremum) of y."""
        ends = [self.scale * end + self.shift for end in _FUNCTIONS[self.name].range]
        return min(ends), max(ends)

    @property
    def zero_centred(self) -> bool:
        """Whether the function is odd, so that inputs centred on 0 stay so."""
        centre = _FUNCTIONS[self.name].centre
        return centre is not None and self.scale * centre + self.shift == 0

    @property
    def slope_at_zero(self) -> float:
        """dy/dx at x = 0."""
        return self.scale * self.slope * _FUNCTIONS[self.name].slope_at_zero

    def function(self, x: Array) -> Array:
        """Return y, elementwise, float64."""
        value = _FUNCTIONS[self.name].function(self.slope * x)
        return value if self.is_plain else self.scale * value + self.shift

    def derivative(self, x: Array, y: Array) -> Array:
        """Return dy/dx, given both the input and the output."""
        own = _FUNCTIONS[self.name]
        if self.is_plain:
            return own.derivative(x, y)
        inner = self.slope * x
        return self.scale * self.slope * own.derivative(inner, own.function(inner))


ACTIVATIONS: Final[dict[str, Activation]] = {name: Activation(name) for name in _FUNCTIONS}
"""Every built-in activation by its name."""

Site = str | Activation | Callable[..., Any]
"""What stands at a site: a built-in activation or its name, or a function of a tensor."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One LSTM cell: an activation for each site, and the variant switches.

    `one` at a gate removes the gate (constant 1, its weights unused); `identity` removes a squash.
    The variants of Greff et al. 2017 (arXiv 1503.04069, section 3): V is ``Cell(peephole=True)``,
    and each other changes one thing of it: NIG ``input_gate="one"``, NFG ``forget_gate="one"``, NOG
    ``output_gate="one"``, NIAF ``candidate="identity"``, NOAF ``cell_output="identity"``, CIFG
    ``coupled=True``, NP ``peephole=False``.

    A site takes the name of a built-in activation, or an `Activation` with a scale, slope and shift
    of its own. It also takes a function of a PyTorch tensor, elementwise and without parameters of
    its own. Such a cell runs only in `gatewise.nn`, step by step, and cannot be written to a file.

    Args:
        input_gate: activation σ_i. Default "sigmoid".
        forget_gate: activation σ_f. Default "sigmoid". Not used when `coupled`.
        candidate: activation φ. Default "tanh".
        output_gate: activation σ_o. Default "sigmoid".
        cell_output: activation ψ. Default "tanh".
        peephole: gates also see the cell state: i and f see c_{t-1}, o sees c_t
            (Gers & Schmidhuber 2000). Default False.
        coupled: f = 1 - i; the forget gate's weights are unused. Default False.
        layer_norm: normalise W_ih x, W_hh h and c over the units (Ba et al. 2016, arXiv
            1607.06450, equations 20 to 22): the two products over the rows of all gates that the
            cell has, together. Default False.

    Raises:
        ConfigError: an activation is unknown, or is a class or cannot be hashed; or a switch is
            not a bool.

    >>> Cell() == Cell(candidate="tanh") == Cell(candidate=Activation("tanh"))
    True
    >>> Cell(output_gate="one").activation("output_gate").range
    (1.0, 1.0)
    """

    input_gate: Site = "sigmoid"
    forget_gate: Site = "sigmoid"
    candidate: Site = "tanh"
    output_gate: Site = "sigmoid"
    cell_output: Site = "tanh"
    peephole: bool = False
    coupled: bool = False
    layer_norm: bool = False

    def __post_init__(self) -> None:
        for site in SITES:
            value = getattr(self, site)
            if isinstance(value, Activation):
                if value.is_plain:  # one spelling for one cell
                    object.__setattr__(self, site, value.name)
            elif not _is_function(value) and (
                not isinstance(value, str) or value not in ACTIVATIONS
            ):
                raise ConfigError(
                    f"{site} has no activation {shown(value)}: expected one of "
                    f"{', '.join(ACTIVATIONS)}, an Activation, or a function of a tensor. "
                    f"{nearest(str(value), list(ACTIVATIONS))}"
                )
        for switch in ("peephole", "coupled", "layer_norm"):
            if not isinstance(getattr(self, switch), bool):
                raise ConfigError(
                    f"{switch} is {shown(getattr(self, switch))}: expected True or False."
                )

    def activation(self, site: str) -> Activation:
        """Return the `Activation` at a site.

        Args:
            site: one of `SITES`.

        Raises:
            ConfigError: there is no such site, or a Python function stands there.
        """
        if site not in SITES:
            raise ConfigError(f"The cell has no site {shown(site)}. {nearest(site, list(SITES))}")
        value = getattr(self, site)
        if isinstance(value, Activation):
            return value
        if not isinstance(value, str):
            raise ConfigError(
                f"{site} is the Python function {_shown(value)}: expected a built-in activation "
                f"({', '.join(ACTIVATIONS)}). Only gatewise.nn runs Python functions."
            )
        return ACTIVATIONS[value]

    @property
    def is_default(self) -> bool:
        """Whether this is the cell of `torch.nn.LSTM`."""
        return self == _DEFAULT

    @property
    def has_callables(self) -> bool:
        """Whether a Python function stands at some site."""
        return any(callable(getattr(self, site)) for site in SITES)

    @property
    def used_gates(self) -> tuple[bool, bool, bool, bool]:
        """Whether the weights of i, f, g, o are used: not if the gate is `one`, nor f if coupled.

        >>> Cell(coupled=True, output_gate="one").used_gates
        (True, False, True, False)
        """
        i, f, g, o = (_name(getattr(self, site)) != "one" for site in SITES[:4])
        return i, f and not self.coupled, g, o

    def as_tuple(self) -> tuple[Any, ...]:
        """Return the fields as plain values: an `Activation` as (name, scale, slope, shift).

        >>> Cell(candidate=Activation("tanh", scale=2)).as_tuple()[2]
        ('tanh', 2.0, 1.0, 0.0)
        """
        return astuple(self)

    @classmethod
    def from_tuple(cls, values: Iterable[Any]) -> Cell:
        """Return the cell of which `as_tuple` made these values; lists will do for tuples."""
        read: list[Any] = [Activation(*v) if isinstance(v, (tuple, list)) else v for v in values]
        return cls(*read)

    def __repr__(self) -> str:
        changed = [
            f"{f.name}={_shown(getattr(self, f.name))}"
            for f in fields(self)
            if getattr(self, f.name) != f.default
        ]
        return f"Cell({', '.join(changed)})"


def _name(value: object) -> object:
    """The name of a built-in function; a Python function as it is."""
    return value.name if isinstance(value, Activation) else value


def _is_function(value: object) -> bool:
    """Whether this may stand at a site in place of a name: a cell is hashed, and calls it."""
    return callable(value) and not isinstance(value, type) and value.__hash__ is not None


def _shown(value: object) -> str:
    return getattr(value, "__name__", repr(value)) if callable(value) else repr(value)


_DEFAULT: Final = Cell()
