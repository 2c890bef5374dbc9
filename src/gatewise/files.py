"""Files are written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write a file under a temporary name beside it, then rename it.

    Args:
        path: the file; an existing one is replaced.
        content: bytes, or text to encode as UTF-8.

    Raises:
        OSError: the folder does not exist or is not writable, or the disk is full. Nothing is left
            behind, and an existing file stays as it was.
    """
    # "replace": what names a file may hold bytes that are no text in this locale.
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    with staged_file(path) as scratch:
        scratch.write_bytes(data)


@contextmanager
def staged_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a scratch file that becomes `path` once it is written; on an error it is deleted.

    Args:
        path: the file; an existing one is replaced.

    Raises:
        OSError: the folder does not exist or is not writable.
    """
    target = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    scratch = Path(name)
    try:
        with os.fdopen(handle, "rb") as file:
            yield scratch
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        scratch.chmod(0o666 & ~mask)
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def staged_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a scratch folder whose files appear in `folder` when all of them are written.

    Made at once, so that a folder that cannot be written is known before long work begins. On
    leaving without an error its files are moved into `folder` (a rename each, on one file system),
    replacing those of the same name; on an error they are deleted, and so is `folder` if it was
    made here.

    Args:
        folder: made if it does not exist.

    Raises:
        OSError: the folder cannot be made or written.
    """
    target = Path(folder)
    existed = target.is_dir()
    target.mkdir(parents=True, exist_ok=True)
    try:
        scratch = Path(tempfile.mkdtemp(prefix=".partial-", dir=target))
        try:
            yield scratch
            for file in sorted(scratch.iterdir()):
                file.replace(target / file.name)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except BaseException:
        if not existed and not any(target.iterdir()):
            target.rmdir()
        raise
