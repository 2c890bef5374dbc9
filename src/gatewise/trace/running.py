"""One layer in one direction on the native core, with everything it does kept.

Arrays here are [T, B, *] in the order of running: in the reverse direction a row begins with its
own last step. `recorder`, `deferred` and `flow` put layers and directions together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise import _native, reference
from gatewise._native import arrays
from gatewise.cell import Cell
from gatewise.weights import LSTMConfig, LSTMWeights

Array = NDArray[Any]
State = tuple[Array, Array]

GATES: Final = ("input_gate", "forget_gate", "candidate", "output_gate")
PRE: Final = tuple(f"{gate}_pre" for gate in GATES)
VARIABLES: Final = (
    *GATES, "cell_state", "cell_output", "hidden_state", *PRE, "cell_output_pre"
)  # fmt: skip

_TAPE_BYTES: Final = 32 << 20
"""What the core keeps of the steps that run at a time, about."""


@dataclass(frozen=True, eq=False)
class Direction:
    """One layer in one direction: its parameters as the core and as the equations name them.

    Args:
        own: parameters by their name in the equations (`LSTMWeights.layer`).
        cell: which LSTM.
        zoneout: rates of h and of c.
    """

    own: dict[str, Array]
    cell: Cell
    zoneout: tuple[float, float] = (0.0, 0.0)

    @property
    def hidden_size(self) -> int:
        """H."""
        return self.own["w_ih"].shape[0] // 4

    @property
    def projection(self) -> int:
        """proj_size, 0 for none."""
        return self.own["w_hr"].shape[0] if "w_hr" in self.own else 0

    @property
    def output_size(self) -> int:
        """P."""
        return self.projection or self.hidden_size

    def network(self, cell: Cell | None = None) -> arrays.Network:
        """Return the packed weights, with another cell of the same parameters if one is given."""
        cell = cell or self.cell
        names = _native.parameter_names(cell, self.projection)
        own = [self.own.get(name) for name in names]
        return arrays.Network([own], 1, False, cell, self.projection)


def direction_of(weights: LSTMWeights, layer: int, direction: int, dtype: Any) -> Direction:
    """Return one layer and direction of an LSTM, a copy of its numbers in a dtype of the core's.

    A copy, since what has run is read later, and the module may be trained meanwhile.
    """
    own = {
        name: np.array(array, dtype, order="C")
        for name, array in weights.layer(layer, direction).items()
    }
    return Direction(own, weights.config.cell, weights.config.zoneout)


def run(
    direction: Direction,
    x: Array,
    h: Array,
    c: Array,
    wanted: frozenset[str],
    take: Callable[[slice, dict[str, Array]], None],
    edits: Mapping[str, Array] | None = None,
    spans: list[tuple[slice, Cell]] | None = None,
) -> State:
    """Run all steps, and hand over what was done, some steps at a time.

    Args:
        direction: the layer.
        x: [T, B, I], of its dtype.
        h, c: [B, P] and [B, H] initial states.
        wanted: names among `VARIABLES`.
        take: called with the steps and their variables, each [steps, B, *], which it may keep.
        edits: [T, B, H] by site (or "cell_state"); see `gatewise._native.arrays`.
        spans: steps and the cell that runs them, one after the other; default all by its own.

    Returns:
        The states after the last step.
    """
    T, B, _ = x.shape
    for steps, cell in spans or [(slice(0, T), direction.cell)]:
        network = direction.network(cell)
        for chunk in _chunks(steps, B, direction.hidden_size, x.itemsize):
            own = None if edits is None else {k: v[chunk] for k, v in edits.items()}
            ran = run_chunk(direction, network, x[chunk], h, c, own)
            take(chunk, ran.variables(wanted))
            h, c = ran.last
    return h, c


def _chunks(steps: slice, B: int, H: int, itemsize: int) -> Iterator[slice]:
    at_once = max(1, _TAPE_BYTES // max(1, 5 * B * H * itemsize))
    for first in range(steps.start, steps.stop, at_once):
        yield slice(first, min(first + at_once, steps.stop))


@dataclass(frozen=True, eq=False)
class Ran:
    """Some steps that have run, as the core has left them: everything that was done is in here.

    Attributes:
        direction, network: what ran.
        x, h, c: [T, B, I], [B, P] and [B, H] that it ran on.
        y, tape: [T, B, P], and what the core has kept.
        last: (h, c) after the last step.
        edits: [T, B, H] by site, or None.
    """

    direction: Direction
    network: arrays.Network
    x: Array
    h: Array
    c: Array
    y: Array
    tape: Array
    last: State
    edits: Mapping[str, Array] | None = None

    def variables(
        self, wanted: frozenset[str], room: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """Return what was done, [T, B, *] by the names of `VARIABLES`.

        Args:
            wanted: which.
            room: dense arrays to read the tape into, by some of their names.
        """
        (T, B, _), H, dtype = self.y.shape, self.network.H, self.x.dtype
        needed = _needed(wanted, self.direction.zoneout[1] > 0)
        out = {
            name: room[name][None] if room and name in room else np.empty((1, T, B, H), dtype)
            for name in (*GATES, "cell_state")
            if name in needed
        }
        found = {"hidden_state": self.y}
        if out:
            self.network.read_tape(self.x, self.tape, _native.thread_count(), **out)
            found |= {name: array[0] for name, array in out.items()}
        edits = self.edits or {}
        for gate in GATES:  # the tape has what the cell computed itself
            if gate in edits and gate in found:
                np.copyto(found[gate], edits[gate], where=~np.isnan(edits[gate]))
        cell = self.network.cell
        if wanted & _OF_NEW_CELLS:
            new = _new_cells(self.direction, found, self.c, edits.get("cell_state"))
            if wanted & {*PRE}:
                found |= _gates_pre(self, found, new)
            seen = normalised(new, self.direction.own["norm_c"]) if cell.layer_norm else new
            found["cell_output_pre"] = seen
            if "cell_output" in wanted:
                found["cell_output"] = _cell_output(cell, seen, edits.get("cell_output"))
        return {name: found[name] for name in wanted}


def run_chunk(
    direction: Direction,
    network: arrays.Network,
    x: Array,
    h: Array,
    c: Array,
    edits: Mapping[str, Array] | None = None,
) -> Ran:
    """Run some steps on the core; see `run`."""
    (T, B, _), dtype = x.shape, x.dtype
    y = np.empty((T, B, network.P), dtype)
    h_n, c_n = np.empty((1, B, network.P), dtype), np.empty((1, B, network.H), dtype)
    noise = arrays.Noise(rates=direction.zoneout) if any(direction.zoneout) else arrays.NO_NOISE
    tape = network.tape(T, B)
    whole = None if edits is None else {k: np.ascontiguousarray(v)[None] for k, v in edits.items()}
    network.forward(
        x, np.ascontiguousarray(h)[None], np.ascontiguousarray(c)[None], y, h_n, c_n, tape,
        _native.thread_count(), noise=noise, edits=whole,
    )  # fmt: skip
    return Ran(direction, network, x, h, c, y, tape, (h_n[0], c_n[0]), edits)


_OF_NEW_CELLS: Final = frozenset({"cell_output", "cell_output_pre", *PRE})
"""What is worked out from the cell states that gates and ψ see."""


def variables_of(config: LSTMConfig) -> tuple[str, ...]:
    """Return what a trace keeps by default: cell_output_pre only where it is another than c_t."""
    other = config.cell.layer_norm or config.zoneout[1]
    return VARIABLES if other else VARIABLES[:-1]


def _needed(wanted: frozenset[str], mixed: bool) -> set[str]:
    """What must be read of the tape to make what is wanted; mixed: c is, by zoneout."""
    needed = {*wanted}
    if wanted & _OF_NEW_CELLS:
        needed.add("cell_state")
        if mixed:
            needed |= {"input_gate", "forget_gate", "candidate"}
    return needed


def _before(first: Array, states: Array) -> Array:
    """The states that each step begins with."""
    return np.concatenate([first[None], states])[: len(states)]


def _new_cells(
    direction: Direction, found: dict[str, Array], c: Array, edit: Array | None
) -> Array:
    """The cell states that gates and ψ see: before zoneout mixes them with the old ones."""
    if not direction.zoneout[1]:
        return found["cell_state"]
    c_prev = _before(c, found["cell_state"])
    new = found["forget_gate"] * c_prev + found["input_gate"] * found["candidate"]
    return new if edit is None else np.where(np.isnan(edit), new, edit)


def _cell_output(cell: Cell, seen: Array, edit: Array | None) -> Array:
    """ψ of what it sees, or what an edit puts in its place."""
    flat = np.ascontiguousarray(seen).reshape(-1)
    out = np.empty_like(flat)
    _native.activate(cell.as_tuple()[4], flat, out)
    out = out.reshape(seen.shape)
    return out if edit is None else np.where(np.isnan(edit), out, edit)


@np.errstate(invalid="ignore", over="ignore")  # NaN and infinities travel, as on the core
def _gates_pre(ran: Ran, found: dict[str, Array], new: Array) -> dict[str, Array]:
    """The gates before their activation, which the core does not keep: in two products, anew."""
    direction, cell, x = ran.direction, ran.network.cell, ran.x
    own, (T, B, I), H = direction.own, x.shape, direction.hidden_size
    from_x = x.reshape(-1, I) @ own["w_ih"].T
    h_prev = _before(ran.h, found["hidden_state"])
    from_h = h_prev.reshape(T * B, direction.output_size) @ own["w_hh"].T
    if cell.layer_norm:
        used = np.repeat(cell.used_gates, H)
        from_x = normalised(from_x, own["norm_ih"], used)
        from_h = normalised(from_h, own["norm_hh"], used)
    from_x += from_h
    for bias in ("b_ih", "b_hh"):
        if bias in own:
            from_x += own[bias]
    pre = from_x.reshape(T, B, 4, H)
    if cell.peephole:
        see = own["peephole"]
        pre[:, :, :2] += see[:2] * _before(ran.c, found["cell_state"])[:, :, None]
        pre[:, :, 3] += see[2] * new
    return {name: pre[:, :, k] for k, name in enumerate(PRE)}


def normalised(v: Array, gain_shift: Array, used: NDArray[np.bool_] | None = None) -> Array:
    """Layer norm over the last axis, of the columns that are used (Ba et al. 2016, eq. 4)."""
    seen = v if used is None else v[..., used]
    if not seen.shape[-1]:
        return v
    centred = v - seen.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(seen.var(axis=-1, keepdims=True) + reference.EPSILON)
    return centred / deviation * gain_shift[0] + gain_shift[1]
