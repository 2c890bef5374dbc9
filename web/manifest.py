"""What is built and committed for the explorer, and of which sources: hashes in one JSON file.

Each entry of `src/gatewise/explorer/static/manifest.json` is one build: its outputs, the sources
that went in, and the tools' versions. So whoever has Python alone can tell whether the committed
files belong to the sources: `python web/manifest.py`.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
STATIC: Final = ROOT / "src" / "gatewise" / "explorer" / "static"
MANIFEST: Final = STATIC / "manifest.json"


def record(
    name: str, *, sources: Sequence[str], outputs: Iterable[Path], tools: Mapping[str, str]
) -> None:
    """Write the entry of one build, and leave those of the others as they are.

    Args:
        name: of the build.
        sources: patterns of what goes in, from the project's root, the build's own script included;
            a folder stands for all that is in it.
        outputs: what it has made.
        tools: versions by the tools' names.
    """
    builds = _read()
    builds[name] = {
        "tools": dict(tools),
        "patterns": sorted(sources),
        "sources": _hashes(_files(sources)),
        "outputs": _hashes(outputs),
    }
    MANIFEST.parent.mkdir(parents=True, exist_ok=True)
    MANIFEST.write_text(json.dumps(builds, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def changes(name: str | None = None) -> list[str]:
    """Return a sentence for each file that is not as the manifest has it; none: all is current.

    Args:
        name: of the build that is asked about; default all.
    """
    builds = _read()
    told = []
    for build in sorted(builds) if name is None else [name]:
        if build not in builds:
            return [f"{build} has not been built."]
        recorded = builds[build]["sources"] | builds[build]["outputs"]
        present = _hashes(_files([*builds[build]["patterns"], *builds[build]["outputs"]]))
        for path in sorted(recorded.keys() | present.keys()):
            if path not in present:
                told.append(f"{build}: {path} is gone.")
            elif path not in recorded:
                told.append(f"{build}: {path} is new.")
            elif present[path] != recorded[path]:
                told.append(f"{build}: {path} is not what it was at the build.")
    return told


def _read() -> dict[str, Any]:
    return json.loads(MANIFEST.read_text(encoding="utf-8")) if MANIFEST.is_file() else {}


def _hashes(paths: Iterable[Path]) -> dict[str, str]:
    """The SHA-256 of files by their path from the root."""
    digests = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    return {path.resolve().relative_to(ROOT).as_posix(): d for path, d in sorted(digests.items())}


def _files(patterns: Iterable[str]) -> set[Path]:
    found: set[Path] = set()
    for pattern in patterns:
        for path in ROOT.glob(pattern):
            found |= {p for p in path.rglob("*") if p.is_file()} if path.is_dir() else {path}
    return found


def main() -> int:
    """Say what is stale."""
    told = changes()
    for sentence in told:
        print(sentence, file=sys.stderr)
    if told:
        print("Run `make web`, and commit what it builds.", file=sys.stderr)
    return bool(told)


if __name__ == "__main__":
    sys.exit(main())
