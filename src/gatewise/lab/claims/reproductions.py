"""Published results, with today's training: success and order of magnitude, not the digit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, Final

import numpy as np

from gatewise.cell import Cell
from gatewise.lab import statistics
from gatewise.lab.claims.common import dots, judged, median, share, success, values_of
from gatewise.lab.claims.counting import counted
from gatewise.lab.claims.odyssey import chorale_recipe, learnt
from gatewise.lab.design import Config, Experiment, Plan, Verdict, of_arm, paired
from gatewise.lab.store import Row
from gatewise.lab.tasks import Adding, Copy, Counting, EmbeddedReber, TemporalOrder
from gatewise.lab.tasks.chorales import missing
from gatewise.lab.training import Networks, Recipe, judge, train


def _word(good: bool) -> Any:
    return "reproduced" if good else "not reproduced"


def _many(found: dict[str, Any]) -> str:
    """Sequences until half of the seeds have solved it."""
    median_time = found["median sequences"]
    return "more than all the budget's" if median_time is None else f"{median_time:,.0f}"


def measure_reber(config: Config, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """12 units at PyTorch's initialisation, Adam at .01, ten words a batch."""
    recipe = Recipe(
        hidden_size=12, forget_bias=None, learning_rate=1e-2, batch_size=10, check_every=50,
        steps=config["steps"],
    )  # fmt: skip
    return [outcome.as_dict() for _, outcome in train(EmbeddedReber(), recipe, seeds)]


def judge_reber(rows: Sequence[Row]) -> Verdict:
    """Reproduced if 95 % of the seeds or more have all of 256 words right."""
    table = [
        {"source": "1997, 3 blocks × 2 cells, lr .5", "solved": 1.0, "median sequences": 8440},
        {"source": "1997, 4 blocks × 1 cell, lr .5", "solved": 0.97, "median sequences": 9500},
        {"source": "1997, Elman", "solved": 0.0, "median sequences": None},
        *([{"source": "here, 12 units, Adam"} | success(list(rows))] if rows else []),
    ]

    def verdict() -> Verdict:
        found = success(list(rows))
        told = (
            f"{share(found['solved'])} of the seeds have all of 256 test words right, half of them "
            f"within {_many(found)} sequences (1997: 97 to 100 % within 9,500)."
        )
        return Verdict(_word(found["solved"] >= 0.95), told, table)

    return judged(rows, REBER.arms(), verdict, table)


