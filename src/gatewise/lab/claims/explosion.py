"""What makes an LSTM explode: a missing squash, which of both, or a missing sign."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from gatewise.cell import Activation, Cell, Site
from gatewise.lab import statistics
from gatewise.lab.claims.common import BLUE, ORANGE, dots, interval, judged, median, share
from gatewise.lab.design import Config, Experiment, Plan, Verdict, of_arm
from gatewise.lab.store import Row
from gatewise.lab.tasks import Adding
from gatewise.lab.training import Recipe, train

CANDIDATES: Final[dict[str, Site]] = {
    "tanh": "tanh",
    "identity": "identity",
    "relu": "relu",
    "hard_tanh": "hard_tanh",
    "capped relu": Activation("hard_sigmoid", slope=6),
    "capped identity": Activation("hard_sigmoid", slope=6, shift=-0.5),
}
"""hard_sigmoid(6x) is clip(x + ½, 0, 1): a ReLU that is capped at 1, moved by half; with the shift
it has both signs."""

_LARGE: Final = 1e3
"""A norm of the gradient that is called an explosion, as is a number that is not finite."""


def measure(config: Config, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Train at a high rate: do numbers or gradients run away?"""
    T = 100
    cell = Cell(
        candidate=CANDIDATES[config["candidate"]],
        cell_output=config["cell_output"],
        forget_gate=config.get("forget_gate", "sigmoid"),
    )
    recipe = Recipe(
        cell=cell, forget_bias=3.0, steps=config["steps"], clip=config.get("clip", 0.0),
        batch_size=20, learning_rate=config.get("learning_rate", 0.02), check_every=100, enough=2.0,
        test=64,
    )  # fmt: skip
    return [outcome.as_dict() for _, outcome in train(Adding(T), recipe, seeds)]


def exploded(row: Row) -> bool:
    """Whether numbers or gradients ran away."""
    gradient = row.result["largest_gradient"]
    return not row.result["finite"] or gradient is None or gradient > _LARGE


def judge(rows: Sequence[Row]) -> Verdict:
    """Supported if each tanh lowers the rate of explosions, contradicted if neither does."""
    table = []
    for arm in EXPLODING.arms():
        own = of_arm(rows, **arm)
        table += [arm | _line(own)] if own else []

    def verdict() -> Verdict:
        effects, p = {}, {}
        for site in ("candidate", "cell_output"):
            pairs = _pairs(rows, site)
            effects[site] = statistics.paired_success([a for a, _ in pairs], [b for _, b in pairs])
            p[site] = effects[site].p
        adjusted = statistics.holm(p)
        helps = {s: adjusted[s] < 0.05 and effects[s].value > 0 for s in effects}
        told = (
            "Without tanh in the candidate runs explode more often by "
            f"{interval(effects['candidate'])} (p = {adjusted['candidate']:.2g}), without tanh on "
            f"the way out by {interval(effects['cell_output'])} (p = "
            f"{adjusted['cell_output']:.2g}); of default cells {share(_rate(rows, 'tanh'))} do, of "
            f"cells without either tanh {share(_rate(rows, 'identity'))}. {_clipping(rows)}"
        )
        if all(helps.values()):
            return Verdict("supported", told, table)
        if not any(helps.values()):
            return Verdict("contradicted", told, table)
        which = "the candidate" if helps["candidate"] else "the output"
        return Verdict("depends", told, table, on=f"which tanh: that of {which} does")

    return judged(rows, EXPLODING.arms(), verdict, table)


def _pairs(rows: Sequence[Row], site: str) -> list[tuple[bool, bool]]:
    """(exploded without tanh at the site, with it), all else alike."""

    def rest(row: Row) -> str:
        return repr(sorted((k, v) for k, v in row.config.items() if k != site))

    having = {rest(r): exploded(r) for r in rows if r.config[site] == "tanh"}
    lacking = {rest(r): exploded(r) for r in rows if r.config[site] != "tanh"}
    return [(lacking[k], having[k]) for k in having if k in lacking]


def _rate(rows: Sequence[Row], both: str) -> float:
    own = of_arm(rows, candidate=both, cell_output=both)
    return float(np.mean([exploded(r) for r in own])) if own else float("nan")


def _clipping(rows: Sequence[Row]) -> str:
    found = []
    for clip in (0, 1):
        own = of_arm(rows, clip=clip)
        lost = [r for r in own if not r.result["finite"]]
        found.append(share(len(lost) / len(own)) if own else "none")
    return f"Runs that end without finite numbers: {found[0]}, with clipped gradients {found[1]}."


def _line(own: Sequence[Row]) -> dict[str, Any]:
    n = len(own)
    gone = statistics.proportion(sum(map(exploded, own)), n)
    return {
        "seeds": n, "exploded": gone.value, "low": gone.low, "high": gone.high,
        "not finite": sum(not r.result["finite"] for r in own) / n,
        "median of max |c|": median(own, "largest_c"),
        "median of the largest gradient": median(own, "largest_gradient"),
    }  # fmt: skip


