"""Is a sigmoid gate a switch? What else can gate, and what a gate does with a sign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch

from gatewise.cell import Activation, Cell
from gatewise.lab import statistics
from gatewise.lab.claims.common import (
    BLUE,
    GREY,
    RATES,
    dots,
    judged,
    median,
    share,
    soonest,
    success,
    values_of,
)
from gatewise.lab.design import Config, Experiment, Plan, Verdict, of_arm, paired
from gatewise.lab.store import Row
from gatewise.lab.tasks import Adding, EmbeddedReber
from gatewise.lab.training import Model, Recipe, train

GATES: Final = ("input_gate", "forget_gate", "output_gate")
SOFTSIGN: Final = Activation("softsign", scale=0.5, shift=0.5)
KINDS: Final[dict[str, dict[str, Any]]] = {
    "sigmoid": {},
    "hard_sigmoid": dict.fromkeys(GATES, "hard_sigmoid"),
    "softsign in [0, 1]": dict.fromkeys(GATES, SOFTSIGN),
    "tanh in [0, 1]": dict.fromkeys(GATES, Activation("tanh", scale=0.5, slope=0.5, shift=0.5)),
    "tanh": dict.fromkeys(GATES, "tanh"),
    "tanh, f alone": {"forget_gate": "tanh"},
    "tanh, i and o": {"input_gate": "tanh", "output_gate": "tanh"},
}
"""What gates with what; "tanh in [0, 1]" is (tanh(x/2) + 1)/2, the sigmoid by another name."""

CANDIDATES: Final = ("tanh", "sigmoid")
TASKS: Final = ("adding", "reber")


def measure(config: Config, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Train; then how often gates stand near an end, and how often one is negative."""
    cell = Cell(candidate=config["candidate"], **KINDS[config["gates"]])
    steps = 0 if config.get("untrained") else config["steps"]
    recipe = Recipe(
        cell=cell, longest=40, steps=steps, enough=0.99, check_every=50,
        learning_rate=config.get("learning_rate", 5e-3),
    )  # fmt: skip
    if config["task"] == "adding":
        task: Any = Adding(40)
        recipe = replace(recipe, forget_bias="chrono", batch_size=50)
    else:
        task = EmbeddedReber()
        recipe = replace(recipe, hidden_size=10, batch_size=10)
    return [
        outcome.as_dict() | (_ends(task, model, seed) if outcome.finite else {})
        for seed, (model, outcome) in zip(seeds, train(task, recipe, seeds), strict=True)
    ]


def _ends(task: Any, model: Model, seed: int) -> dict[str, float]:
    """Share of gate values below .1 and above .9, in all and gate by gate; share below 0."""
    from gatewise import trace

    batch = task.batch(np.random.default_rng(30_000 + seed), 64)
    inside = np.arange(len(batch.x))[:, None] < batch.lengths
    found = trace.record(model.core, torch.from_numpy(batch.x), keep=list(GATES)).data
    values = {gate: found[gate].values[-1, 0][inside] for gate in GATES}
    ends = {gate: float(((v < 0.1) | (v > 0.9)).mean()) for gate, v in values.items()}
    return {
        **{f"{gate}_at_an_end": end for gate, end in ends.items()},
        "at_an_end": float(np.mean(list(ends.values()))),
        "negative": float(np.mean([(v < 0).mean() for v in values.values()])),
    }


