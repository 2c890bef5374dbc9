"""Another process that holds one of the cores."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.synchronize import Event
from types import TracebackType

from gatewise.bench.worker import child_settings


class Spinner:
    """A process that spins on one core when told to; use as a context."""

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._active = spawn.Event()
        self._process = spawn.Process(target=_spin, args=(self._active,), daemon=True)
        with child_settings(1):
            self._process.start()

    def start(self) -> None:
        """Spin from now on."""
        self._active.set()

    def stop(self) -> None:
        """Leave the core alone."""
        self._active.clear()

    def __enter__(self) -> Spinner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()


def _spin(active: Event) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    while active.wait():
        while active.is_set():
            for _ in range(1000):
                pass
