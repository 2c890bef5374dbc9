"""One peer in its own process, asked turn by turn."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Final

from gatewise.bench import machine
from gatewise.bench.grid import Case
from gatewise.bench.peers import Peer, UnavailableError, load
from gatewise.bench.problem import Array, make_problem
from gatewise.bench.timing import Stopwatch, interleaved
from gatewise.errors import BenchmarkError

_POOLS: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_GRACE_S: Final = 5.0


class Worker:
    """A process that runs one peer with a number of threads; use as a context.

    Attributes:
        version: the peer's packages, once it has started.
        tolerance: see `Peer`.
        missing: why the peer cannot run here; None if it can.
    """

    def __init__(self, peer: str, threads: int) -> None:
        self.peer = peer
        self.version, self.tolerance, self.missing = "", 0.0, None
        self._connection, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(peer, threads, theirs), daemon=True
        )
        with child_settings(threads):
            self._process.start()
        theirs.close()

    def wait(self) -> None:
        """Wait until the peer has started, or has told why it cannot."""
        self.version, self.tolerance, self.missing = self._receive()

    def prepare(self, case: Case) -> dict[str, Array] | None:
        """Return what the peer computes for a case; None if it does not run such cases.

        Raises:
            BenchmarkError: it failed.
        """
        self._send(("prepare", case))
        return self._receive()

    def turn(self, budget_s: float) -> list[float]:
        """Run for about so many seconds; return seconds per call, many times.

        Raises:
            BenchmarkError: it failed.
        """
        self._send(("turn", budget_s))
        return self._receive()

    def interleaved(self, cases: tuple[Case, ...], budget_s: float) -> list[list[float]]:
        """Run cases sample by sample, so that all have the luck of one process.

        All are prepared anew, in the given order: where their weights come to lie is drawn again.

        Args:
            cases: that the peer runs; none of them needs to be prepared.
            budget_s: about how many seconds.

        Returns:
            Seconds per call of each, as many of one as of another.

        Raises:
            BenchmarkError: it failed.
        """
        self._send(("interleaved", cases, budget_s))
        return self._receive()

    def peak_gflops(self) -> float | None:
        """Return what a thread of the process could do now; None if this build cannot tell."""
        self._send(("peak",))
        return self._receive()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is None:
            self._send(("stop",))
            self._process.join(_GRACE_S)
        self._process.kill()
        self._process.join()

    def _send(self, message: tuple[object, ...]) -> None:
        with contextlib.suppress(OSError):  # its process died: `_receive` tells
            self._connection.send(message)

    def _receive(self) -> Any:
        try:
            kind, value = self._connection.recv()
        except (EOFError, OSError):
            raise BenchmarkError(
                f"The process of {self.peer} died. Leave it out with --peers."
            ) from None
        if kind == "failed":
            raise BenchmarkError(f"{self.peer} failed: {value}.")
        return value


@contextlib.contextmanager
def child_settings(threads: int) -> Iterator[None]:
    """Give processes that start inside so many threads, and leave Ctrl-C to this one.

    Pools read their size when a library is loaded, so it must stand in the environment before.
    """
    before = {name: os.environ.get(name) for name in _POOLS}
    os.environ.update(dict.fromkeys(_POOLS, str(threads)))
    masks = hasattr(signal, "pthread_sigmask")  # not on Windows
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masks else None
    try:
        yield
    finally:
        if held is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _serve(peer: str, threads: int, connection: Connection) -> None:
    """The process: start the peer, then answer until told to stop."""
    try:
        loaded = load(peer, threads)
    except UnavailableError as error:
        connection.send(("loaded", ("", 0.0, str(error))))
        return
    connection.send(("loaded", (loaded.version, loaded.tolerance, None)))
    stopwatch: Stopwatch | None = None
    while True:
        try:
            match connection.recv():
                case ("prepare", case):
                    stopwatch = None  # frees the case before
                    prepared = loaded.prepare(make_problem(case))
                    if prepared is not None:
                        stopwatch = Stopwatch(prepared)
                    connection.send(("outputs", None if prepared is None else prepared.outputs))
                case ("turn", budget_s) if stopwatch is not None:
                    connection.send(("times", stopwatch.turn(budget_s)))
                case ("interleaved", cases, budget_s):
                    connection.send(("times", _interleaved(loaded, cases, budget_s)))
                case ("peak",):
                    connection.send(("peak", machine.peak_gflops()))
                case _:
                    return
        except EOFError:  # the parent has left
            return
        except Exception as error:  # whatever a peer raises is told to the parent
            reason = " ".join(str(error).split())
            connection.send(("failed", f"{type(error).__name__}: {reason}"))


def _interleaved(peer: Peer, cases: tuple[Case, ...], budget_s: float) -> list[list[float]]:
    watches = []
    for case in cases:
        prepared = peer.prepare(make_problem(case))
        if prepared is None:
            raise ValueError(f"it does not run {case}")
        watches.append(Stopwatch(prepared))
    return interleaved(watches, budget_s)
