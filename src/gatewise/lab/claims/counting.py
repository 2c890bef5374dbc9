"""Does the cell state stay unsquashed? Counting tells: aⁿbⁿ beyond the trained n."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch

from gatewise.cell import Cell
from gatewise.lab import statistics
from gatewise.lab.claims.common import BLUE, ORANGE, dots, judged, median, share
from gatewise.lab.design import Config, Experiment, Plan, Verdict, of_arm, paired
from gatewise.lab.store import Row
from gatewise.lab.tasks import Counting
from gatewise.lab.training import Model, Outcome, Recipe, largest_state, train

ARMS: Final = {
    "LSTM": {},
    "ψ = identity": {"cell": Cell(cell_output="identity")},
    "f = 1": {"cell": Cell(forget_gate="one")},
    "coupled, |c| ≤ 1": {"cell": Cell(coupled=True)},
    "GRU": {"network": "gru"},
    "tanh RNN": {"network": "rnn"},
}
FREE, SQUASHED = ("LSTM", "ψ = identity", "f = 1"), ("coupled, |c| ≤ 1", "GRU", "tanh RNN")


def measure(config: Config, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Train on n up to `high`, and find up to which n every word is accepted."""
    high, steps = config["high"], config["steps"]
    task = Counting(config["letters"], high=high)
    recipe = Recipe(
        hidden_size=8, learning_rate=0.01, schedule="one-cycle", steps=steps, check_every=steps,
        enough=2.0, **ARMS[config["arm"]],
    )  # fmt: skip
    return [counted(task, model, outcome) for model, outcome in train(task, recipe, seeds)]


def counted(task: Counting, model: Model, outcome: Outcome, most: int = 5) -> dict[str, Any]:
    """How far a network counts, up to `most` times the largest n of training."""
    high = task.high
    n = np.arange(1, most * high + 1)
    accepted = []
    for first in range(0, len(n), high):
        words = task.words(n[first : first + high])
        with torch.no_grad():
            output = model(torch.from_numpy(words.x)).numpy()
        accepted += task.correct(output, words).tolist()
    return {
        "accepted_to": int(np.argmin([*accepted, False])),
        "accepted": int(np.sum(accepted[:high])),
        "loss": outcome.loss,
        "finite": outcome.finite,
        "largest_state": largest_state(model, task.words(n[:high])),
    }


def judge(rows: Sequence[Row]) -> Verdict:
    """Contradicted if most default cells count beyond the trained n, and bounded cells less often.

    Supported if they count no further than the trained n.
    """
    table, shares, high = [], {}, 0
    for arm in ARMS:
        own = of_arm(rows, arm=arm)
        if not own:
            continue
        high = own[0].config["high"]
        reached = [row.result["accepted_to"] for row in own]
        beyond = sum(n > high for n in reached)
        shares[arm] = statistics.proportion(beyond, len(own))
        table.append({
            "arm": arm, "seeds": len(own), "median n": float(np.median(reached)),
            "beyond the trained range": shares[arm].value, "low": shares[arm].low,
            "high": shares[arm].high, "largest |state|": median(own, "largest_state"),
            "loss": median(own, "loss"),
        })  # fmt: skip

    def verdict() -> Verdict:
        tests = {}
        for arm in (*FREE[1:], *SQUASHED):
            a, b = paired(of_arm(rows, arm="LSTM"), of_arm(rows, arm=arm))
            of_a, of_b = ([row.result["accepted_to"] > high for row in own] for own in (a, b))
            tests[arm] = statistics.paired_success(of_a, of_b)
        adjusted = statistics.holm({arm: test.p for arm, test in tests.items()})
        for line in table[1:]:
            test = tests[line["arm"]]
            line |= {"LSTM more often by": test.value, "p (Holm)": adjusted[line["arm"]]}
        free = shares["LSTM"].low > 0.5
        squashed = all(adjusted[arm] < 0.05 and tests[arm].value > 0 for arm in SQUASHED)
        best = max(SQUASHED, key=lambda arm: shares[arm].value)
        told = (
            f"{share(shares['LSTM'].value)} of the default cells count beyond the longest trained "
            f"n, {share(shares['ψ = identity'].value)} of those without ψ; of those with a bounded "
            f"state at most {share(shares[best].value)} ({best})."
        )
        if free and squashed:
            return Verdict("contradicted", told + " The state is not squashed.", table)
        if shares["LSTM"].high < 0.5:
            return Verdict("supported", told, table)
        return Verdict("depends", told, table, on="the cell")

    return judged(rows, EXPERIMENT.arms(), verdict, table)


def draw(rows: Sequence[Row]) -> Any:
    """How far each arm counts."""
    arms = {arm: [r.result["accepted_to"] for r in of_arm(rows, arm=arm)] for arm in ARMS}
    label = "accepted up to n (dashed: the longest n in training)"
    line = rows[0].config["high"] if rows else None
    colours = {arm: BLUE if arm in FREE else ORANGE for arm in ARMS}
    return dots(arms, label, line=line, colours=colours)


EXPERIMENT = Experiment(
    name="counting",
    claim="tanh squashes the cell state itself, at every step.",
    hypothesis="Contradicted: if c were squashed in its update it could not count.",
    factors={"arm": list(ARMS)},
    measure=measure,
    judge=judge,
    draw=draw,
    plans={
        "quick": Plan(3, 2, {"letters": 2, "high": 20, "steps": 800}),
        "full": Plan(30, 15, {"letters": 2, "high": 40, "steps": 3000}),
    },
    metric="the largest n up to which every word aⁿbⁿ is accepted; trained on n up to 40",
    statistic="share of seeds that count beyond the trained range, Wilson; McNemar on pairs, Holm",
    amended=(
        "The rule first asked that cells without ψ and with f = 1 count beyond the trained n, too; "
        "they stand in the table, but whether they do is another question."
    ),
    literature=(
        "Gers & Schmidhuber 2001 and Weiss, Goldberg & Yahav 2018: LSTMs and ReLU RNNs count, GRUs "
        "and tanh RNNs do not, since c is not squashed. El-Naggar, Madhyastha & Weyde 2022: very "
        "long counts fail all the same."
    ),
)
