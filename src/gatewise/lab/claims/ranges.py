"""Outputs in (-1, 1): whether data must be scaled, and whether an LSTM can follow a trend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch

from gatewise.cell import Cell
from gatewise.lab.claims.common import BLUE, ORANGE, dots, judged, median, share, values_of
from gatewise.lab.design import Config, Experiment, Plan, Verdict, of_arm
from gatewise.lab.store import Row
from gatewise.lab.tasks import Ramp
from gatewise.lab.training import Model, Recipe, train

SCALES: Final = (0.1, 1, 10, 100)
_LEARNT: Final = 0.1
"""An error, in shares of the scale, below which a line counts as followed."""


def measure(config: Config, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Train on lines of some scale; then errors within the learnt steps and beyond them."""
    recipe = Recipe(
        cell=Cell(cell_output=config["cell_output"]), hidden_size=16, schedule="one-cycle",
        linear_head=config["head"] == "linear", learning_rate=0.02, steps=config["steps"],
        check_every=config["steps"], enough=2.0, test=64,
    )  # fmt: skip
    return [
        outcome.as_dict() | _errors(model, config["scale"], seed)
        for seed, (model, outcome) in zip(
            seeds, train(Ramp(config["scale"]), recipe, seeds), strict=True
        )
    ]


def _errors(model: Model, scale: float, seed: int) -> dict[str, float | None]:
    """Root mean square errors in shares of the scale, and the largest output."""
    task = Ramp(scale, longer=60)
    batch = task.batch(np.random.default_rng(30_000 + seed), 128)
    with torch.no_grad():
        output = model(torch.from_numpy(batch.x))[..., 0].numpy()
    error = (output - batch.target[..., 0]) / scale
    parts = {"within": error[5 : task.T], "beyond": error[task.T : 2 * task.T], "far": error[-10:]}
    found: dict[str, float | None] = {
        name: _number(np.sqrt((part**2).mean())) for name, part in parts.items()
    }
    return found | {"largest_output": _number(np.abs(output[: task.T]).max())}


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def judge(rows: Sequence[Row]) -> Verdict:
    """Supported if with a linear head half of the outputs stay within 1, or scale 10 is not learnt.

    Contradicted if with a linear head every scale is learnt, the largest at most twice as badly.
    """
    table = []
    for arm in EXPERIMENT.arms():
        own = of_arm(rows, **arm)
        if own:
            table.append({
                **arm, "seeds": len(own),
                "error within": median(own, "within"), "just beyond": median(own, "beyond"),
                "far beyond": median(own, "far"), "largest output": median(own, "largest_output"),
            })  # fmt: skip

    def verdict() -> Verdict:
        head = of_arm(rows, head="linear", cell_output="tanh", scale=10)
        bare = of_arm(rows, head="none", cell_output="tanh", scale=10)
        passes = [_mean([(v or 0) > 1 for v in values_of(o, "largest_output")])
                  for o in (head, bare)]  # fmt: skip
        learnt = {
            (s, psi): _share_learnt(of_arm(rows, head="linear", cell_output=psi, scale=s))
            for s in SCALES for psi in ("tanh", "identity")
        }  # fmt: skip
        usual = of_arm(rows, head="linear", cell_output="tanh", scale=1)
        free = of_arm(rows, head="linear", cell_output="identity", scale=1)
        told = (
            f"At scale 10 the output passes 1 in {share(passes[0])} of the networks with a linear "
            f"head, in {share(passes[1])} of those that put out h itself. Lines are followed "
            f"within {share(_LEARNT)} of their scale at scales {', '.join(map(str, SCALES))} by "
            + ", ".join(share(learnt[s, "tanh"]) for s in SCALES)
            + " with tanh on the way out, by "
            + ", ".join(share(learnt[s, "identity"]) for s in SCALES)
            + " without. Beyond the learnt steps the error at scale 1 grows from "
            f"{median(usual, 'within'):.3f} to {median(usual, 'far'):.2f} with tanh and from "
            f"{median(free, 'within'):.3f} to {median(free, 'far'):.2f} without."
        )
        large = of_arm(rows, head="linear", cell_output="tanh", scale=100)
        times = (median(large, "within") or 0) / (median(usual, "within") or 1)
        told += f" At scale 100 the error with tanh is {times:.0f} times that at scale 1."
        plain = (
            f"Targets up to 10 are followed by {share(learnt[10, 'tanh'])} of the networks with a "
            f"linear head; at scale 100 the error is {times:.0f} times that at scale 1 with the "
            "second tanh. Beyond the learnt steps it grows with it and without."
        )
        if passes[0] < 0.5 or learnt[10, "tanh"] < 0.5:
            return Verdict("supported", told, table, plain=plain)
        if min(learnt[s, "tanh"] for s in SCALES) > 0.95 and times < 2:
            return Verdict("contradicted", told, table, plain=plain)
        on = "the head, and in part on the scale"
        return Verdict("depends", told, table, on=on, plain=plain)

    return judged(rows, EXPERIMENT.arms(), verdict, table)


def _mean(values: Sequence[bool]) -> float:
    return float(np.mean(values))


def _share_learnt(own: Sequence[Row]) -> float:
    return float(np.mean([v is not None and v < _LEARNT for v in values_of(own, "within")]))


def draw(rows: Sequence[Row]) -> Any:
    """Errors within and far beyond the learnt steps, with a linear head."""
    arms, colours = {}, {}
    for scale in SCALES:
        for psi in ("tanh", "identity"):
            own = of_arm(rows, scale=scale, cell_output=psi, head="linear")
            for part in ("within", "far"):
                name = f"scale {scale}, ψ {psi}, {part}"
                arms[name] = values_of(own, part)
                colours[name] = BLUE if part == "within" else ORANGE
    label = "error in shares of the scale, with a linear head (orange: far beyond the learnt steps)"
    return dots(arms, label, line=_LEARNT, log=True, colours=colours)


EXPERIMENT = Experiment(
    name="range",
    network=(
        "16 units, 20 rows a batch, Adam with a one-cycle rate of .02, gradients clipped at "
        "1; forget bias 1."
    ),
    claim="Outputs lie in (-1, 1), so an LSTM cannot follow a trend, and data must be scaled.",
    hypothesis="Depends: h is bounded by 1, the head is not. Beyond the trained range it fails for "
    "another reason.",
    factors={"scale": SCALES, "cell_output": ["tanh", "identity"], "head": ["linear", "none"]},
    measure=measure,
    judge=judge,
    draw=draw,
    plans={"quick": Plan(3, 1, {"steps": 300}), "full": Plan(30, 8, {"steps": 1500})},
    metric="error in shares of the scale, within the learnt steps and beyond them; largest output",
    statistic="medians and shares over seeds",
    amended=(
        "The rule first asked for a contradiction that cannot be: outputs above 1 without a head."
    ),
    margin=f"followed: an error below {_LEARNT:.0%} of the scale",
    literature="With a linear read-out the bound of h is no bound of y; advice to scale is common.",
)
