"""A sweep that is killed ten times ends with the rows and the report of one that was not."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress

from gatewise import lab
from gatewise.lab.report import write_pages
from gatewise.lab.store import Store

NAME = "exploding"
SWEEP = """
import sys
from gatewise import lab
lab.run("exploding", True, sys.argv[1], 1)
"""


def rows_of(path):
    with closing(Store(path)) as store:
        return list(store.rows(NAME))


def count(path):
    """Rows that are there now, without a lock."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path, timeout=60)) as db, suppress(sqlite3.OperationalError):
        return db.execute("SELECT COUNT(*) FROM trials").fetchone()[0]
    return 0  # no table yet


def start(path):
    return subprocess.Popen([sys.executable, "-c", SWEEP, str(path)])


def test_ten_kills_lose_and_double_nothing(tmp_path):
    path = tmp_path / "killed.sqlite"
    total = lab.experiments()[NAME].trials("quick")
    kills = 0
    for _ in range(10):
        before, running = count(path), start(path)
        end = time.monotonic() + 60
        while count(path) == before and running.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        running.send_signal(signal.SIGKILL)
        running.wait()
        kills += 1
        assert before <= count(path) <= total
    assert kills == 10
    assert start(path).wait() == 0
    whole = tmp_path / "whole.sqlite"
    assert start(whole).wait() == 0
    one, two = rows_of(path), rows_of(whole)
    assert len(one) == len({row.key for row in one}) == total
    assert [(r.key, r.result) for r in one] == [(r.key, r.result) for r in two]
    pages = []
    for rows, folder in ((one, "a"), (two, "b")):
        found = [lab.result(NAME, rows)]
        write_pages(tmp_path / folder, found, markdown=True, of_results="results")
        pages.append((tmp_path / folder / f"{NAME}.md").read_text())
    assert pages[0] == pages[1]
    json.dumps([r.result for r in one], allow_nan=False)