def judge(rows: Sequence[Row]) -> Verdict:
    """Supported if trained sigmoid gates are at an end most of the time, and more than untrained.

    On every task; contradicted if on each they are so at most half of the time, or no more often
    than before training.
    """
    table = []
    for task in TASKS:
        for gates in KINDS:
            for candidate in CANDIDATES:
                own = _trained(rows, task, gates, candidate)
                if own:
                    table.append({
                        "task": task, "gates": gates, "candidate": candidate,
                        "rate": own[0].config.get("learning_rate"), **success(own),
                        "gates at an end": median(own, "at_an_end"),
                        "of f": median(own, "forget_gate_at_an_end"),
                        "below 0": median(own, "negative"),
                    })  # fmt: skip
        own = of_arm(rows, task=task, untrained=True)
        if own:
            table.append({
                "task": task, "gates": "sigmoid, untrained", "candidate": "tanh",
                "seeds": len(own), "gates at an end": median(own, "at_an_end"),
                "of f": median(own, "forget_gate_at_an_end"), "below 0": median(own, "negative"),
            })  # fmt: skip

    def verdict() -> Verdict:
        ends, told, more, brief = [], [], [], []
        for task in TASKS:
            fresh = of_arm(rows, task=task, untrained=True)
            trained = _trained(rows, task, "sigmoid", "tanh")
            a, b = (values_of(o, "at_an_end") for o in paired(trained, fresh))
            found = statistics.difference(a, [0.0] * len(a))
            ends.append(found)
            more.append(statistics.difference(a, b))
            brief.append(
                f"{share(found.value)} on {task} (before training {share(float(np.mean(b)))})"
            )
            told.append(
                f"{task} {share(found.value)} [{share(found.low)}, {share(found.high)}], before "
                f"training {share(float(np.mean(b)))}"
            )
        sentence = (
            "Of the values of trained sigmoid gates, these shares stand below .1 or above .9: "
            + "; ".join(told)
            + f". {_others(rows)}"
        )
        plain = (
            "Of the values of trained sigmoid gates, these shares are below .1 or above .9: "
            f"{', '.join(brief)}."
        )
        switches = [e.low > 0.5 and m.low > 0 for e, m in zip(ends, more, strict=True)]
        if all(switches):
            return Verdict("supported", sentence, table, plain=plain)
        if not any(switches):
            return Verdict("contradicted", sentence, table, plain=plain)
        return Verdict("depends", sentence, table, on="the task", plain=plain)

    return judged(rows, EXPERIMENT.arms(), verdict, table)


def _trained(rows: Sequence[Row], task: str, gates: str, candidate: str) -> list[Row]:
    own = of_arm(rows, task=task, gates=gates, candidate=candidate)
    return [row for row in own if "untrained" not in row.config]


def _others(rows: Sequence[Row]) -> str:
    """Who solves the tasks with other gates."""
    found = []
    for gates in KINDS:
        solved = [
            share(float(np.mean(values_of(_trained(rows, t, gates, "tanh"), "solved"))))
            for t in TASKS
        ]  # fmt: skip
        found.append(f"{gates} {' and '.join(solved)}")
    return f"Seeds that solve {' and '.join(TASKS)}: {'; '.join(found)}."


def draw(rows: Sequence[Row]) -> Any:
    """Share of steps at which gates are nearly open or shut."""
    arms, colours = {}, {}
    for task in TASKS:
        for gates in KINDS:
            own = _trained(rows, task, gates, "tanh")
            arms[f"{task}, {gates}"] = values_of(own, "at_an_end")
            colours[f"{task}, {gates}"] = BLUE if gates == "sigmoid" else GREY
    label = "share of gate values below .1 or above .9, after training"
    return dots(arms, label, line=0.5, colours=colours)


EXPERIMENT = Experiment(
    name="switch",
    network=(
        "Adam, gradients clipped at 1. Adding: T = 40, 16 units, chrono, 50 rows a batch. "
        "Reber: 10 units, forget bias 1, 10 words a batch."
    ),
    claim="The sigmoid is a switch; tanh is for subtle differences.",
    hypothesis="A convention: tanh(x) = 2σ(2x) − 1. [0, 1] matters most for f.",
    factors={"task": TASKS, "gates": list(KINDS), "candidate": CANDIDATES},
    controls=[
        {"task": task, "gates": "sigmoid", "candidate": "tanh", "untrained": True} for task in TASKS
    ],
    measure=measure,
    judge=judge,
    draw=draw,
    grid={"learning_rate": list(RATES)},
    score=soonest,
    plans={"quick": Plan(3, 1.5, {"steps": 200}), "full": Plan(30, 20, {"steps": 1200}, tune=3)},
    metric=(
        "share of the values of trained gates, over gates, units and steps, below .1 or above .9; "
        'success. "tanh in [0, 1]" is the sigmoid by another name. What tanh is for is not asked'
    ),
    statistic="mean over seeds with BCa interval; Wilson",
    margin="half of the values",
    amended=(
        "The untrained arms, and that a switch must be one by training, were added when it was "
        "seen that chrono initialisation alone puts gates at their ends. Ties in tuning, first "
        "broken by the order of the settings, are broken by the loss; arms whose rate changed were "
        "trained anew. Then nearly all arms took the largest rate tried, .03: .1 was added, and "
        "arms that prefer it were trained anew."
    ),
    literature=(
        "Karpathy, Johnson & Fei-Fei 2015 plot how often gates saturate; Farzad, Mashayekhi & "
        "Hassanpour 2019 vary the gates' function, not tanh."
    ),
)
