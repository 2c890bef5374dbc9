"""The claims and the reproductions, an experiment each.

exact.py          placement, second-derivative: decided by arithmetic
gradients.py      vanishing
explosion.py      exploding, relu-sign
streams.py        output-squash; continual Reber
signs.py          signed
gates.py          switch
drivers.py        correlation
counting.py       counting
ranges.py         range
biases.py         forget-bias
odyssey.py        odyssey
published_1997.py, published_later.py   published results
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
    from gatewise.lab.claims import (
        biases,
        counting,
        drivers,
        exact,
        explosion,
        gates,
        gradients,
        odyssey,
        published_1997,
        published_later,
        ranges,
        signs,
        streams,
    )

    found = (
        gradients.EXPERIMENT, explosion.EXPLODING, streams.OUTPUT_SQUASH, exact.PLACEMENT,
        signs.EXPERIMENT, gates.EXPERIMENT, drivers.EXPERIMENT, counting.EXPERIMENT,
        exact.SECOND_DERIVATIVE, ranges.EXPERIMENT, explosion.RELU_SIGN, biases.EXPERIMENT,
        odyssey.EXPERIMENT, streams.CONTINUAL, *published_1997.ALL,
        *published_later.ALL,
    )  # fmt: skip
    return MappingProxyType({e.name: e for e in found})
