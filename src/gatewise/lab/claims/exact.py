"""Sentences that arithmetic decides, without training: where the second tanh stands, and tanh″."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gatewise import reference
from gatewise.cell import ACTIVATIONS, Cell
from gatewise.lab.claims.common import BLUE, GREY, ORANGE, dots
from gatewise.lab.design import Config, Experiment, Plan, Verdict
from gatewise.lab.store import Row


def measure_placement(config: Config, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Take ψ away at one step: how much c and h of that step change."""
    return [_placed(np.random.default_rng(seed)) for seed in seeds]


def _placed(rng: np.random.Generator) -> dict[str, Any]:
    T, B, I, H = 20, 4, 3, 8
    w = reference.weights(
        rng.normal(size=(4 * H, I)), rng.normal(size=(4 * H, H)), rng.normal(size=4 * H)
    )
    x = rng.normal(size=(T, B, I))
    run = reference.forward(x, w)
    worst = {"c": 0.0, "h": 0.0}
    for t in range(T):
        h, c = (run.y[t - 1], run.cell_state[t - 1]) if t else (None, None)
        step = reference.forward(x[t : t + 1], w, h, c, Cell(cell_output="identity"))
        worst["c"] = max(worst["c"], float(np.abs(step.cell_state[0] - run.cell_state[t]).max()))
        worst["h"] = max(worst["h"], float(np.abs(step.y[0] - run.y[t]).max()))
    return {"change_of_c": worst["c"], "change_of_h": worst["h"]}


def judge_placement(rows: Sequence[Row]) -> Verdict:
    """Contradicted if c of the step itself never changes while h does."""
    c = max(row.result["change_of_c"] for row in rows)
    h = min(row.result["change_of_h"] for row in rows)
    table = [{"networks": len(rows), "largest change of c": c, "smallest change of h": h}]
    told = f"Without ψ the same step's c changes by {c:g}, its h by {h:.2g} or more."
    if c == 0 and h > 0:
        return Verdict("contradicted", f"{told} The second tanh is in h = o ⊙ ψ(c).", table)
    return Verdict("supported", told, table)


def measure_second_derivative(config: Config, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Where |φ″| falls below 1 % of its peak, by central differences of the table's φ′."""
    return [_second_derivative(np.random.default_rng(seed)) for seed in seeds]


def _second_derivative(rng: np.random.Generator) -> dict[str, Any]:
    found: dict[str, float] = {}
    for name in ("tanh", "sigmoid"):
        phi = ACTIVATIONS[name]
        x, d = np.linspace(0, 12, 1_200_001), 1e-6
        slope = [phi.derivative(v, phi.function(v)) for v in (x - d, x + d)]
        second = np.abs(slope[1] - slope[0]) / (2 * d)
        found[name] = float(x[np.flatnonzero(second >= 0.01 * second.max())[-1]])
    x = rng.uniform(-4, 4, 1000)
    t, s = np.tanh(x), 1 / (1 + np.exp(-2 * x))
    tanh2, sigmoid2 = -2 * t * (1 - t**2), s * (1 - s) * (1 - 2 * s)
    return found | {"identity_error": float(np.abs(tanh2 - 8 * sigmoid2).max())}


def judge_second_derivative(rows: Sequence[Row]) -> Verdict:
    """Contradicted if tanh″ falls off sooner than the sigmoid's."""
    r = rows[0].result
    table = [{"activation": n, "|φ″| below 1 % of its peak beyond |x|": r[n]}
             for n in ("tanh", "sigmoid")]  # fmt: skip
    told = (
        f"tanh″ is below 1 % of its peak beyond |x| = {r['tanh']:.2f}, the sigmoid's beyond "
        f"{r['sigmoid']:.2f}: tanh″(x) = 8 σ″(2x). And no second derivative enters a gradient "
        "that is propagated back."
    )
    return Verdict("contradicted" if r["tanh"] < r["sigmoid"] else "supported", told, table)


def draw_placement(rows: Sequence[Row]) -> Any:
    """How much c and h of the same step change without ψ."""
    arms = {
        "c, the cell state": [r.result["change_of_c"] for r in rows],
        "h, the hidden state": [r.result["change_of_h"] for r in rows],
    }
    return dots(arms, "largest change at the step itself when ψ is taken away")


def draw_second_derivative(rows: Sequence[Row]) -> Any:
    """|φ″| of both, in shares of the peak."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    axis = figure.subplots()
    x = np.linspace(0, 10, 1001)
    t, s = np.tanh(x), 1 / (1 + np.exp(-x))
    for name, second, colour in (
        ("tanh", np.abs(2 * t * (1 - t**2)), BLUE),
        ("sigmoid", np.abs(s * (1 - s) * (1 - 2 * s)), ORANGE),
    ):
        axis.plot(x, np.maximum(second / second.max(), 1e-9), color=colour, label=name)
        for row in rows[:1]:
            axis.axvline(row.result[name], color=colour, linestyle=":", linewidth=1)
    axis.axhline(0.01, color=GREY, linestyle="--", linewidth=1)
    axis.set_yscale("log")
    axis.set_ylim(1e-4, 1.5)
    axis.set_xlabel("x")
    axis.set_ylabel("|φ″(x)| in shares of its peak")
    axis.legend(frameon=False, fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


PLACEMENT = Experiment(
    name="placement",
    network="Random weights, nothing is trained; the reference implementation in float64.",
    claim="The second tanh stands in the update of the cell state.",
    hypothesis="Contradicted: it is in h_t = o_t ψ(c_t), not in the update.",
    factors={},
    controls=[{"arm": "random weights"}],
    measure=measure_placement,
    judge=judge_placement,
    draw=draw_placement,
    plans={"quick": Plan(3, 0.1), "full": Plan(30, 0.2)},
    metric="change of the same step's c and h when ψ is replaced by the identity",
    statistic="exact; float64",
    literature=(
        "Hochreiter & Schmidhuber 1997, eq. 9: the output squash acts on the state on its way "
        "out; PyTorch's documentation: h_t = o_t ⊙ tanh(c_t)."
    ),
)
SECOND_DERIVATIVE = Experiment(
    name="second-derivative",
    claim="tanh is used because its second derivative is sustained for a long range.",
    hypothesis="Contradicted: it falls twice as fast, and enters no gradient.",
    factors={},
    controls=[{"arm": "exact"}],
    measure=measure_second_derivative,
    judge=judge_second_derivative,
    draw=draw_second_derivative,
    plans={"quick": Plan(1, 0.1), "full": Plan(1, 0.1)},
    metric="|x| beyond which |φ″| is below 1 % of its peak",
    statistic="exact; float64",
    literature=(
        "The sentence is the most copied answer to the question. Back-propagation uses first "
        "derivatives alone."
    ),
)
