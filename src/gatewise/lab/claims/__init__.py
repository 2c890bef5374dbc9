"""The claims and the reproductions, an experiment each.

exact.py          placement, second-derivative: decided by arithmetic
gradients.py      vanishing
explosion.py      exploding, relu-sign
counting.py       counting
biases.py         forget-bias
common.py         tables and pictures that they share
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewise.lab.design import Experiment


@cache
def everything() -> Mapping[str, Experiment]:
    """Return every claim and reproduction by its name, in the order of the pages."""
    from gatewise.lab.claims import biases, counting, exact, explosion, gradients

    found = (
        gradients.EXPERIMENT, explosion.EXPLODING, exact.PLACEMENT, counting.EXPERIMENT,
        exact.SECOND_DERIVATIVE, explosion.RELU_SIGN, biases.EXPERIMENT,
    )  # fmt: skip
    return MappingProxyType({e.name: e for e in found})
