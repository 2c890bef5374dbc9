"""The run store: rows are only added, survive a kill, and come back from lines of JSON."""

import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from gatewise.errors import ModelFileError
from gatewise.lab.store import Row, Store, key_of


def rows(n, experiment="a"):
    return [Row(experiment, {"seed": k, "arm": "é"}, {"loss": k / 3}, 0.1, {"torch": "2"})
            for k in range(n)]  # fmt: skip


def test_rows_come_back_and_stay(tmp_path):
    store = Store(tmp_path / "a.sqlite")
    for row in rows(5):
        store.add(row)
    store.add(Row("a", {"seed": 0, "arm": "é"}, {"loss": 99.0}))  # there already
    store.close()
    again = Store(tmp_path / "a.sqlite")
    found = sorted(again.rows("a"), key=lambda row: row.config["seed"])
    assert found == rows(5)
    assert again.keys("a") == {row.key for row in rows(5)}
    assert list(again.rows("b")) == []


def test_export_and_back(tmp_path):
    store = Store(tmp_path / "a.sqlite")
    for row in (*rows(5), *rows(2, "b")):
        store.add(row)
    (tmp_path / "out").mkdir()
    written = store.export(tmp_path / "out")
    assert [path.name for path in written] == ["a.jsonl", "b.jsonl"]
    before = written[0].read_bytes()
    other = Store(tmp_path / "b.sqlite")
    assert other.bring(tmp_path / "out") == 7
    assert other.bring(tmp_path / "out") == 0
    assert list(other.rows()) == list(store.rows())
    other.export(tmp_path / "out")
    assert written[0].read_bytes() == before


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "[1, 2, 3, 4]",
        '[{}, {}, "x", {}]',
        "[" * 100_000,
        "[{}, {}, NaN, {}]",
        "[{}, {}, 1e999, {}]",
        f"[{{}}, {{}}, 1{'0' * 400}, {{}}]",
        "[{}, {}, -1, {}]",
        '[{"seed": NaN}, {}, 1, {}]',
        "",
        '[{}, {}, 1, {"torch": Infinity}]',
    ],
)
def test_lines_that_are_no_trials(tmp_path, line):
    (tmp_path / "a.jsonl").write_text(f'[{{"seed":1}},{{}},0.1,{{}}]\n{line}\n')
    store = Store(tmp_path / "a.sqlite")
    with pytest.raises(ModelFileError, match=r"Line 2 of 'a.jsonl' is no trial"):
        store.bring(tmp_path)
    assert list(store.rows()) == []  # all of a file or nothing


def test_files_that_are_no_stores(tmp_path):
    path = tmp_path / "a.sqlite"
    path.write_bytes(b"x" * 5000)
    with pytest.raises(ModelFileError, match="is no whole run store"):
        Store(path)
    path.unlink()
    Store(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=7")
    with pytest.raises(ModelFileError, match="of version 7: expected 1"):
        Store(path)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE people (name TEXT)")
    with pytest.raises(ModelFileError, match="of version 0"):
        Store(other)


def test_keys_do_not_depend_on_the_order_of_a_configuration():
    assert key_of("a", {"x": 1, "y": [1, 2]}) == key_of("a", {"y": [1, 2], "x": 1})
    assert key_of("a", {"x": 1}) != key_of("b", {"x": 1}) != key_of("b", {"x": 1.5})


WRITER = """
import sys, time
from gatewise.lab.store import Row, Store
store = Store(sys.argv[1])
for k in range(10_000):
    store.add(Row("a", {"seed": k}, {"loss": k / 3}))
    print(k, flush=True)
"""


def test_a_kill_loses_no_row_that_was_told_of(tmp_path):
    path = tmp_path / "a.sqlite"
    for _ in range(10):
        told = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        last = -1
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            last = int(told.stdout.readline())
        os.kill(told.pid, signal.SIGKILL)
        told.wait()
        told.stdout.close()
        store = Store(path)
        seeds = sorted(row.config["seed"] for row in store.rows("a"))
        store.close()
        assert seeds == list(range(len(seeds)))
        assert len(seeds) > last


def test_what_is_no_number_is_none(tmp_path):
    row = Row("a", {"seed": 1}, {"loss": float("nan"), "all": [1.23456789, float("inf")]})
    assert row.result == {"loss": None, "all": [1.23457, None]}
    store = Store(tmp_path / "a.sqlite")
    store.add(row)
    assert list(store.rows()) == [row]


def test_other_bytes_and_separators_of_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    store = Store(":memory:")
    with pytest.raises(ModelFileError, match=r"Line 1 of 'a.jsonl'"):
        store.bring(tmp_path)
    path.write_text('[{"arm": "a\u2028b"}, {}, 0.1, {}]\n', "utf-8")
    assert store.bring(tmp_path) == 1


def test_stores_that_others_have_changed(tmp_path):
    path = tmp_path / "a.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE people (name TEXT)")
        db.execute("PRAGMA user_version=1")
    with pytest.raises(ModelFileError, match="no such table"):
        Store(path)
    path.unlink()
    store = Store(path)
    store.add(rows(1)[0])
    with sqlite3.connect(path) as db:
        db.execute("UPDATE trials SET result = '{'")
    with pytest.raises(ModelFileError, match="could not be read or written"):
        list(store.rows())
