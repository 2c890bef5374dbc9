"""Calls that are kept in a file as they end: a long run goes on where it was interrupted."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gatewise.bench.machine import describe

ROOT: Final = Path(__file__).resolve().parents[2]

Call = Callable[..., dict[str, Any]]


def stamp() -> dict[str, Any]:
    """What must be alike for figures of two runs to stand in one table: processor and package."""
    machine = describe()
    tree = subprocess.run(
        ["git", "rev-parse", "HEAD:src/gatewise"], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return {name: machine[name] for name in ("processor", "cores", "isa")} | {
        "package": tree.stdout.strip()
    }


def resumed(call: Call, path: Path, given: dict[str, Any]) -> Call:
    """Return a call that makes none twice.

    Args:
        call: as `measure.isolated`; what goes wrong is not kept.
        path: of the file, one line of JSON for each call; made if it does not exist.
        given: of the run; see `stamp`. A file of another one is an error.

    Raises:
        ValueError: the file is of another run.
    """
    lines = path.read_text().splitlines() if path.exists() else []
    if lines and json.loads(lines[0]) != given:
        raise ValueError(f"{path} is of another run ({lines[0]}): expected {given}. Remove it.")
    if not lines:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(given) + "\n")
    known = dict(json.loads(line) for line in lines[1:])

    def called(function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
        key = f"{function.__module__}.{function.__qualname__}{arguments}"
        if key not in known:
            known[key] = call(function, *arguments)
            if not {"fault", "missing"} & {*known[key]}:
                with path.open("a") as file:
                    file.write(json.dumps([key, known[key]]) + "\n")
        return known[key]

    return called
