"""What if: runs in which gates are clamped, cells set, units silenced, squashes swapped.

The native core runs it: where an edit has a number, that number stands in place of what the cell
computes, and the step goes on from there. A swapped activation is another cell for those steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatewise.arguments import index, indices, numbers, sliced, whole
from gatewise.cell import ACTIVATIONS, SITES, Activation, Cell
from gatewise.errors import ConfigError, ShapeError, nearest, shown
from gatewise.trace.deferred import deferred, may_defer
from gatewise.trace.given import Given, checked, weights_of
from gatewise.trace.keep import Keep, check_memory, kept
from gatewise.trace.recorder import run_all
from gatewise.trace.running import Direction
from gatewise.trace.trace import Trace, made

Array = NDArray[Any]

EDITED: Final = (*SITES, "cell_state")
_ABLATIONS: Final = ("zero", "mean", "resample")


@dataclass(frozen=True, eq=False)
class Edit:
    """One intervention.

    What follows from the edited value follows it, with one exception: the forget gate of a coupled
    cell stays 1 - i of the input gate that the cell computed. An edit of i leaves it alone. Edit
    forget_gate, too, to 1 - i, where it should follow.

    Args:
        site: one of the five sites (the value after the activation) or "cell_state".
        value: a number, or an array that fits [steps, B, units], in which NaN leaves the cell
            alone. Or an activation (its name or an `Activation`), which takes the place of the
            site's own, for all units. Or an ablation: "zero"; "mean", the mean over time and batch
            of the unedited run; "resample", what the unit did at another time and row of it, drawn
            with `seed`.
        units: indices of hidden units; default all.
        steps: an index, a slice or indices of steps; default all. `slice(t, None)` is from t on.
        layer, direction: indices; default all.
        seed: of "resample". Default 0.

    >>> Edit("forget_gate", 1.0, units=[3], steps=slice(10, None)).site
    'forget_gate'
    """

    site: str
    value: Any
    units: Sequence[int] | None = None
    steps: int | slice | Sequence[int] | None = None
    layer: int | None = None
    direction: int | None = None
    seed: int = 0

    @property
    def swap(self) -> str | Activation | None:
        """The activation that takes the site's place; None if this is no swap."""
        known = isinstance(self.value, Activation) or (
            isinstance(self.value, str) and self.value not in _ABLATIONS
        )
        return self.value if known else None


def run_on(
    lstm: Any,
    x: Any,
    edits: Edit | Iterable[Edit],
    state: tuple[ArrayLike, ArrayLike] | None = None,
    lengths: ArrayLike | None = None,
    time: ArrayLike | None = None,
    keep: Any = None,
) -> Trace:
    """Run an LSTM on an input with interventions, and record it.

    Args:
        lstm, x, state, lengths, time, keep: as in `record`.
        edits: one `Edit` or several; where two meet, the later one holds.

    Returns:
        The `Trace` of the edited run. A swap of all steps is part of its cell.

    Raises:
        ConfigError: an edit names what there is not, swaps the activation of some units alone or of
            a coupled forget gate, or asks an LSTM with a Python function.
        ShapeError: a value does not fit the steps, rows and units that it is for.
        ModuleError, DtypeError: as in `record`.

    >>> import torch
    >>> lstm, x = torch.nn.LSTM(3, 4), torch.randn(6, 1, 3)
    >>> frozen = run_on(lstm, x, [Edit("forget_gate", 1.0), Edit("input_gate", 0.0)])
    >>> bool((frozen.data["cell_state"] == 0).all())  # nothing comes in, and c_0 is 0
    True
    """
    weights = weights_of(lstm)
    given = checked(weights, x, state, lengths, time)
    chosen = kept(keep, weights.config, len(given.x), given.x.dtype)
    check_memory(chosen.bytes(weights.config, given.x.shape[1]))
    found = [edits] if isinstance(edits, Edit) else _listed(edits)
    plan = Plan(given, found)
    later = may_defer(given, keep)
    variables = deferred(given, plan) if later else run_all(given, chosen, plan)
    trace = made(given, chosen, variables)
    return replace(trace, cell=plan.cell_of_all())


def _listed(edits: Any) -> list[Edit]:
    found = list(edits) if isinstance(edits, Iterable) else [edits]
    for edit in found:
        if not isinstance(edit, Edit):
            raise ConfigError(f"edits holds {shown(edit)}: expected an Edit, or several.")
    return found


