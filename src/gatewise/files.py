"""Files are read whole, and written whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def read_whole(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a regular file, as they are now.

    Not a map of it: another program may cut the file short while the map is in use, which ends
    the process.

    Args:
        path: the file, or a link to one.

    Raises:
        OSError: there is no such file, it cannot be read or is larger than the memory; or a
            folder, pipe or device stands there (it is not waited for).
    """
    # Without O_NONBLOCK, opening a pipe waits for someone to write to it.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except ValueError as error:  # the path holds a null byte
        raise FileNotFoundError(errno.ENOENT, str(error), os.fspath(path)) from None
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "It is a folder", os.fspath(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "It is a pipe or a device", os.fspath(path))
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read()
    except MemoryError:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), os.fspath(path)) from None
    finally:
        os.close(handle)


def write_atomically(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write a file under a temporary name beside it, then rename it.

    Args:
        path: the file, or a link to one; an existing one is replaced. A device or a pipe is written
            into.
        content: bytes, or text to encode as UTF-8.

    Raises:
        OSError: the folder does not exist or is not writable, or the disk is full. Nothing is left
            behind, and an existing file stays as it was.
    """
    # "replace": what names a file may hold bytes that are no text in this locale.
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    target = Path(path)
    if target.exists() and not target.is_file() and not target.is_dir():  # a device or a pipe
        target.write_bytes(data)
        return
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
    if target.is_symlink():
        target = target.resolve()
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
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
