"""The log of every configuration whose score on a test part was seen.

Who tries many and keeps the best has chosen by the test part; the log lets a reader count them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


def append(path: Path, result: dict[str, Any]) -> None:
    """Add a line for each row of a result."""
    found = [{"steps": point["steps"]} | _entry(row, point) for row, point in _neural(result)]
    found += [_entry(row, row) for row in [*result["rows"], *result.get("little", [])]]
    head = {
        "date": result["date"],
        "command": result["command"],
        "commit": result["machine"].get("commit"),
    }
    with path.open("a") as file:
        file.writelines(json.dumps(head | entry) + "\n" for entry in found)


def read(path: Path) -> list[Entry]:
    """Return all entries, oldest first; none if there is no log."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def counted(entries: Iterable[Entry]) -> list[Entry]:
    """Return one entry for each configuration, set, number of origins and commit.

    With the number of its runs and the span of its scores. Entries of before commits were noted
    have none.

    >>> entry = {"date": "d", "set": "s", "series": 1, "peer": "p", "options": {}}
    >>> (found,) = counted(entry | {"scores": {"mase": m}} for m in (1.5, 1.0))
    >>> found["runs"], found["mase"]
    (2, [1.0, 1.5])
    """
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        keys = ("set", "series", "peer", "options", "origins", "note", "commit")
        groups.setdefault(json.dumps([entry.get(key) for key in keys]), []).append(entry)
    made = []
    for group in groups.values():
        mases = [entry["scores"]["mase"] for entry in group if "mase" in entry["scores"]]
        made.append(
            group[0]
            | {
                "runs": len(group),
                "last": group[-1]["date"],
                "mase": [min(mases), max(mases)] if mases else [],
            }
        )
    return made


def _entry(row: Entry, scored: Entry) -> Entry:
    names = ("set", "peer", "options", "series", "origins")
    return {name: row[name] for name in names if name in row} | {"scores": scored["scores"]}


def _neural(result: dict[str, Any]) -> list[tuple[Entry, Entry]]:
    row = result.get("neural") or {}
    return [(row, point) for point in row.get("points", [])]
