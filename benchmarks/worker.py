"""One peer in its own process, asked turn by turn."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType

from benchmarks import peers
from benchmarks.grid import Mode, Shape


class Worker:
    """A process that runs one peer; use as a context."""

    def __init__(self, peer: str) -> None:
        self._connection, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_serve, args=(peer, theirs), daemon=True)
        self._process.start()

    def prepare(self, shape: Shape, mode: Mode, threads: int) -> None:
        """Build the model and run it until it is warm."""
        self._ask(("prepare", shape, mode, threads))

    def turn(self, budget: float) -> list[float]:
        """Run for about `budget` seconds; return the time of each run in seconds."""
        return self._ask(("turn", budget))

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._connection.send(("stop",))
        self._process.join(timeout=10)

    def _ask(self, message: tuple[object, ...]) -> list[float]:
        self._connection.send(message)
        return self._connection.recv()


def _serve(peer: str, connection: Connection) -> None:
    run: Callable[[], None] = lambda: None  # noqa: E731
    while True:
        match connection.recv():
            case ("prepare", shape, mode, threads):
                run = peers.prepare(peer, shape, mode, threads)
                peers.seconds(run, 0.1)
                connection.send([])
            case ("turn", budget):
                connection.send(peers.seconds(run, budget))
            case _:
                return
