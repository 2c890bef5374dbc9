"""What measures, sentences and pictures need of a trace: its arrays and its cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gatewise.cell import Cell

if TYPE_CHECKING:
    import xarray as xr


class Recorded(Protocol):
    """A trace, as the functions read it that `Trace` itself calls. `gatewise.trace.Trace` is one.

    They cannot name `Trace`: its module imports theirs.
    """

    @property
    def data(self) -> xr.Dataset:
        """Arrays with the dimensions layer, direction, time, batch and hidden."""
        ...

    @property
    def cell(self) -> Cell:
        """Which LSTM it was."""
        ...
