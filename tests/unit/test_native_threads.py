"""The core's threads share out work: each piece is done once, in order, and slow threads give."""

import subprocess
from pathlib import Path

NATIVE = Path(__file__).parents[2] / "native"


def test_all_work_is_done_once_and_a_slow_thread_gives_some_away(tmp_path):
    program = tmp_path / "native_threads"
    sources = ["src/threads.cc", "src/openmp.cc", "tests/native_threads.cc"]
    subprocess.run(
        ["c++", "-std=c++20", "-O1", "-DGATEWISE_THREADS",
         *(f"-I{NATIVE / directory}" for directory in ("include", "src")),
         *(str(NATIVE / source) for source in sources), "-lpthread", "-ldl", "-o", str(program)],
        check=True, timeout=120,
    )  # fmt: skip
    found = subprocess.run([str(program)], check=False, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "once, and in order" in found.stdout
