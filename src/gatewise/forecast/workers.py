"""Worker processes through joblib. Numbers never depend on how many there are."""

from __future__ import annotations

import contextlib
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing import resource_tracker
from typing import Any, TypeVar, cast

from gatewise.errors import MissingExtraError

Result = TypeVar("Result")


def run(
    function: Callable[..., Result], calls: Iterable[tuple[Any, ...]], jobs: int
) -> Iterator[Result]:
    """Call `function` with each tuple of arguments; yield the results in order, as they come.

    Args:
        jobs: worker processes; 1 runs in this one.

    Raises:
        MissingExtraError: joblib is not installed.
    """
    try:
        from joblib import Parallel, delayed
    except ImportError:
        raise MissingExtraError("A backtest", "forecast") from None
    if jobs > 1:
        resource_tracker.ensure_running()  # else joblib starts it, and it lets interrupts through
    results: Generator[Result] | None = None
    try:
        with _interrupts_held_back(), _interrupts_kept_from_children():
            started = Parallel(n_jobs=jobs, return_as="generator")(
                delayed(function)(*arguments) for arguments in calls
            )
            results = cast("Generator[Result]", started)
        yield from results
    finally:
        if results is not None:
            with _joblib_silent():
                results.close()  # at once, so that no worker outlives what it needs to start


@contextlib.contextmanager
def _interrupts_kept_from_children() -> Iterator[None]:
    """Block Ctrl-C for ever in the processes started inside, which inherit this thread's mask.

    A terminal sends it to the whole group. This process answers it and stops its workers; a worker
    that answered too, say while it still imports, would only print its traceback beside ours.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C raise at the end of the block, so that no worker's start is cut off half-way.

    A mask would not do: any other thread may take the signal, and Python raises it here.
    """
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGINT) is None:
        yield  # Python hands signals to the main thread alone, and leaves C's handlers be
        return
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def _joblib_silent() -> Iterator[None]:
    """Hide what joblib says of calls that are cancelled on purpose.

    It warns of them, and its manager thread fails over one that it has not yet handed out.
    """
    report = threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        if failure.thread is None or failure.thread.name != "ExecutorManagerThread":
            report(failure)

    threading.excepthook = hook
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        threading.excepthook = report
