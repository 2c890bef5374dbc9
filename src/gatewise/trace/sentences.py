"""What a trace says in plain sentences: units that do nothing, gates that never move, memory.

Each finding names what was measured and by which bound, so that it can be checked. The bounds are
such that a network with nothing wrong is seldom accused: a unit is named only where all of its
steps agree (`tests/unit/trace/test_findings.py` holds the rate of false alarms).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from gatewise.trace.measures import effective_rank, half_life, kept_share, operating, variable
from gatewise.trace.recorded import Recorded

_FEW: Final = 20
"""Steps below which nothing is said of a unit."""

_AT_REST: Final = 1e-3
"""A cell state whose swing is below this share of the layer's largest swing stands still."""

_AT_REST_BETWEEN: Final = (1e-6, 1e-3)
"""Least and largest value of that bound: a smaller swing is rounding, a larger one is seen in h."""

_ENDS: Final = (
    ("forget_gate", "f", ">", 0.99, "keeps", "never forgets", "never forget"),
    ("forget_gate", "f", "<", 0.01, "forgets", "forgets at once", "forget at once"),
    ("input_gate", "i", "<", 0.01, "stuck", "writes nothing", "write nothing"),
    ("output_gate", "o", "<", 0.01, "stuck", "puts out nothing", "put out nothing"),
)
"""Gate, its letter, the end at which it stands at all steps, the kind, and what its units do."""

_LISTED: Final = 8


@dataclass(frozen=True)
class Finding:
    """One thing that a trace shows.

    Attributes:
        kind: "dead", "stuck", "forgets", "keeps", "flat", "rank", "memory" or "not finite".
        sentence: in plain words.
        layer, direction: where.
        units: which hidden units; empty where it is about all.
        value: of "dead" the largest swing of these cell states; of "keeps", "forgets" and "stuck"
            how many units it is; of "flat" the share of the inputs of ψ; of "rank" the effective
            rank; of "memory" the median half-life, or the steps where they are too few; of "not
            finite" how many steps.
        warning: whether it may be a fault, or is just so.
    """

    kind: str
    sentence: str
    layer: int
    direction: int
    units: tuple[int, ...] = ()
    value: float | None = None
    warning: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return asdict(self)


def findings(trace: Recorded) -> list[Finding]:
    """Return what is worth saying about a trace, warnings first.

    Args:
        trace: what `gatewise.trace.record` returned, with all its variables.

    >>> import torch
    >>> from gatewise.trace import record
    >>> lstm = torch.nn.LSTM(1, 3)
    >>> with torch.no_grad():
    ...     lstm.bias_ih_l0[3:6] = torch.tensor([0.0, 9.0, 0.0])  # unit 1 never forgets
    >>> found = findings(record(lstm, torch.randn(50, 1, 1)))
    >>> [f.sentence for f in found if f.kind == "keeps"]
    ['Unit 1 never forgets: f > .99 at all 50 steps, and their product is above 1/2.']
    """
    found: list[Finding] = []
    sizes = trace.data.sizes
    for layer in range(sizes["layer"]):
        for direction in range(sizes["direction"]):
            found += _of_one(trace, layer, direction)
    return sorted(found, key=lambda f: not f.warning)


def _of_one(trace: Recorded, layer: int, direction: int) -> list[Finding]:
    for name in ("input_gate", "forget_gate", "output_gate"):
        variable(trace, name)
    data = trace.data.isel(layer=layer, direction=direction)
    c = variable(trace, "cell_state").isel(layer=layer, direction=direction).values
    steps = int(np.isfinite(c).all(axis=-1).sum())
    lengths = trace.data.coords.get("length")
    T, B = c.shape[:2]
    ran = T * B if lengths is None else int(lengths.values.sum())
    at: dict[str, Any] = {"layer": int(trace.data["layer"].values[layer]), "direction": direction}
    where = _where(trace, layer, direction)
    if steps < ran:
        told = f"{where}The cell state is no finite number at {ran - steps} of {ran} steps."
        return [Finding("not finite", told, **at, value=ran - steps, warning=True)]
    if steps < _FEW or not data.sizes["hidden"]:
        return [
            Finding(
                "memory", f"{where}{steps} steps are too few to say anything of.", **at, value=steps
            )
        ]
    found = _units_at_rest(data, steps, where, at)
    kept = kept_share(trace).isel(layer=layer, direction=direction).values
    found += _gates_at_an_end(trace, data, kept, steps, where, at)
    found += _shares(trace, layer, direction, where, at)
    return found


