"""Bars on stderr, and where the work stands."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID


class Interrupted(Exception):  # noqa: N818  (not an error)
    """Ctrl-C, with the stage that was at work."""


class Bars:
    """Progress bars, one per stage; call it as the library calls its progress callback.

    Use as a context: a Ctrl-C inside becomes `Interrupted`, which says where it stopped.

    Args:
        hint: added to what is said when the work is interrupted.
        quiet: show nothing.
        lost: what an interruption loses.
    """

    def __init__(
        self, hint: str = "", quiet: bool = False, lost: str = "nothing was written"
    ) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._bars = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=quiet,
        )
        self._tasks: dict[str, TaskID] = {}
        self._where, self._hint, self._lost = "the start", hint, lost

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that so much of a stage is done."""
        self._where = f"{stage}, {done} of {total} done"
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)

    def finish(self, stage: str) -> None:
        """Fill a stage's bar: it ended early, as training does."""
        if stage in self._tasks:
            task = self._bars.tasks[self._tasks[stage]]
            self._bars.update(
                task.id, total=max(task.completed, 1), completed=max(task.completed, 1)
            )

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._bars.stop()
        if kind is KeyboardInterrupt:
            raise Interrupted(f"Interrupted at {self._where}: {self._lost}.{self._hint}") from error
