"""What a trace says in plain sentences: units that do nothing, gates that never move, memory.

Each finding names what was measured and by which bound, so that it can be checked. The bounds are
such that a network with nothing wrong is seldom accused: a unit is named only where all of its
steps agree (`tests/unit/trace/test_findings.py` holds the rate of false alarms).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from gatewise.trace.measures import effective_rank, half_life, operating, variable
from gatewise.trace.trace import Trace

_FEW: Final = 20
"""Steps below which nothing is said of a unit."""

_BOUND: Final = {"stuck": 0.01, "dead": 1e-3, "shut": 0.01}
_LISTED: Final = 8


@dataclass(frozen=True)
class Finding:
    """One thing that a trace shows.

    Attributes:
        kind: "dead", "stuck", "forgets", "keeps", "flat", "rank", "memory" or "not finite".
        sentence: in plain words.
        layer, direction: where.
        units: which hidden units; empty where it is about all.
        value: the number in the sentence.
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


def findings(trace: Trace) -> list[Finding]:
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
    ['Unit 1 never forgets: f > .99 at all 50 steps.']
    """
    found: list[Finding] = []
    sizes = trace.data.sizes
    for layer in range(sizes["layer"]):
        for direction in range(sizes["direction"]):
            found += _of_one(trace, layer, direction)
    return sorted(found, key=lambda f: not f.warning)


def _of_one(trace: Trace, layer: int, direction: int) -> list[Finding]:
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
    found = _units_at_rest(trace, data, steps, where, at)
    found += _gates_at_an_end(trace, data, steps, where, at)
    found += _shares(trace, layer, direction, where, at)
    return found


def _units_at_rest(trace: Trace, data: Any, steps: int, where: str, at: Any) -> list[Finding]:
    """Units whose state never moves."""
    found = []
    c = data["cell_state"].values.astype(np.float64)
    swing = np.nanmax(c, axis=(0, 1)) - np.nanmin(c, axis=(0, 1))
    typical = np.median(swing)
    dead = np.flatnonzero(swing <= _BOUND["dead"] * max(typical, 1e-12))
    if len(dead) and typical > 0:
        found.append(
            Finding(
                "dead",
                f"{where}{_named(dead)} {_do(dead, 'does', 'do')} nothing: c moves by less than a "
                f"thousandth of the median unit's over {steps} steps.",
                **at,
                units=_ints(dead),
                value=float(swing[dead].max()),
                warning=True,
            )
        )
    return found


def _gates_at_an_end(trace: Trace, data: Any, steps: int, where: str, at: Any) -> list[Finding]:
    """Gates that stand at one end at all steps."""
    found = []
    words = {
        ("forget_gate", 1): ("keeps", "never forgets", "never forget", "f > .99"),
        ("forget_gate", 0): ("forgets", "forgets at once", "forget at once", "f < .01"),
        ("input_gate", 0): ("stuck", "writes nothing", "write nothing", "i < .01"),
        ("output_gate", 0): ("stuck", "puts out nothing", "put out nothing", "o < .01"),
    }
    for (gate, end), (kind, one, many, what) in words.items():
        activation = trace.cell.activation(gate)
        if activation.range != (0.0, 1.0) or (trace.cell.coupled and gate == "forget_gate"):
            continue
        values = data[gate].values
        flat = np.nan_to_num(values, nan=float(end))
        stands = (flat > 0.99) if end else (flat < 0.01)
        units = np.flatnonzero(stands.all(axis=(0, 1)))
        if not len(units):
            continue
        found.append(
            Finding(
                kind,
                f"{where}{_named(units)} {_do(units, one, many)}: {what} at all {steps} steps.",
                **at,
                units=_ints(units),
                value=float(len(units)),
                warning=kind == "stuck",
            )
        )
    return found


def _shares(trace: Trace, layer: int, direction: int, where: str, at: Any) -> list[Finding]:
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
    if not trace.cell.coupled or "forget_gate" in trace.data:
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


def _where(trace: Trace, layer: int, direction: int) -> str:
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