def measure_adding(config: Config, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """16 units, chrono initialisation; when 256 of 256 are right, 2,560 new ones judge."""
    T = config["T"]
    task = Adding(T)
    recipe = Recipe(
        forget_bias="chrono", longest=T, batch_size=config["batch"], check_every=100,
        steps=config["steps"],
    )  # fmt: skip
    found = []
    for seed, (model, outcome) in zip(seeds, train(task, recipe, seeds), strict=True):
        batch = task.batch(np.random.default_rng(40_000 + seed), 2560)
        right = judge(task, Networks([model]), [batch])[1][0]
        found.append(outcome.as_dict() | {"wrong_of_2560": round(2560 * (1 - right))})
    return found


def judge_adding(rows: Sequence[Row]) -> Verdict:
    """Reproduced if 95 % of the seeds solve both lengths, half of them in no more sequences."""
    published = {100: 74_000, 500: 209_000}
    table: list[dict[str, Any]] = []
    for T, sequences in published.items():
        table.append({"source": "1997", "T": T, "solved": 1.0, "median sequences": sequences})
        own = of_arm(rows, T=T)
        if own:
            table.append(
                {"source": "here", "T": T}
                | success(own)
                | {"median wrong of 2,560": median(own, "wrong_of_2560")}
            )

    def verdict() -> Verdict:
        found = {T: success(of_arm(rows, T=T)) for T in published}
        wrong = {T: median(of_arm(rows, T=T), "wrong_of_2560") for T in published}
        told = " ".join(
            f"T = {T}: {share(f['solved'])} of the seeds, half of them within "
            f"{_many(f)} sequences (1997: {published[T]:,}), then {wrong[T]:.0f} of "
            "2,560 wrong in the median (1997: at most 1)."
            for T, f in found.items()
        )
        good = all(f["solved"] >= 0.95 for f in found.values())
        return Verdict(_word(good), told, table)

    return judged(rows, ADDING.arms(), verdict, table)


def measure_order(config: Config, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """16 units, chrono initialisation, 20 sequences a batch."""
    recipe = Recipe(forget_bias="chrono", longest=100, check_every=50, steps=config["steps"])
    return [outcome.as_dict() for _, outcome in train(TemporalOrder(2), recipe, seeds)]


def judge_order(rows: Sequence[Row]) -> Verdict:
    """Reproduced if 95 % of the seeds solve it."""
    table = [
        {"source": "1997, 2 blocks × 2 cells", "solved": 1.0, "median sequences": 31_390},
        *([{"source": "here, 16 units, Adam"} | success(list(rows))] if rows else []),
    ]

    def verdict() -> Verdict:
        found = success(list(rows))
        told = (
            f"{share(found['solved'])} of the seeds have all of 256 sequences right, half of them "
            f"within {_many(found)} sequences (1997: 31,390)."
        )
        return Verdict(_word(found["solved"] >= 0.95), told, table)

    return judged(rows, ORDER.arms(), verdict, table)


WORDS: Final = {2: "aⁿbⁿ", 3: "aⁿbⁿcⁿ"}


def measure_counting(config: Config, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """As in `counting`, trained for longer."""
    task = Counting(config["letters"], high=config["high"])
    recipe = Recipe(
        hidden_size=config["units"], cell=Cell(forget_gate=config["forget"]), learning_rate=0.01,
        schedule="one-cycle",
        steps=config["steps"], check_every=config["steps"], enough=2.0, test=64,
    )  # fmt: skip
    return [counted(task, model, o, most=10) for model, o in train(task, recipe, seeds)]


def judge_counting(rows: Sequence[Row]) -> Verdict:
    """Reproduced if most seeds of one cell count aⁿbⁿ to ten times the trained n, as in 2018.

    The cells are the default one, and that of 1997 without a forget gate.
    """
    table: list[dict[str, Any]] = [
        {
            "source": "Weiss 2018, 2 × 5 units",
            "word": "aⁿbⁿ",
            "trained to": 100,
            "accepted to": 1000,
        }
    ]
    for letters, forget in product((2, 3), ("sigmoid", "one")):
        own = of_arm(rows, letters=letters, forget=forget)
        word = WORDS[letters]
        if own:
            high, reached = own[0].config["high"], values_of(own, "accepted_to")
            table.append({
                "source": "here" if forget == "sigmoid" else "here, f = 1", "word": word,
                "seeds": len(own), "trained to": high,
                "accepted to": float(np.median(reached)),
                "beyond the range": float(np.mean([n > high for n in reached])),
                "twice the range": float(np.mean([n >= 2 * high for n in reached])),
                "ten times": float(np.mean([n >= 10 * high for n in reached])),
            })  # fmt: skip

    def verdict() -> Verdict:
        told = " ".join(
            f"{line['word']}{line['source'].removeprefix('here')}: "
            f"{share(line['beyond the range'])} of the seeds count beyond the trained "
            f"{line['trained to']}, {share(line['twice the range'])} to twice it, "
            f"{share(line['ten times'])} to ten times; the median to {line['accepted to']:.0f}."
            for line in table[1:]
        )
        best = max(line["ten times"] for line in table[1:] if line["word"] == WORDS[2])
        return Verdict(_word(best > 0.5), told, table)

    return judged(rows, COUNTING.arms(), verdict, table)


def measure_chorales(config: Config, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """36 units, no regulariser, the weights of the best look at the validation part."""
    return learnt(chorale_recipe(Cell(), config["epochs"], config["learning_rate"], 1), seeds)


def judge_chorales(rows: Sequence[Row]) -> Verdict:
    """Reproduced if the mean test loss is within .25 of 8.67."""
    table = [
        {"source": "Chung 2014, LSTM of 36 units", "test loss, nats": 8.67},
        {"source": "Chung 2014, GRU of 46 units", "test loss, nats": 8.54},
        {"source": "Bai 2018, LSTM", "test loss, nats": 8.45},
        {"source": "Bai 2018, TCN", "test loss, nats": 8.10},
        {"source": "the keys' frequencies", "test loss, nats": 11.06},
    ]
    if rows:
        table.append({
            "source": "here, 36 units", "test loss, nats": median(rows, "test"),
            "validation": median(rows, "loss"), "seeds": len(rows),
        })  # fmt: skip

    def verdict() -> Verdict:
        found = statistics.difference(values_of(rows, "test"), [8.67] * len(rows))
        told = (
            f"Mean test loss {8.67 + found.value:.2f} nats a frame (best seed "
            f"{min(values_of(rows, 'test')):.2f}), {found.value:+.2f} [{found.low:+.2f}, "
            f"{found.high:+.2f}] from Chung's 8.67."
        )
        return Verdict(_word(abs(found.value) <= 0.25), told, table)

    return judged(rows, CHORALES.arms(), verdict, table)


def measure_copy(config: Config, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """32 units, 20 sequences a batch."""
    T = config["T"]
    recipe = Recipe(
        hidden_size=32, forget_bias=None if config["init"] == "default" else "chrono",
        longest=T + 20, steps=config["steps"], check_every=config["steps"], enough=2.0, test=64,
    )  # fmt: skip
    task = Copy(T)
    return [
        outcome.as_dict()
        | {"of_memoryless": None if outcome.loss is None else outcome.loss / task.trivial}
        for _, outcome in train(task, recipe, seeds)
    ]


def judge_copy(rows: Sequence[Row]) -> Verdict:
    """Reproduced if chrono is below .9 of the memoryless loss where the default is not."""
    table: list[dict[str, Any]] = [
        {"source": "Tallec & Ollivier 2018, T = 500 and 2000", "initialisation": "chrono",
         "plateau broken": 1.0},
        {"source": "Bai 2018, T = 1000", "initialisation": "default", "plateau broken": 0.0},
    ]  # fmt: skip
    for init in ("chrono", "default"):
        own = of_arm(rows, init=init)
        if own:
            broken = sum(_broken(r) for r in own)
            found = statistics.proportion(broken, len(own))
            table.append({
                "source": f"here, T = {own[0].config['T']}", "initialisation": init,
                "seeds": len(own), "plateau broken": found.value, "low": found.low,
                "high": found.high, "of the memoryless loss": median(own, "of_memoryless"),
            })  # fmt: skip

    def verdict() -> Verdict:
        a, b = paired(of_arm(rows, init="chrono"), of_arm(rows, init="default"))
        counts = [[_broken(r) for r in own] for own in (a, b)]
        found = statistics.paired_success(*counts)
        told = (
            f"Below .9 of the memoryless loss after {a[0].result['sequences']:,} sequences: "
            f"{share(float(np.mean(counts[0])))} of the seeds with chrono (median "
            f"{median(a, 'of_memoryless'):.2f} of it), {share(float(np.mean(counts[1])))} with the "
            f"default ({median(b, 'of_memoryless'):.2f}); McNemar p = {found.p:.2g}."
        )
        good = found.p < 0.01 and float(np.mean(counts[0])) > 0.9
        return Verdict(_word(good), told, table)

    return judged(rows, COPY.arms(), verdict, table)


def _broken(row: Row) -> bool:
    value = row.result["of_memoryless"]
    return value is not None and value < 0.9


def _sequences(rows: Sequence[Row], *names: str) -> dict[str, list[Any]]:
    from gatewise.lab.claims.common import arms_of

    return {
        f"{', '.join(f'{n} ' for n in names)}{label}": [
            r.result["sequences"] if r.result["solved"] else None for r in own
        ]
        for label, own in arms_of(rows, *names).items()
    }


_SOLVED: Final = "sequences until all of 256 are right"

REBER = Experiment(
    name="reber-1997",
    claim="LSTM learns the embedded Reber grammar, where the last but one symbol is the second's.",
    hypothesis="At least 95 % of the seeds.",
    factors={},
    controls=[{"network": "LSTM"}],
    measure=measure_reber,
    judge=judge_reber,
    draw=lambda rows: dots(_sequences(rows, "network"), _SOLVED, line=8440, log=True),
    plans={"quick": Plan(3, 0.5, {"steps": 2000}), "full": Plan(30, 4, {"steps": 8000})},
    metric="all legal symbols and no other above .5, at every step of 256 words",
    statistic="share of seeds, Wilson",
    literature="Hochreiter & Schmidhuber 1997, table 2. Adam in place of plain gradient descent.",
    kind="reproduction",
)
ADDING = Experiment(
    name="adding-1997",
    claim="LSTM adds two marked numbers over lags of hundreds of steps.",
    hypothesis="T = 100 and 500 are solved.",
    factors={},
    controls=[{"T": 100, "batch": 50}, {"T": 500, "batch": 20}],
    measure=measure_adding,
    judge=judge_adding,
    draw=lambda rows: dots(_sequences(rows, "T"), _SOLVED, log=True),
    plans={"quick": Plan(2, 2, {"steps": 400}), "full": Plan(30, 20, {"steps": 6000})},
    metric="an error below .04 on 256 sequences, then on 2,560 others",
    statistic="share of seeds, Wilson; Kaplan-Meier",
    literature=(
        "Hochreiter & Schmidhuber 1997, table 7. Here with chrono initialisation, Adam and clipped "
        "gradients: no forget gate stood in the cell of 1997."
    ),
    kind="reproduction",
)
ORDER = Experiment(
    name="temporal-order-1997",
    claim="LSTM tells the order of two symbols that are far apart (task 6a).",
    hypothesis="Solved.",
    factors={},
    controls=[{"network": "LSTM"}],
    measure=measure_order,
    judge=judge_order,
    draw=lambda rows: dots(_sequences(rows, "network"), _SOLVED, line=31_390, log=True),
    plans={"quick": Plan(3, 1, {"steps": 300}), "full": Plan(30, 6, {"steps": 4000})},
    metric="every output within .3, for 256 sequences",
    statistic="share of seeds, Wilson; Kaplan-Meier",
    literature="Hochreiter & Schmidhuber 1997, table 9.",
    kind="reproduction",
)
COUNTING = Experiment(
    name="counting-2018",
    claim="An LSTM counts: trained on aⁿbⁿ with n < 100 it accepts n = 1000.",
    hypothesis="Beyond the trained range by most seeds.",
    factors={"letters": [2, 3], "forget": ["sigmoid", "one"]},
    measure=measure_counting,
    judge=judge_counting,
    draw=lambda rows: dots(
        {
            f"{WORDS[k]}{'' if f == 'sigmoid' else ', f = 1'}": values_of(
                of_arm(rows, letters=k, forget=f), "accepted_to"
            )
            for k, f in product((2, 3), ("sigmoid", "one"))
        },
        "accepted up to n (dashed: the longest n in training)",
        line=rows[0].config["high"] if rows else None,
        log=True,
    ),
    plans={
        "quick": Plan(3, 1.5, {"high": 20, "units": 8, "steps": 800}),
        "full": Plan(30, 20, {"high": 40, "units": 8, "steps": 3000}),
    },
    metric="the largest n up to which every word is accepted",
    statistic="share of seeds",
    literature=(
        "Weiss, Goldberg & Yahav 2018: trained on n < 100 until all words are right, 2 layers of 5 "
        "units. El-Naggar, Madhyastha & Weyde 2022: very long counts fail all the same."
    ),
    kind="reproduction",
)
CHORALES = Experiment(
    name="jsb-2014",
    claim="An LSTM of 36 units models JSB Chorales with 8.67 nats a frame.",
    hypothesis="Within .25.",
    factors={},
    controls=[{"network": "LSTM"}],
    measure=measure_chorales,
    judge=judge_chorales,
    draw=lambda rows: dots(
        {"LSTM, 36 units": values_of(rows, "test")}, "test loss, nats a frame", line=8.67
    ),
    plans={
        "quick": Plan(3, 1.5, {"epochs": 6, "learning_rate": 0.01}),
        "full": Plan(30, 25, {"epochs": 80, "learning_rate": 0.01}),
    },
    metric="negative log-likelihood over 88 keys, mean over frames 2 to T of the test part",
    statistic="mean over seeds, BCa interval",
    literature=(
        "Chung et al. 2014. Bai, Kolter & Koltun 2018 give 8.45; the code of their LSTM baseline "
        "was never published (locuslab/TCN issue 18)."
    ),
    kind="reproduction",
    missing=missing,
)
COPY = Experiment(
    name="copy-2018",
    claim="Chrono initialisation breaks the plateau of the copy task.",
    hypothesis="At a T that fits the budget.",
    factors={"init": ["chrono", "default"]},
    measure=measure_copy,
    judge=judge_copy,
    draw=lambda rows: dots(
        {i: values_of(of_arm(rows, init=i), "of_memoryless") for i in ("chrono", "default")},
        "loss in shares of the memoryless loss",
        line=1,
    ),
    plans={
        "quick": Plan(3, 1.5, {"T": 40, "steps": 800}),
        "full": Plan(30, 25, {"T": 100, "steps": 3000}),
    },
    metric="loss of 64 test sequences in shares of 10 ln 8 / (T + 20)",
    statistic="McNemar's exact test on seeds below .9",
    literature="Tallec & Ollivier 2018, with 128 units at T = 500 and 2000.",
    kind="reproduction",
)
ALL: Final = (REBER, ADDING, ORDER, COUNTING, CHORALES, COPY)