def draw(rows: Sequence[Row]) -> Any:
    """The largest gradient of each run, by the two sites."""
    arms, colours = {}, {}
    for forget in ("sigmoid", "one"):
        for phi in ("tanh", "identity"):
            for psi in ("tanh", "identity"):
                own = of_arm(rows, candidate=phi, cell_output=psi, forget_gate=forget, clip=0,
                             learning_rate=0.02)  # fmt: skip
                name = f"f = {'1' if forget == 'one' else 'σ'}, φ {phi}, ψ {psi}"
                if own:
                    arms[name] = [r.result["largest_gradient"] or 1e12 for r in own]
                    colours[name] = BLUE if phi == psi == "tanh" else ORANGE
    label = "largest norm of the gradient, unclipped, rate .02 (1e12: no finite number)"
    return dots(arms, label, line=_LARGE, log=True, colours=colours)


ONE_SIDED: Final = ("relu", "capped relu")
BOUNDED: Final = ("tanh", "hard_tanh", "capped relu", "capped identity")


def judge_relu(rows: Sequence[Row]) -> Verdict:
    """Contradicted if the bound explains twice the variance of ln max |c| that the sign does."""
    table = []
    for arm in RELU_SIGN.arms():
        own, name = of_arm(rows, **arm), arm["candidate"]
        signs = {"one-sided": name in ONE_SIDED, "bounded": name in BOUNDED}
        table += [arm | signs | _line(own)] if own else []

    def verdict() -> Verdict:
        logs = np.array([math.log(max(r.result["largest_c"] or 1e6, 1e-9)) for r in rows])
        shares = statistics.explained(logs, {
            "bounded": [r.config["candidate"] in BOUNDED for r in rows],
            "one-sided": [r.config["candidate"] in ONE_SIDED for r in rows],
        })  # fmt: skip
        gone: dict[bool, list[bool]] = {True: [], False: []}
        for r in rows:
            gone[r.config["candidate"] in ONE_SIDED].append(exploded(r))
        told = (
            f"Whether the candidate is bounded explains {share(shares['bounded'])} of the variance "
            f"of ln max |c|, whether it has one sign {share(shares['one-sided'])}. Runs that end "
            f"without finite numbers: {_lost(rows, BOUNDED)} with a bounded candidate, "
            f"{_lost(rows, ['identity'])} with the identity, {_lost(rows, ['relu'])} with ReLU. "
            f"Explosions: {share(float(np.mean(gone[True])))} of the one-sided runs, "
            f"{share(float(np.mean(gone[False])))} of the two-sided."
        )
        if shares["bounded"] > 2 * shares["one-sided"]:
            return Verdict("contradicted", told, table)
        if shares["one-sided"] > 2 * shares["bounded"]:
            return Verdict("supported", told, table)
        return Verdict("depends", told, table, on="sign and bound alike")

    return judged(rows, RELU_SIGN.arms(), verdict, table)


def _lost(rows: Sequence[Row], candidates: Sequence[str]) -> str:
    own = [r for r in rows if r.config["candidate"] in candidates]
    return share(float(np.mean([not r.result["finite"] for r in own]))) if own else "none"


def draw_relu(rows: Sequence[Row]) -> Any:
    """Max |c| of each run."""
    arms, colours = {}, {}
    for name in CANDIDATES:
        for psi in ("tanh", "identity"):
            own = of_arm(rows, candidate=name, cell_output=psi)
            label = f"{name}, ψ {psi}"
            if own:
                arms[label] = [r.result["largest_c"] or 1e12 for r in own]
                colours[label] = BLUE if name in BOUNDED else ORANGE
    label = "max |c| after training (blue: bounded candidate; 1e12: no finite number)"
    return dots(arms, label, log=True, colours=colours)


EXPLODING = Experiment(
    name="exploding",
    claim="tanh prevents exploding gradients.",
    hypothesis="In part: it bounds h; |c| grows to t where f = 1, else to 1 / (1 - f).",
    factors={
        "candidate": ["tanh", "identity"],
        "cell_output": ["tanh", "identity"],
        "forget_gate": ["sigmoid", "one"],
        "clip": [0, 1],
        "learning_rate": [0.005, 0.02],
    },
    measure=measure,
    judge=judge,
    draw=draw,
    plans={"quick": Plan(3, 1, {"steps": 100}), "full": Plan(30, 10, {"steps": 400})},
    metric=f"explosions: a number that is not finite, or a gradient with a norm above {_LARGE:g}",
    statistic="McNemar on runs that differ in one tanh alone, Holm; Newcombe's interval",
    literature=(
        "Pascanu, Mikolov & Bengio 2013: gradients explode along the recurrent weights; clipping "
        "is the usual answer. Both tanhs bound h by 1."
    ),
)
RELU_SIGN = Experiment(
    name="relu-sign",
    claim="ReLU explodes in an LSTM because it is never negative.",
    hypothesis="Contradicted: unboundedness does it, not sign.",
    factors={"candidate": list(CANDIDATES), "cell_output": ["tanh", "identity"]},
    measure=measure,
    judge=judge_relu,
    draw=draw_relu,
    plans={"quick": Plan(3, 1, {"steps": 100}), "full": Plan(30, 8, {"steps": 400})},
    metric="max |c| after training without clipping at a high rate; explosions",
    statistic="share of variance of ln max |c| by factor (η²); Wilson",
    margin="one factor explains twice the variance that the other does",
    literature="ReLU is one-sided and unbounded at once: to tell which of both matters, each is "
    "varied alone.",
)
