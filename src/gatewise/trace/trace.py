"""`Trace`: everything a cell did, as labelled arrays."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise.arguments import index, names, sliced
from gatewise.arguments import indices as indices_of
from gatewise.cell import Cell
from gatewise.errors import (
    ConfigError,
    MissingExtraError,
    ModelFileError,
    nearest,
    shortened,
    shown,
)
from gatewise.files import read_whole, write_atomically
from gatewise.trace.given import Given
from gatewise.trace.keep import Kept

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

Array = NDArray[Any]

_DIMS: Final = ("layer", "direction", "time", "batch", "hidden")
_FORMAT: Final = "gatewise-trace 1"
_SEAL_BYTES: Final = 96


@dataclass(frozen=True, eq=False)
class Trace:
    """Everything a cell did; two are equal if their cells, labels and numbers are.

    Attributes:
        data: an `xarray.Dataset` with the dimensions layer, direction, time, batch and hidden, and
            the variables input_gate, forget_gate, candidate, output_gate (after their activation),
            cell_state c_t, cell_output ψ(c_t) and hidden_state h_t, all of the LSTM's dtype; and
            the same four gates before their activation as input_gate_pre and so on. With layer norm
            or zoneout of c, ψ sees another value than c_t: cell_output_pre. With a projection,
            hidden_state has the dimension projected instead of hidden. NaN beyond a row's end.
        cell: which LSTM it was.
        initial: (h0 [L*D, B, P], c0 [L*D, B, H]) that it started from, of the layers, directions,
            rows and units that are kept; None for zeros.
    """

    data: xr.Dataset
    cell: Cell
    initial: tuple[Array, Array] | None = None

    def state_at(self, t: int) -> tuple[Array, Array]:
        """Return the states after step t: what a run over the steps after it starts from.

        Args:
            t: index of a step, 0 to T-1.

        Returns:
            (h_t [L, B, P], c_t [L, B, H]), which goes in as `state` or as hx.

        Raises:
            ConfigError: there is no such step; not all layers, units and steps were kept; or the
                LSTM is bidirectional, whose reverse direction comes from the other end.

        >>> import torch
        >>> from gatewise.trace import record
        >>> lstm, x = torch.nn.LSTM(3, 4), torch.randn(5, 2, 3)
        >>> whole = record(lstm, x)
        >>> rest = record(lstm, x[3:], whole.state_at(2))
        >>> np.array_equal(rest.data["cell_state"], whole.data["cell_state"][:, :, 3:])
        True
        """
        if self.data.sizes["direction"] != 1:
            raise ConfigError(
                "state_at expects an LSTM of one direction: the reverse one comes from the other "
                "end, and has no state from which both could go on."
            )
        whole = ("hidden_state", "cell_state")
        if any(name not in self.data for name in whole) or self.data.attrs.get("partial"):
            raise ConfigError(
                "The trace does not hold the states of all layers, units and steps: record it "
                "without keep, or keep hidden_state and cell_state whole."
            )
        T = self.data.sizes["time"]
        t = index(t, "t", T)
        ends = self.data.coords.get("length")
        if ends is not None and (ends.values <= t).any():
            row = int(ends.values.argmin())
            raise ConfigError(
                f"t is {t}: expected one that all rows have; row {row} has {int(ends[row])} steps."
            )
        h, c = (self.data[name].values[:, 0, t].copy() for name in whole)
        return h, c

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the trace to a netCDF file, whole or not at all; `Trace.load` reads it.

        Raises:
            MissingExtraError: h5netcdf is not installed.
            ConfigError: the cell holds a Python function.
            OSError: the file cannot be written.
        """
        if self.cell.has_callables:
            raise ConfigError(f"{self.cell} holds a Python function, which no file can hold.")
        _need_h5netcdf()
        own = {f"initial_{n}": (("state", "batch", f"{n}_size"), a)
               for n, a in zip("hc", self.initial or (), strict=False)}  # fmt: skip
        attrs = {"gatewise": _FORMAT, "cell": json.dumps(asdict(self.cell))}
        # Numbers as they are: files of netCDF have no place for Python's None.
        known = {k: v for k, v in self.data.attrs.items() if v is not None}
        data = self.data.assign(own).assign_attrs(known | attrs)
        buffer = BytesIO()
        try:
            data.to_netcdf(buffer, engine="h5netcdf", invalid_netcdf=True)
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"Some label has no place in a file of netCDF ({shortened(error)}): expected "
                "numbers, texts or dates without a zone as labels of steps, units and inputs."
            ) from None
        content = buffer.getvalue()
        write_atomically(path, content + _seal(content))

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Trace:
        """Read what `save` wrote.

        Raises:
            ModelFileError: the file is missing, damaged, or no trace.
            MissingExtraError: h5netcdf is not installed.
        """
        _need_h5netcdf()
        import xarray as xr

        try:
            content = read_whole(path)
            content, seal = content[:-_SEAL_BYTES], content[-_SEAL_BYTES:]
            if seal != _seal(content):  # HDF5 can hang on a damaged file
                raise ValueError("it was altered or cut short, or is of another kind")
            with xr.open_dataset(BytesIO(content), engine="h5netcdf") as opened:
                data = opened.load()
            if data.attrs.pop("gatewise", None) != _FORMAT:
                raise ValueError("it is no trace")
            values = json.loads(data.attrs.pop("cell"))
            cell = Cell.from_tuple(
                tuple(v.values()) if isinstance(v, dict) else v for v in values.values()
            )
            initial = [data[k].values for k in ("initial_h", "initial_c") if k in data]
        except (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            raise ModelFileError(
                f"{shown(str(path))} is no trace ({shortened(error)}): expected a file as "
                "Trace.save writes it."
            ) from None
        data = data.drop_vars(["initial_h", "initial_c"], errors="ignore")
        return Trace(data, cell, (initial[0], initial[1]) if initial else None)

    def cut(self, **indices: Any) -> Trace:
        """Return a part of the trace, by index: `trace.cut(batch=[0], time=slice(10))`."""
        sizes = self.data.sizes
        chosen = {k: _chosen(k, v, sizes) for k, v in indices.items()}
        attrs = {"partial": 1} | ({"lacks_steps": 1} if "time" in indices else {})
        initial = self.initial
        if initial is not None:
            axes = ("layer", "direction", "batch", "hidden")
            lead = sizes["layer"], sizes["direction"]
            parts = []
            for state in initial:
                part = state.reshape(*lead, *state.shape[1:])
                for axis, name in enumerate(axes):
                    if name in chosen and (name != "hidden" or part.shape[3] == sizes["hidden"]):
                        part = part.take(chosen[name], axis)
                parts.append(part.reshape(part.shape[0] * part.shape[1], *part.shape[2:]))
            initial = parts[0], parts[1]
        return replace(self, data=self.data.isel(chosen).assign_attrs(attrs), initial=initial)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trace):
            return NotImplemented
        return (
            self.cell == other.cell
            and self.data.identical(other.data)
            and (self.initial is None) == (other.initial is None)
            and all(
                np.array_equal(a, b, equal_nan=True)
                for a, b in zip(self.initial or (), other.initial or (), strict=True)
            )
        )

    def __hash__(self) -> int:
        return hash((self.cell, tuple(self.data.sizes.items())))

    def plot(
        self,
        *,
        layer: int = 0,
        direction: int = 0,
        batch: int = 0,
        labels: Sequence[str] | None = None,
    ) -> Figure:
        """Draw the gates, c and h of one row; see `gatewise.trace.plot_gates`.

        Args:
            layer, direction, batch: indices of what to draw. Default 0, the first of each.
            labels: [T] one per step, for the time axis; default the trace's own.

        Returns:
            A matplotlib figure of six panels.

        Raises:
            ConfigError: there is no such layer, direction or row.
            MissingExtraError: matplotlib is not installed.

        >>> import torch
        >>> from gatewise.trace import record
        >>> figure = record(torch.nn.LSTM(3, 4), torch.randn(5, 2, 3)).plot(batch=1)
        >>> figure.axes[0].get_title("left")
        'input gate i'
        """
        from gatewise.trace.plots import plot_gates

        return plot_gates(self, layer=layer, direction=direction, batch=batch, labels=labels)

    def _repr_html_(self) -> str:
        """Show the first row's gates and states, and the Dataset, in a notebook."""
        from gatewise.trace.notebook import html_of

        return html_of(self)