def _units_at_rest(data: Any, steps: int, where: str, at: Any) -> list[Finding]:
    """Units whose cell state never moves."""
    c = data["cell_state"].values.astype(np.float64)
    swing = np.nanmax(c, axis=(0, 1)) - np.nanmin(c, axis=(0, 1))
    bound = np.clip(_AT_REST * swing.max(), *_AT_REST_BETWEEN)
    dead = np.flatnonzero(swing <= bound)
    if not len(dead):
        return []
    most = float(swing[dead].max())
    subject = f"The cell state{_do(dead, '', 's')} of {_named(dead).lower()}"
    told = f"{subject} {_do(dead, 'does', 'do')} not move: by {most:.2g} at most in {steps} steps."
    return [
        Finding("dead", f"{where}{told}", **at, units=_ints(dead), value=most, warning=True)
    ]  # fmt: skip


def _gates_at_an_end(
    trace: Recorded, data: Any, kept: Any, steps: int, where: str, at: Any
) -> list[Finding]:
    """Gates that stand at one end at all steps."""
    found = []
    for gate, letter, sign, bound, kind, one, many in _ENDS:
        activation = trace.cell.activation(gate)
        if activation.range != (0.0, 1.0) or (trace.cell.coupled and gate == "forget_gate"):
            continue
        values = data[gate].values
        beyond = values > bound if sign == ">" else values < bound
        stands = (beyond | np.isnan(values)).all(axis=(0, 1))
        told = f"{letter} {sign} {f'{bound:g}'.lstrip('0')} at all {steps} steps"
        if kind == "keeps":  # many steps of .99 forget, too
            stands &= (np.nanprod(kept.astype(np.float64), axis=0) > 0.5).all(axis=0)
            told += ", and their product is above 1/2"
        units = np.flatnonzero(stands)
        if len(units):
            sentence = f"{where}{_named(units)} {_do(units, one, many)}: {told}."
            found.append(
                Finding(
                    kind, sentence, **at,
                    units=_ints(units), value=float(len(units)), warning=kind == "stuck",
                )
            )  # fmt: skip
    return found


def _shares(trace: Recorded, layer: int, direction: int, where: str, at: Any) -> list[Finding]:
    """What holds of all units together."""
    found = []
    if not trace.cell.layer_norm and trace.cell.activation("cell_output").name == "tanh":
        share = float(operating(trace, "cell_output")[layer, direction].mean())
        if share > 0.1:
            found.append(
                Finding(
                    "flat",
                    f"{where}{share:.0%} of ψ(c) works beyond |c| > 2: its h says little about c "
                    "there; the memory itself is not touched.",
                    **at,
                    value=share,
                )
            )
    life = half_life(trace)[layer, direction].values
    low, middle, high = np.quantile(np.minimum(life, 1e9), [0.1, 0.5, 0.9])
    found.append(
        Finding(
            "memory",
            f"{where}Half of a cell state is forgotten after {_steps(middle)} steps in the "
            f"median unit ({_steps(low)} to {_steps(high)} in 80 % of them).",
            **at,
            value=float(middle),
        )
    )
    rank, H = float(effective_rank(trace)[layer, direction]), trace.data.sizes["hidden"]
    found.append(
        Finding(
            "rank",
            f"{where}The cell states move in {rank:.1f} of {H} directions (effective rank).",
            **at,
            value=rank,
        )
    )
    return found


def _where(trace: Recorded, layer: int, direction: int) -> str:
    sizes, parts = trace.data.sizes, []
    if sizes["layer"] > 1:
        parts.append(f"layer {int(trace.data['layer'].values[layer])}")
    if sizes["direction"] > 1:
        parts.append(str(trace.data["direction"].values[direction]))
    return f"{', '.join(parts).capitalize()}: " if parts else ""


def _named(units: Any) -> str:
    names = [str(int(u)) for u in units]
    if len(names) == 1:
        return f"Unit {names[0]}"
    if len(names) > _LISTED:
        return f"{len(names)} units ({', '.join(names[:_LISTED])}, …)"
    return f"Units {', '.join(names[:-1])} and {names[-1]}"


def _do(units: Any, one: str, many: str) -> str:
    return one if len(units) == 1 else many


def _ints(units: Any) -> tuple[int, ...]:
    return tuple(int(u) for u in units)


def _steps(value: float) -> str:
    return "more than a million" if value > 1e6 else f"{value:.3g}"
