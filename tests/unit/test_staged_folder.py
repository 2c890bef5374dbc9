"""The files of a run appear together or not at all."""

import pytest

from gatewise.files import staged_folder


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("exists", [False, True])
def test_files_appear_when_all_are_written(tmp_path, exists):
    folder = tmp_path / "a" / "b"
    if exists:
        folder.mkdir(parents=True)
        (folder / "one").write_text("old")
        (folder / "other").write_text("kept")
    with staged_folder(folder) as scratch:
        (scratch / "one").write_text("new")
        (scratch / "two").write_text("new")
        assert not (folder / "two").exists()
    assert names(folder) == (["one", "other", "two"] if exists else ["one", "two"])
    assert (folder / "one").read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_an_old_folder_as_it_was(tmp_path, error):
    (tmp_path / "one").write_text("old")
    with pytest.raises(error), staged_folder(tmp_path) as scratch:  # noqa: PT012
        (scratch / "one").write_text("new")
        (scratch / "two").write_text("new")
        raise error
    assert names(tmp_path) == ["one"]
    assert (tmp_path / "one").read_text() == "old"


def test_an_error_leaves_no_new_folder(tmp_path):
    with pytest.raises(KeyError), staged_folder(tmp_path / "new") as scratch:  # noqa: PT012
        (scratch / "one").write_text("half")
        raise KeyError
    assert not (tmp_path / "new").exists()


def test_a_file_in_the_place_of_the_folder_is_an_error_before_any_work(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(FileExistsError), staged_folder(tmp_path / "f"):
        pytest.fail("the work began")
