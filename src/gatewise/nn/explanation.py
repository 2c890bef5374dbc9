"""`Explanation`: which path a call takes, and why, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from gatewise.nn import paths

Path = paths.Path | Literal["autocast"]

_RUNS: Final = {
    "native": "The native core runs this call",
    "autocast": "The native core runs this call under autocast, since PyTorch cannot here",
    "torch": "PyTorch's own LSTM runs this call",
    "composite": "PyTorch operations run this call step by step",
}


@dataclass(frozen=True)
class Explanation:
    """What `gatewise.nn.LSTM.explain` tells of a call; prints as a sentence.

    Attributes:
        path: "native" or "autocast" (on the core), "torch" (PyTorch's LSTM), "composite" (PyTorch
            operations, step by step).
        reason: what keeps the call from the core; None if it runs there.
    """

    path: Path
    reason: str | None = None

    def __str__(self) -> str:
        why = "" if self.reason is None else f", because {self.reason}"
        return f"{_RUNS[self.path]}{why}."