def made(
    given: Given, chosen: Kept, variables: dict[str, Any], inputs: Any = None, units: Any = None
) -> Trace:
    """Return the trace of what was run, labelled.

    Raises:
        MissingExtraError: xarray is not installed.
    """
    xr = need_xarray()
    config = given.weights.config
    projected = "projected" if config.proj_size else "hidden"
    labelled = {
        name: ((*_DIMS[:4], projected) if name == "hidden_state" else _DIMS, array)
        for name, array in variables.items()
    }
    sizes = len(given.x), config.hidden_size, config.input_size
    coordinates = _numbered(chosen.layers, config.directions, *sizes).copy(deep=False)
    if given.time is not None:
        coordinates["time"] = given.time
    if units is not None:
        coordinates["hidden"] = names(units, "units", config.hidden_size)
    if inputs is not None:
        coordinates["input"] = names(inputs, "inputs", config.input_size)
    if not chosen.all_steps or not chosen.all_units:
        kept = {"time": chosen.steps, "hidden": chosen.units}
        coordinates = coordinates.to_dataset().isel(kept).coords
    if given.lengths is not None:
        coordinates["length"] = ("batch", given.lengths)
    all_layers = len(chosen.layers) == config.num_layers
    partial = not (chosen.all_units and chosen.all_steps and all_layers)
    attrs: dict[str, Any] = {"partial": 1} if partial else {}
    if not chosen.all_steps:
        attrs["lacks_steps"] = 1
    if any(config.zoneout):
        attrs |= dict(zip(("zoneout_h", "zoneout_c"), config.zoneout, strict=True))
    initial = []
    for state, follows in ((given.h, not config.proj_size), (given.c, True)):
        own = state.reshape(config.num_layers, config.directions, *state.shape[1:])
        own = own[list(chosen.layers)]
        own = own.reshape(own.shape[0] * own.shape[1], *state.shape[1:])
        initial.append(own[..., chosen.units] if follows and not chosen.all_units else own)
    return Trace(xr.Dataset(labelled, coordinates, attrs), config.cell, (initial[0], initial[1]))


