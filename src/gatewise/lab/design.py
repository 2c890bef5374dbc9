"""An experiment as a value: the sentence, what is varied, what is measured, how it is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final, Literal

from gatewise.lab.store import Row, key_of

Size = Literal["quick", "full"]
Word = Literal[
    "supported", "contradicted", "depends", "underpowered", "reproduced", "not reproduced"
]

LEAST_SEEDS: Final = 30
"""Paired seeds from which on a verdict is given."""


@dataclass(frozen=True)
class Verdict:
    """What the rows say of a sentence.

    Attributes:
        word: of a claim "supported", "contradicted", "depends" or "underpowered"; of a published
            result "reproduced", "not reproduced" or "underpowered".
        sentence: what was found, with effect and interval.
        table: the numbers behind it, one mapping for each line.
        on: of "depends", what on.
        plain: the finding for readers in a hurry: one sentence with few figures; "" is `sentence`.
    """

    word: Word
    sentence: str
    table: Sequence[Mapping[str, Any]] = ()
    on: str = ""
    plain: str = ""

    @property
    def title(self) -> str:
        """The verdict in a few words."""
        return f"depends on {self.on}" if self.word == "depends" else self.word


@dataclass(frozen=True)
class Plan:
    """What is run at one size.

    Attributes:
        seeds: judging seeds, 0, 1, 2, ...
        minutes: that it takes on two cores, about.
        settings: what else the size decides, JSON values; part of every configuration.
        tune: tuning seeds, -1, -2, ..., which never judge; 0 takes what `settings` says.
        together: seeds that are trained in one call.
    """

    seeds: int
    minutes: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    tune: int = 0
    together: int = 10


Config = dict[str, Any]


@dataclass(frozen=True)
class Experiment:
    """A claim, or a published result, and the experiment that could contradict it.

    Attributes:
        name: its id.
        claim: the sentence as people say it.
        hypothesis: what was expected before the first run; not what is reported.
        factors: levels of what is varied, by name; every combination is an arm.
        controls: further arms, each a value of the factors or others.
        measure: the function of an arm's configuration and some seeds that runs a trial for each.
        judge: rows to verdict, by rule.
        draw: rows to a figure, or None.
        plans: quick and full.
        grid: what is tuned for every arm on tuning seeds: each combination is tried.
        score: of a result, lower is better: what is tuned by.
        protocol: number of the design; rows of another one are not judged with it.
        metric, statistic, margin: in words: what is compared, by which test, and by how much it
            must differ to count.
        literature: what is published.
        amended: what of the protocol was changed after scores had been seen, or "".
        kind: "claim" or "reproduction".
        missing: tells what data it lacks, or "".
        network: what every arm shares: units, rows a batch, optimiser, initialisation.
    """

    name: str
    claim: str
    hypothesis: str
    factors: Mapping[str, Sequence[Any]]
    measure: Callable[[Config, Sequence[int]], list[dict[str, Any]]]
    judge: Callable[[Sequence[Row]], Verdict]
    plans: Mapping[Size, Plan]
    metric: str
    statistic: str
    margin: str = ""
    controls: Sequence[Mapping[str, Any]] = ()
    draw: Callable[[Sequence[Row]], Any] | None = None
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    score: Callable[[dict[str, Any]], float] | None = None
    protocol: int = 1
    literature: str = ""
    amended: str = ""
    kind: Literal["claim", "reproduction"] = "claim"
    missing: Callable[[], str] = lambda: ""
    network: str = ""

    def arms(self) -> list[Config]:
        """Return every combination of the factors, and the controls."""
        return [*(combinations(self.factors) if self.factors else []), *map(dict, self.controls)]

    def tuning(self, size: Size) -> list[Config]:
        """Return the configuration of every tuning trial."""
        plan = self.plans[size]
        return [
            arm | self._fixed(size) | tried | {"tuning": True, "seed": -seed}
            for tried in combinations(self.grid)
            for arm in self.arms()
            for seed in range(1, plan.tune + 1)
        ]

    def configs(self, size: Size, rows: Iterable[Row] = ()) -> list[Config]:
        """Return the configuration of every judging trial, seed by seed, so that parts balance.

        Args:
            size: which.
            rows: where arms are tuned, the tuning trials; nothing comes back before all are there.
        """
        plan, fixed = self.plans[size], self._fixed(size)
        chosen = self.tuned(size, rows) if plan.tune else [{} for _ in self.arms()]
        if chosen is None:
            return []
        return [
            arm | fixed | own | {"seed": seed}
            for seed in range(plan.seeds)
            for arm, own in zip(self.arms(), chosen, strict=True)
        ]

    def tuned(self, size: Size, rows: Iterable[Row]) -> list[Config] | None:
        """Return what is best for each arm, by the mean score of its tuning trials.

        None while one is missing. Of settings as good the first counts.
        """
        assert self.score is not None
        known = {row.key: row for row in rows}
        fixed, seeds, found = self._fixed(size), range(1, self.plans[size].tune + 1), []
        for arm in self.arms():
            scores = []
            for tried in combinations(self.grid):
                config = arm | fixed | tried | {"tuning": True}
                keys = [key_of(self.name, config | {"seed": -seed}) for seed in seeds]
                if not all(key in known for key in keys):
                    return None
                scores.append(sum(self.score(known[key].result) for key in keys))
            found.append(combinations(self.grid)[scores.index(min(scores))])
        return found

    def _fixed(self, size: Size) -> Config:
        return {"protocol": self.protocol, "size": size, **self.plans[size].settings}

    def keys(self, size: Size, rows: Iterable[Row] = ()) -> set[str]:
        """Return the keys of all judging trials of a size."""
        return {key_of(self.name, config) for config in self.configs(size, rows)}

    def trials(self, size: Size) -> int:
        """Return how many trials a size has, those for tuning among them."""
        plan, arms = self.plans[size], len(self.arms())
        return arms * (plan.seeds + plan.tune * len(combinations(self.grid)))


def combinations(levels: Mapping[str, Sequence[Any]]) -> list[Config]:
    """Return every combination of levels.

    >>> combinations({"a": [1, 2], "b": ["x"]})
    [{'a': 1, 'b': 'x'}, {'a': 2, 'b': 'x'}]
    """
    return [dict(zip(levels, chosen, strict=True)) for chosen in product(*levels.values())]


def of_arm(rows: Sequence[Row], **levels: Any) -> list[Row]:
    """Return the rows of an arm, by seed."""
    found = [r for r in rows if all(r.config.get(k) == v for k, v in levels.items())]
    return sorted(found, key=lambda row: row.config["seed"])


def paired(a: Sequence[Row], b: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return the rows of two arms whose seeds both have, in the order of the seeds."""
    of_a, of_b = ({row.config["seed"]: row for row in rows} for rows in (a, b))
    both = sorted(of_a.keys() & of_b.keys())
    return [of_a[s] for s in both], [of_b[s] for s in both]
