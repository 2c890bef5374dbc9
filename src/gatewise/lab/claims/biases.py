"""When a forget bias of 1 helps, and when another does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from gatewise.lab import statistics
from gatewise.lab.claims.common import COLOURS, judged, share, success
from gatewise.lab.design import Config, Experiment, Plan, Verdict, of_arm, paired
from gatewise.lab.store import Row
from gatewise.lab.tasks import Adding
from gatewise.lab.training import Recipe, train

LENGTHS: Final = (20, 100)
BIASES: Final = (-1, 0, 1, 2, 5, "chrono", "uniform")


def measure(config: Config, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Train on adding of some length."""
    recipe = Recipe(
        forget_bias=config["forget_bias"], longest=config["T"], steps=config["steps"],
        batch_size=50, check_every=50, enough=0.99,
    )  # fmt: skip
    return [outcome.as_dict() for _, outcome in train(Adding(config["T"]), recipe, seeds)]


def judge(rows: Sequence[Row]) -> Verdict:
    """Supported if a bias of 1 solves adding sooner than another bias and later than none.

    Contradicted if later than one and sooner than none; if both occur, it depends.
    """
    table: list[dict[str, Any]] = []
    tests: dict[tuple[int, Any], float] = {}
    for T in LENGTHS:
        for bias in BIASES:
            own = of_arm(rows, T=T, forget_bias=bias)
            if own:
                table.append({"T": T, "forget bias": str(bias), **success(own)})
        for other in BIASES:
            a, b = paired(of_arm(rows, T=T, forget_bias=1), of_arm(rows, T=T, forget_bias=other))
            if other == 1 or not a:
                continue
            tests[T, other] = statistics.time_to_solve(
                [r.result["sequences"] for r in a], [r.result["solved"] for r in a],
                [r.result["sequences"] for r in b], [r.result["solved"] for r in b],
            )  # fmt: skip

    def verdict() -> Verdict:
        adjusted = statistics.holm({f"{T} {bias}": p for (T, bias), p in tests.items()})
        for line in table:
            line["p against 1 (log-rank, Holm)"] = adjusted.get(
                f"{line['T']} {line['forget bias']}"
            )
        sooner, later = [], []
        for T, other in tests:
            if adjusted[f"{T} {other}"] >= 0.05:
                continue
            one, two = (_area(of_arm(rows, T=T, forget_bias=bias)) for bias in (1, other))
            (sooner if one < two else later).append(f"{other} at T = {T}")
        told = (
            f"A forget bias of 1 solves adding sooner than {_listed(sooner)}; later than "
            f"{_listed(later)} (log-rank, Holm)."
        )
        short, long = (
            {b: share(success(of_arm(rows, T=T, forget_bias=b))["solved"]) for b in BIASES}
            for T in LENGTHS
        )
        most = max(row.result["sequences"] for row in rows)
        plain = (
            f"Adding over {LENGTHS[0]} steps is solved by {short[0]} of the seeds with a bias of 0 "
            f"and {short[1]} with 1; over {LENGTHS[1]} steps by {long[1]} with 1, {long[5]} with "
            f"5, {long['chrono']} with chrono, within {most:,} sequences."
        )
        if sooner and not later:
            return Verdict("supported", told, table, plain=plain)
        if later and not sooner:
            return Verdict("contradicted", told, table, plain=plain)
        on = "the lag and on what it is compared with"
        return Verdict("depends", told, table, on=on, plain=plain)

    return judged(rows, EXPERIMENT.arms(), verdict, table)


def _area(own: Sequence[Row]) -> float:
    """Mean sequences seen: the area under the curve of the seeds that have not solved it."""
    return float(np.mean([row.result["sequences"] for row in own]))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"


def draw(rows: Sequence[Row]) -> Any:
    """Share of seeds that have solved it against the sequences seen."""
    from matplotlib.figure import Figure

    lengths = sorted({row.config["T"] for row in rows})
    figure = Figure(figsize=(3.6 * max(len(lengths), 1), 3.2), layout="constrained")
    axes = figure.subplots(1, max(len(lengths), 1), squeeze=False)[0]
    for axis, T in zip(axes, lengths, strict=False):
        for bias, colour in zip(BIASES, COLOURS, strict=True):
            own = of_arm(rows, T=T, forget_bias=bias)
            if not own:
                continue
            ends = np.sort([r.result["sequences"] if r.result["solved"] else np.inf for r in own])
            share = np.arange(1, len(ends) + 1) / len(ends)
            axis.step(
                ends[np.isfinite(ends)],
                share[np.isfinite(ends)],
                where="post",
                label=str(bias),
                color=colour,
            )
        axis.set_xscale("log")
        axis.set_ylim(0, 1.02)
        axis.set_title(f"adding, T = {T}", fontsize=9)
        axis.set_xlabel("sequences seen")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("solved")
    if rows:
        axes[0].legend(frameon=False, fontsize=7, title="forget bias", title_fontsize=7)
    return figure


EXPERIMENT = Experiment(
    name="forget-bias",
    network=(
        "16 units, 50 rows a batch, Adam at .005, gradients clipped at 1. With chrono the biases "
        "of the input gate change, too."
    ),
    claim="A forget bias of 1 helps.",
    hypothesis="Depends on the lag: on Π f over it.",
    factors={"T": list(LENGTHS), "forget_bias": list(BIASES)},
    measure=measure,
    judge=judge,
    draw=draw,
    plans={"quick": Plan(3, 2, {"steps": 400}), "full": Plan(30, 20, {"steps": 2000})},
    metric="sequences until 99 % of the test sequences are right",
    statistic="Kaplan-Meier and log-rank with censoring, Holm over all comparisons with 1",
    literature=(
        "Gers, Schmidhuber & Cummins 2000; Jozefowicz, Zaremba & Sutskever 2015: a bias of 1 "
        "closes the gap to the GRU. Tallec & Ollivier 2018: the bias should follow the lags."
    ),
)
