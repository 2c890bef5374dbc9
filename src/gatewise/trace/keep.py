"""What of a run a trace keeps, and how many bytes that is."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from gatewise.arguments import indices, sliced
from gatewise.errors import ConfigError, nearest, shown
from gatewise.trace.running import VARIABLES, variables_of
from gatewise.weights import LSTMConfig


@dataclass(frozen=True)
class Keep:
    """What `record` keeps; each default keeps all.

    Args:
        variables: names among those of a trace, such as "cell_state".
        units: indices of hidden units. With a projection, hidden_state keeps all of its own.
        layers: indices of layers.
        steps: a slice of the steps, or their indices in rising order.
        dtype: of what is kept, such as "float16"; default that of the LSTM.

    >>> Keep(["cell_state"], units=[0, 3], dtype="float16").variables
    ['cell_state']
    """

    variables: Sequence[str] | None = None
    units: Sequence[int] | None = None
    layers: Sequence[int] | None = None
    steps: slice | Sequence[int] | None = None
    dtype: Any = None


@dataclass(frozen=True, eq=False)
class Kept:
    """`Keep`, checked, for one LSTM and input."""

    variables: tuple[str, ...]
    units: np.ndarray[Any, np.dtype[np.int64]]
    layers: tuple[int, ...]
    steps: np.ndarray[Any, np.dtype[np.int64]]
    dtype: np.dtype[Any]
    all_units: bool
    all_steps: bool

    def size_of(self, name: str, config: LSTMConfig) -> int:
        """Return how many units of a variable are kept."""
        if name == "hidden_state" and config.proj_size:
            return config.proj_size
        return len(self.units)

    def bytes(self, config: LSTMConfig, B: int) -> int:
        """Return how many bytes the kept variables take."""
        numbers = sum(self.size_of(name, config) for name in self.variables)
        rows = len(self.layers) * config.directions * len(self.steps) * B
        return rows * numbers * self.dtype.itemsize


def kept(keep: Any, config: LSTMConfig, T: int, dtype: Any) -> Kept:
    """Return what is kept of T steps.

    Args:
        keep: a `Keep`, names of variables, or None for all.
        config: of the LSTM.
        T: steps.
        dtype: of the run.

    Raises:
        ConfigError: there is no such variable, unit, layer or step, or no such dtype.
    """
    if keep is None:
        keep = Keep()
    elif isinstance(keep, str):
        keep = Keep([keep])
    elif not isinstance(keep, Keep):
        if not isinstance(keep, Iterable):
            raise ConfigError(f"keep is {shown(keep)}: expected a Keep, or names of variables.")
        keep = Keep(list(keep))
    wanted = variables_of(config) if keep.variables is None else keep.variables
    if isinstance(wanted, str) or not isinstance(wanted, Iterable):
        raise ConfigError(f"keep: variables is {shown(wanted)}: expected a list of names.")
    names = tuple(wanted)
    for name in names:
        if name not in VARIABLES:
            raise ConfigError(f"keep: no variable {shown(name)}. {nearest(str(name), VARIABLES)}")
    try:
        with warnings.catch_warnings(action="error"):  # of names that NumPy no longer likes
            found = np.dtype(dtype if keep.dtype is None else keep.dtype)
    except (TypeError, ValueError, Warning):
        found = np.dtype(object)
    if found.kind != "f":
        raise ConfigError(f"keep: dtype is {shown(keep.dtype)}: expected float16, 32 or 64.")
    steps = sliced(keep.steps, "steps", T) if isinstance(keep.steps, slice) else keep.steps
    H, L = config.hidden_size, config.num_layers
    return Kept(
        tuple(name for name in VARIABLES if name in names),
        _indices("units", keep.units, H),
        tuple(_indices("layers", keep.layers, L).tolist()),
        _indices("steps", steps, T),
        found,
        keep.units is None,
        keep.steps is None,
    )


def check_memory(
    wanted: int,
    what: str = "The trace takes",
    advice: str = "Keep less, as with keep=Keep(['cell_state'], units=range(16)).",
) -> None:
    """Refuse what would not fit into the memory that is free, before anything is run.

    Args:
        wanted: bytes.
        what: how the message begins, before the number.
        advice: how it ends.

    Raises:
        ConfigError: it would not.
    """
    if wanted < _ALWAYS_THERE:
        return
    free = _free_memory()
    if free is not None and wanted > free:
        raise ConfigError(
            f"{what} {wanted / 2**30:.1f} GiB: expected at most the {free / 2**30:.1f} GiB that "
            f"are free. {advice}"
        )


_ALWAYS_THERE: Final = 64 << 20
"""Bytes for which nobody need ask."""


def _free_memory() -> int | None:
    """Bytes that can be had, the files that the system only keeps at hand among them."""
    try:
        with Path("/proc/meminfo").open() as told:
            return next(1024 * int(line.split()[1]) for line in told if "MemAvailable" in line)
    except (OSError, ValueError, StopIteration):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # a system that does not tell
        return None


def _indices(what: str, given: Any, n: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    found = np.arange(n) if given is None else indices(given, f"keep: {what}", n)
    if (np.diff(found) <= 0).any():
        raise ConfigError(f"keep: {what} is {shown(found.tolist())}: expected rising indices.")
    return found
