"""What makes an LSTM explode: a missing squash, which of both, or a missing sign."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from gatewise.cell import Activation, Cell, Site
from gatewise.lab import statistics
from gatewise.lab.claims.common import (
    BLUE,
    ORANGE,
    dots,
    interval,
    judged,
    median,
    of_seeds,
    p_value,
    share,
)
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
    """Supported if taking either tanh from the default cell makes more runs explode.

    Contradicted if neither does. A seed's rate is its mean over forget gates, clipping and rates.
    """
    table = []
    for arm in EXPLODING.arms():
        own = of_arm(rows, **arm)
        table += [arm | _line(own)] if own else []

    def verdict() -> Verdict:
        whole = of_arm(rows, candidate="tanh", cell_output="tanh")
        lacking = {
            "the candidate": of_arm(rows, candidate="identity", cell_output="tanh"),
            "the output": of_arm(rows, candidate="tanh", cell_output="identity"),
        }
        effects = {
            name: statistics.difference(*of_seeds(own, whole, exploded))
            for name, own in lacking.items()
        }
        adjusted = statistics.holm({name: e.p for name, e in effects.items()})
        helps = [n for n, e in effects.items() if adjusted[n] < 0.05 and e.value > 0]
        both = of_arm(rows, candidate="identity", cell_output="identity")
        told = (
            f"With both tanhs {_share(whole, exploded)} of the runs explode, without that of the "
            f"candidate {_share(lacking['the candidate'], exploded)}, without that of the output "
            f"{_share(lacking['the output'], exploded)} ({interval(effects['the output'])}, "
            f"{p_value(adjusted['the output'])}), without both {_share(both, exploded)}. Clipping "
            "does not change it, since the norm is taken before. Numbers that are not finite: "
            f"without the output's tanh in {_share(lacking['the output'], _not_finite)} of the "
            f"runs, without both in {_share(both, _not_finite)}."
        )
        plain = (
            f"Gradients pass 1,000 in {_share(lacking['the output'], exploded)} of the runs "
            "without the output's tanh, in "
            f"{_share(lacking['the candidate'], exploded)} without the candidate's, in "
            f"{_share(whole, exploded)} with both."
        )
        if len(helps) == len(effects):
            return Verdict("supported", told, table, plain=plain)
        if not helps:
            return Verdict("contradicted", told, table, plain=plain)
        on = f"which tanh: that of {helps[0]} does"
        return Verdict("depends", told, table, on=on, plain=plain)

    return judged(rows, EXPLODING.arms(), verdict, table)


def _not_finite(row: Row) -> bool:
    return not row.result["finite"]


def _share(own: Sequence[Row], event: Callable[[Row], bool]) -> str:
    return share(float(np.mean([event(row) for row in own]))) if own else "–"


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
    """Contradicted if without ψ a missing bound ends more runs in no finite number, one sign none.

    Supported if one sign does and a missing bound does not. Each one-sided candidate is compared
    with the two-sided one of the same bound.
    """
    table = []
    for arm in RELU_SIGN.arms():
        own, name = of_arm(rows, **arm), arm["candidate"]
        signs = {"one-sided": name in ONE_SIDED, "bounded": name in BOUNDED}
        table += [arm | signs | _line(own)] if own else []

    def verdict() -> Verdict:
        free = of_arm(rows, cell_output="identity")

        def of(*names: str) -> list[Row]:
            return [row for row in free if row.config["candidate"] in names]

        bound = statistics.difference(
            *of_seeds(of("identity", "relu"), of("capped identity", "capped relu"), _not_finite)
        )
        sign = statistics.difference(
            *of_seeds(of("relu", "capped relu"), of("identity", "capped identity"), _not_finite)
        )
        adjusted = statistics.holm({"bound": bound.p, "sign": sign.p})
        of_bound = adjusted["bound"] < 0.05 and bound.value > 0
        of_sign = adjusted["sign"] < 0.05 and sign.value > 0
        told = (
            f"With the output's tanh {_share(of_arm(rows, cell_output='tanh'), exploded)} of all "
            "runs explode, whatever the candidate. Without it, runs that end in no finite number: "
            f"identity {_share(of('identity'), _not_finite)}, ReLU "
            f"{_share(of('relu'), _not_finite)}, ReLU capped at 1 "
            f"{_share(of('capped relu'), _not_finite)}, capped with both signs "
            f"{_share(of('capped identity'), _not_finite)}. A missing bound adds "
            f"{interval(bound)} ({p_value(adjusted['bound'])}), one sign {interval(sign)} "
            f"({p_value(adjusted['sign'])})."
        )
        plain = (
            "Without the output's tanh these runs end in no finite number: "
            f"{_share(of('identity'), _not_finite)} with an unbounded candidate of both signs, "
            f"{_share(of('relu'), _not_finite)} with ReLU, "
            f"{_share(of('capped relu'), _not_finite)} with ReLU capped at 1 (whose gradients "
            f"still pass 1,000 in {_share(of('capped relu'), exploded)})."
        )
        if of_bound and not of_sign:
            return Verdict("contradicted", told, table, plain=plain)
        if of_sign and not of_bound:
            return Verdict("supported", told, table, plain=plain)
        return Verdict("depends", told, table, on="sign and bound alike", plain=plain)

    return judged(rows, RELU_SIGN.arms(), verdict, table)


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
    network=(
        "16 units, 20 rows a batch, Adam; forget bias 3; adding; gradients are not clipped "
        "unless the arm says so. Medians are those of the runs that stay finite."
    ),
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
    statistic="paired permutation test on the rates of seeds, Holm; BCa bootstrap",
    amended=(
        "The rule first pooled all runs that differ in one tanh as if they were independent, the "
        "cell without the other tanh among them: both tanhs then seemed to help. Seeds are what is "
        "drawn, and one tanh at a time is taken from the default cell."
    ),
    literature=(
        "Pascanu, Mikolov & Bengio 2013: gradients explode along the recurrent weights; clipping "
        "is the usual answer. ψ bounds h by 1, φ what a step adds to c."
    ),
)
RELU_SIGN = Experiment(
    name="relu-sign",
    network=(
        "16 units, 20 rows a batch, Adam at .02; forget bias 3; adding; gradients are not clipped. "
        "Capped ReLU is clip(x + ½, 0, 1), which has a slope at 0. Exploded: a gradient above "
        "1,000 or no finite number; the rule counts the second alone. Medians are those of the "
        "runs that stay finite."
    ),
    claim="ReLU explodes in an LSTM because it is never negative.",
    hypothesis="Contradicted: unboundedness does it, not sign.",
    factors={"candidate": list(CANDIDATES), "cell_output": ["tanh", "identity"]},
    measure=measure,
    judge=judge_relu,
    draw=draw_relu,
    plans={"quick": Plan(3, 1, {"steps": 100}), "full": Plan(30, 8, {"steps": 400})},
    metric="runs that end in no finite number, without clipping, at a rate of .02; max |c|",
    statistic="paired permutation test on the rates of seeds, Holm; BCa bootstrap",
    amended=(
        "The rule first compared shares of the variance of ln max |c|, which hung on the value "
        "that stood for runs without finite numbers. It now counts those runs."
    ),
    literature="ReLU is one-sided and unbounded at once: to tell which of both matters, each is "
    "varied alone.",
)
