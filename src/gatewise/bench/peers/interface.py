"""What a peer is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from gatewise.bench.problem import Problem


@dataclass(frozen=True, eq=False)
class Prepared:
    """A case that a peer is ready to run.

    Attributes:
        call: runs it once; this is what is timed.
        outputs: what it computes, to compare with PyTorch's: ``y`` (inference and streaming),
            ``dx`` and ``d`` + a parameter's name (training), ``losses`` (training-step).
        context: entered around each turn.
        arrays: what `call` reads and writes by address, kept alive here.
    """

    call: Callable[[], object]
    outputs: dict[str, NDArray[Any]]
    context: Callable[[], AbstractContextManager[object]] = nullcontext
    arrays: object = None


class Peer(Protocol):
    """Something that runs LSTMs, loaded for a number of threads."""

    @property
    def version(self) -> str:
        """Its packages and their versions."""
        ...

    @property
    def tolerance(self) -> float:
        """How far it may be from PyTorch, relative to the largest value of an output."""
        ...

    def prepare(self, problem: Problem) -> Prepared | None:
        """Make a case ready to run; None if this peer does not run such cases."""
        ...


class UnavailableError(Exception):
    """A peer cannot run here; says why."""
