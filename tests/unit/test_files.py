"""Files are read whole, and written whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from gatewise import files
from gatewise.files import read_whole, write_atomically


@pytest.mark.parametrize("content", ["grüß\n", b"\x00\xff", "", b""])
def test_content_is_written_as_given(tmp_path, content):
    write_atomically(tmp_path / "f", content)
    expected = content.encode() if isinstance(content, str) else content
    assert (tmp_path / "f").read_bytes() == expected
    assert os.listdir(tmp_path) == ["f"]  # noqa: PTH208


def test_an_existing_file_is_replaced(tmp_path):
    path = tmp_path / "f"
    path.write_text("much longer than the new one")
    write_atomically(str(path), "new")
    assert path.read_text() == "new"


def test_the_mode_is_that_of_an_ordinary_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "f", "x")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "f"
    path.write_text("old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((files.os, "fsync") if step == "fsync" else (Path, "replace")), full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "f", "new")
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "no" / "f", "x")


def test_a_folder_in_the_place_of_the_file_is_an_os_error(tmp_path):
    (tmp_path / "f").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "f", "x")
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_file_is_read_whole(tmp_path):
    (tmp_path / "f").write_bytes(b"\0bytes\n")
    (tmp_path / "link").symlink_to("f")
    assert read_whole(tmp_path / "f") == read_whole(str(tmp_path / "link")) == b"\0bytes\n"


def test_what_is_no_file_is_an_os_error_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for path, error in ((tmp_path, IsADirectoryError), (tmp_path / "pipe", OSError),
                        (tmp_path / "loop", OSError), (tmp_path / "no", FileNotFoundError),
                        ("a\0b", FileNotFoundError), ("/dev/zero", OSError)):  # fmt: skip
        before = len([*Path("/proc/self/fd").iterdir()])
        with pytest.raises(error):
            read_whole(path)
        assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path):
    (tmp_path / "target").write_text("before")
    (tmp_path / "link").symlink_to("target")
    write_atomically(tmp_path / "link", "after")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "after"


def test_a_pipe_is_written_into(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(pipe, "content")
    assert os.read(reader, 100) == b"content"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
