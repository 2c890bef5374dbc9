"""The run store: every trial is a row, and rows are only ever added.

A store is one SQLite file. A row is written when its trial has ended, in a transaction of its own,
so a killed sweep loses only the trials that were running. `docs/lab/results/` holds the same rows
as lines of JSON, sorted, so that a sweep goes on in a fresh clone.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gatewise.errors import ModelFileError, shortened, shown
from gatewise.files import write_atomically

VERSION: Final = 1
_COLUMNS: Final = "experiment, config, result, seconds, versions"
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS trials (
    key TEXT PRIMARY KEY, experiment TEXT NOT NULL, config TEXT NOT NULL, result TEXT NOT NULL,
    seconds REAL NOT NULL, versions TEXT NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class Row:
    """One trial that has ended.

    Attributes:
        experiment: its name.
        config: everything that the trial depends on, JSON values; the seed among them.
        result: what was measured, JSON values; of numbers six digits are kept, and None of what is
            no finite number.
        seconds: how long it took.
        versions: of gatewise, torch and the instruction set.
    """

    experiment: str
    config: dict[str, Any]
    result: dict[str, Any]
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "result", _rounded(self.result))

    @property
    def key(self) -> str:
        """The hash of experiment and configuration, by which a row is found."""
        return key_of(self.experiment, self.config)


def key_of(experiment: str, config: dict[str, Any]) -> str:
    """Return the key of a trial.

    >>> key_of("a", {"x": 1, "y": 2}) == key_of("a", {"y": 2, "x": 1})
    True
    """
    return hashlib.sha256(_json([experiment, config]).encode()).hexdigest()[:20]


class Store:
    """The rows of all experiments.

    Args:
        path: the SQLite file; made if there is none.

    Raises:
        ModelFileError: the file is damaged, or of another version.

    >>> store = Store(":memory:")
    >>> store.add(Row("a", {"seed": 1}, {"loss": 0.5}))
    >>> [row.result["loss"] for row in store.rows("a")]
    [0.5]
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        if Path(path).is_dir() or not Path(path).parent.is_dir():
            raise ModelFileError(
                f"A run store cannot be made at {shown(str(path))}: expected a file's name in a "
                "folder that is there. Make the folder, or name another file with --store."
            )
        try:
            self._db = sqlite3.connect(path, timeout=60, isolation_level=None)
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            tables = [t for (t,) in self._db.execute("SELECT name FROM sqlite_master")]
            if version not in (0, VERSION) or (version == 0 and tables):
                raise ModelFileError(
                    f"{shown(str(path))} is a run store of version {version}: expected {VERSION}. "
                    "Export it with the gatewise that made it, or name another file with --store."
                )
            if version == 0:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute(_TABLE)
                self._db.execute(f"PRAGMA user_version={VERSION}")
            (state,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
            if state != "ok":
                raise sqlite3.DatabaseError(state)
            self._db.execute(
                "SELECT key, experiment, config, result, seconds, versions FROM trials"
            )
        except sqlite3.Error as error:
            raise ModelFileError(
                f"{shown(str(path))} is no whole run store ({shortened(error)}): expected a file "
                "that gatewise lab made. Move it away; docs/lab/results/ has what was exported."
            ) from None

    def add(self, row: Row) -> None:
        """Write a row; one that is there already stays as it was."""
        values = row.key, row.experiment, _json(row.config), _json(row.result), row.seconds
        with self._told():
            self._db.execute(
                "INSERT INTO trials VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
                (*values, _json(row.versions)),
            )

    def rows(self, experiment: str | None = None) -> Iterator[Row]:
        """Yield the rows of an experiment, or all, in the order of their keys."""
        where = "" if experiment is None else " WHERE experiment = ?"
        query = f"SELECT {_COLUMNS} FROM trials{where}"
        given = () if experiment is None else (experiment,)
        with self._told():
            for name, config, result, seconds, versions in self._db.execute(
                f"{query} ORDER BY key", given
            ):
                yield Row(
                    name, json.loads(config), json.loads(result), seconds, json.loads(versions)
                )  # fmt: skip

    def keys(self, experiment: str) -> set[str]:
        """Return the keys of an experiment's rows."""
        with self._told():
            found = self._db.execute("SELECT key FROM trials WHERE experiment = ?", (experiment,))
            return {key for (key,) in found}

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What goes wrong in the file, as an error of ours."""
        try:
            yield
        except (sqlite3.Error, json.JSONDecodeError) as error:
            raise ModelFileError(
                f"The run store {shown(str(self.path))} could not be read or written "
                f"({shortened(error)}): expected a whole file with room. Free some, or move it "
                "away; docs/lab/results/ has what was exported."
            ) from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def export(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the rows of each experiment as lines of JSON, each file whole or not at all."""
        names = [n for (n,) in self._db.execute("SELECT DISTINCT experiment FROM trials")]
        written = []
        for name in sorted(names):
            path = Path(folder) / f"{name}.jsonl"
            lines = [
                _json([row.config, row.result, round(row.seconds, 2), row.versions])
                for row in self.rows(name)
            ]
            write_atomically(path, "\n".join(lines) + "\n")
            written.append(path)
        return written

    def bring(self, folder: str | os.PathLike[str]) -> int:
        """Add the rows of exported files, and return how many are new.

        Raises:
            ModelFileError: a file holds what `export` did not write.
        """
        before = self._count()
        for path in sorted(Path(folder).glob("*.jsonl")):
            self.add_all(_read(path))
        return self._count() - before

    def _count(self) -> int:
        return int(self._db.execute("SELECT COUNT(*) FROM trials").fetchone()[0])

    def add_all(self, rows: Iterable[Row]) -> None:
        """Write rows, all or none."""
        with closing(self._db.cursor()) as cursor:
            cursor.execute("BEGIN")
            try:
                for row in rows:
                    self.add(row)
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")


def _read(path: Path) -> Iterator[Row]:
    try:
        lines = path.read_text("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise _no_trial(path, 1, error) from None
    for number, line in enumerate(lines[:-1] if lines[-1] == "" else lines, 1):
        try:
            config, result, seconds, versions = json.loads(line)
            if not (isinstance(config, dict) and isinstance(result, dict)):
                raise TypeError("no objects")
            if not 0 <= float(seconds) < math.inf:
                raise ValueError("seconds are no number")
            row = Row(path.stem, config, result, float(seconds), dict(versions))
            _json([row.config, row.versions])
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise _no_trial(path, number, error) from None
        yield row


def _no_trial(path: Path, number: int, error: Exception) -> ModelFileError:
    return ModelFileError(
        f"Line {number} of {shown(path.name)} is no trial ({shortened(error)}): expected what "
        "gatewise lab exported. Restore the file."
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list) else value


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
