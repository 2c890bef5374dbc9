"""Few rows that hold every pair of values of any two factors."""

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from random import Random
from typing import Any


def covering(
    factors: Mapping[str, Sequence[Any]], seed: int = 0, candidates: int = 5
) -> list[dict[str, Any]]:
    """Return a pairwise covering array, made greedily (AETG; Cohen et al. 1997, IEEE TSE 23(7)).

    >>> len(covering({"a": [1, 2], "b": [1, 2], "c": [1, 2]}))  # of 8
    4
    """
    random, sizes = Random(seed), [len(values) for values in factors.values()]
    pairs = [((f, v), (g, w)) for f, g in combinations(range(len(sizes)), 2)
             for v, w in product(range(sizes[f]), range(sizes[g]))]  # fmt: skip
    missing, rows = dict.fromkeys(pairs), []  # a dict keeps its order, so runs are alike

    def gain(row: dict[int, int], f: int, v: int) -> int:
        return sum(tuple(sorted([(f, v), other])) in missing for other in row.items())

    def candidate() -> dict[int, int]:
        row = dict(next(iter(missing)))
        for f in random.sample(range(len(sizes)), len(sizes)):
            if f not in row:
                row[f] = max(range(sizes[f]), key=lambda v: (gain(row, f, v), random.random()))
        return row

    def found(row: dict[int, int]) -> set[Any]:
        return set(combinations(sorted(row.items()), 2)) & missing.keys()

    while missing:
        row = max((candidate() for _ in range(candidates)), key=lambda row: len(found(row)))
        for pair in found(row):
            del missing[pair]
        rows.append({name: values[row[f]] for f, (name, values) in enumerate(factors.items())})
    return rows