def _chosen(axis: str, value: Any, sizes: Any) -> NDArray[np.int64]:
    """The indices of a part of an axis."""
    if axis not in sizes:
        raise ConfigError(f"There is no axis {shown(axis)}. {nearest(str(axis), list(sizes))}")
    if isinstance(value, slice):
        value = sliced(value, axis, sizes[axis])
    return indices_of(value, axis, sizes[axis])


@lru_cache(maxsize=32)
def _numbered(layers: tuple[int, ...], directions: int, T: int, H: int, I: int) -> Any:
    """Coordinates that only count: an index of each takes longer to make than many runs."""
    coordinates = {
        "layer": np.asarray(layers, np.int64),
        "direction": np.array(["forward", "reverse"][:directions]),
        "time": np.arange(T),
        "hidden": np.arange(H),
        "input": np.arange(I),
    }
    for shared in coordinates.values():
        shared.flags.writeable = False
    return need_xarray().Coordinates(coordinates)


def _seal(content: bytes) -> bytes:
    """What stands behind a netCDF file, whose readers do not look there: the hash of the file."""
    return f"gatewise trace, SHA-256 {hashlib.sha256(content).hexdigest()}".encode().rjust(
        _SEAL_BYTES
    )


def need_xarray() -> Any:
    """Import xarray.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import xarray as xr
    except ImportError:
        raise MissingExtraError("Tracing", "trace") from None
    return xr


def _need_h5netcdf() -> None:
    try:
        import h5netcdf  # noqa: F401
    except ImportError:
        raise MissingExtraError("Traces in files", "trace") from None
