"""Worker processes through joblib. Numbers never depend on how many there are."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterable, Iterator
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
    with _interrupts_held():
        results = Parallel(n_jobs=jobs, return_as="generator")(delayed(function)(*c) for c in calls)
    for result in results:
        yield cast(Result, result)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back until the end of the block, and for ever from processes started inside.

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