class Plan:
    """Edits, as a run of one layer and direction takes them."""

    def __init__(self, given: Given, edits: list[Edit]) -> None:
        self.given, self.edits, self.config = given, edits, given.weights.config
        T = len(given.x)
        for edit in edits:
            check(edit, given)
        self.steps = [_steps(edit.steps, T) for edit in edits]
        self.units = [_units(edit.units, self.config.hidden_size) for edit in edits]
        needed = sorted({e.site for e in edits if e.value is not None and _is_measured(e)})
        self.base: dict[str, Array] = {}
        if needed:
            chosen = kept(Keep(needed), self.config, T, given.x.dtype)
            self.base = run_all(given, chosen)

    def __call__(
        self, layer: int, d: int, own: Direction
    ) -> tuple[dict[str, Array] | None, list[tuple[slice, Cell]] | None]:
        """Return the edits [T, B, H] by site in the order of running, and who runs which steps."""
        T, B, _ = self.given.x.shape
        arrays: dict[str, Array] = {}
        cells = [own.cell] * T
        swapped = False
        for edit, steps, units in zip(self.edits, self.steps, self.units, strict=True):
            if edit.layer not in (None, layer) or edit.direction not in (None, d):
                continue
            if edit.swap is not None:
                swapped = True
                changed = {cell: replace(cell, **{edit.site: edit.swap}) for cell in set(cells)}
                for t in steps:
                    cells[t] = changed[cells[t]]
                continue
            site = str(edit.site)
            if site not in arrays:
                check_memory(T * B * own.hidden_size * self.given.x.itemsize)
                arrays[site] = np.full((T, B, own.hidden_size), np.nan, self.given.x.dtype)
            value = self._value(edit, layer, d, steps, units)
            at = np.ix_(steps, np.arange(B), units)
            arrays[site][at] = np.where(np.isnan(value), arrays[site][at], value)
        if d:
            arrays = {site: self.given.turned(a) for site, a in arrays.items()}
            cells = cells[::-1]
        return arrays or None, _spans(cells) if swapped else None

    def _value(self, edit: Edit, layer: int, d: int, steps: Array, units: Array) -> Array:
        _T, B, _ = self.given.x.shape
        shape, dtype = (len(steps), B, len(units)), self.given.x.dtype
        if not isinstance(edit.value, str):
            value = numbers(edit.value, f"The value for {edit.site}", dtype)
            try:
                return np.broadcast_to(value, shape)
            except ValueError:
                raise ShapeError(
                    f"The value for {edit.site} has shape {value.shape}: expected one that fits "
                    f"[steps, B, units] = {shape}."
                ) from None
        if edit.value == "zero":
            return np.zeros(shape, dtype)
        did = self.base[edit.site][layer, d]
        valid = did[~np.isnan(did[..., 0])]  # [n, H], beyond no row's end
        if not len(valid):
            raise ConfigError(
                f"The run has no finite {edit.site} to take the {edit.value} of: expected some."
            )
        if edit.value == "mean":
            return np.broadcast_to(valid.mean(axis=0)[units], shape)
        drawn = np.random.default_rng(edit.seed).integers(len(valid), size=shape[:2])
        return valid[drawn][..., units]

    def cell_of_all(self) -> Cell:
        """The cell with what is swapped at all steps, layers and directions."""
        cell, T = self.config.cell, len(self.given.x)
        for edit, steps in zip(self.edits, self.steps, strict=True):
            everywhere = edit.layer is None and edit.direction is None and len(steps) == T
            if edit.swap is not None and everywhere:
                cell = replace(cell, **{edit.site: edit.swap})
        return cell


def _is_measured(edit: Edit) -> bool:
    return isinstance(edit.value, str) and edit.value in ("mean", "resample")


def check(edit: Edit, given: Given) -> None:
    """Refuse an edit that names what there is not.

    Raises:
        ConfigError: it does.
    """
    config = given.weights.config
    if not isinstance(edit.site, str) or edit.site not in EDITED:
        raise ConfigError(f"There is no site {shown(edit.site)}. {nearest(str(edit.site), EDITED)}")
    for name, n in (("layer", config.num_layers), ("direction", config.directions)):
        if getattr(edit, name) is not None:
            index(getattr(edit, name), name, n)
    whole(edit.seed, "seed")
    swap = edit.swap
    if isinstance(swap, str) and swap not in ACTIVATIONS:
        known = [*_ABLATIONS, *ACTIVATIONS]
        raise ConfigError(f"value is {shown(swap)}: no activation. {nearest(swap, known)}")
    if swap is None:
        return
    if edit.site == "cell_state" or edit.units is not None:
        raise ConfigError(
            f"An activation takes the place of that of {edit.site} for units {shown(edit.units)}: "
            "expected one of the five sites, for all units."
        )
    if config.cell.coupled and edit.site == "forget_gate":
        raise ConfigError(
            "The forget gate of a coupled cell is 1 - i and has no activation: expected another "
            "site. Swap the input gate's, which moves both."
        )
    if given.lengths is not None and edit.steps is not None and config.bidirectional:
        raise ConfigError(
            "In reverse each row of a ragged batch begins at another step: expected a swap of all "
            "steps, rows of one length, or one direction."
        )


def _steps(steps: Any, T: int) -> NDArray[np.int64]:
    if steps is None:
        return np.arange(T)
    if isinstance(steps, slice):
        return sliced(steps, "steps", T)
    return indices(steps, "steps", T)


def _units(units: Any, H: int) -> NDArray[np.int64]:
    return np.arange(H) if units is None else indices(units, "units", H)


def _spans(cells: list[Cell]) -> list[tuple[slice, Cell]]:
    """Steps that one cell runs, one after the other."""
    ends = [t for t in range(1, len(cells)) if cells[t] != cells[t - 1]]
    bounds = [0, *ends, len(cells)] if cells else [0]
    return [(slice(a, b), cells[a]) for a, b in itertools.pairwise(bounds)]
