"""A sample of the damaged files of `mutate_files`, and that it sees what it should see."""

import subprocess
import sys
from pathlib import Path

from gatewise.errors import ModelFileError

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.fuzz import mutate_files  # noqa: E402


def test_damaged_files_are_refused_or_load_as_what_they_were():
    command = [sys.executable, "-m", "tests.fuzz.mutate_files", "--count", "300", "--seed", "7"]
    done = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "300 files, seed 7: 0 failures" in done.stdout


def judged(tmp_path, load, same=False):
    original = mutate_files.Original("any", b"", load, lambda _: same)
    return mutate_files.judged(original, tmp_path, lawful=False)


def test_what_no_file_may_cause_is_told(tmp_path, monkeypatch):
    def refuses(text):
        def load(_):
            raise ModelFileError(text)

        return load

    def raises(error):
        def load(_):
            raise error

        return load

    assert judged(tmp_path, refuses("is damaged")) == ("refused", True)
    assert judged(tmp_path, lambda _: None, same=True) == ("loaded, the same", True)
    assert judged(tmp_path, lambda _: None) == ("loaded another model", False)
    assert judged(tmp_path, raises(RecursionError("deep"))) == (
        "raised RecursionError: 'deep'",
        False,
    )
    assert not judged(tmp_path, refuses("x" * 5000))[1]
    assert not judged(tmp_path, refuses("two\nlines"))[1]
    monkeypatch.setattr(mutate_files, "LIMIT_S", -1.0)
    assert not judged(tmp_path, refuses("late"))[1]


def test_a_process_that_dies_is_told_and_the_next_case_runs(monkeypatch):
    program = (
        "import os, sys; first = int(sys.argv[-2]);"
        "print('begin', first, 'kind name', flush=True);"
        "os.abort() if first == 0 else print('ended refused')"
    )

    class Dying(subprocess.Popen):
        def __init__(self, command, **kw):
            super().__init__([sys.executable, "-c", program, *command[-2:]], **kw)

    monkeypatch.setattr(mutate_files.subprocess, "Popen", Dying)
    counts, failures = mutate_files.supervise(1, range(2))
    assert counts == {"refused": 1}
    assert len(failures) == 1
    assert "case 0 (kind name): the process ended with -6" in failures[0]
