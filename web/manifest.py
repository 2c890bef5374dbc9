"""What is built and committed for the explorer, and of which sources: hashes in one JSON file.

Each entry of `src/gatewise/explorer/static/manifest.json` is one build: its outputs, the sources
that went in, and the versions of the tools. So whoever has Python alone can tell whether the
committed files belong to the sources, with `python web/manifest.py`; a build writes its entry with
`record`, or with `python web/manifest.py --record NAME --sources ... --outputs ... --tools ...`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
STATIC: Final = ROOT / "src" / "gatewise" / "explorer" / "static"
MANIFEST: Final = STATIC / "manifest.json"


def record(
    name: str,
    *,
    sources: Iterable[Path],
    outputs: Iterable[Path],
    tools: Mapping[str, str],
    manifest: Path = MANIFEST,
) -> None:
    """Write the entry of one build, and leave those of the others as they are.

    Args:
        name: of the build.
        sources: files of the project, the build's own scripts included.
        outputs: what it has made.
        tools: versions by the tools' names.
        manifest: the file.
    """
    builds = _read(manifest)
    builds[name] = {"tools": dict(tools), "sources": hashes(sources), "outputs": hashes(outputs)}
    text = json.dumps(builds, indent=2, sort_keys=True) + "\n"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(text, encoding="utf-8")


def hashes(paths: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of files by their path from the project's root."""
    found = {path.resolve().relative_to(ROOT).as_posix(): _hash(path) for path in paths}
    return dict(sorted(found.items()))


def changes(manifest: Path = MANIFEST) -> list[str]:
    """Return a sentence for each file that is not as the manifest has it; none: all is current."""
    told = []
    for name, build in sorted(_read(manifest).items()):
        for kind in ("sources", "outputs"):
            for path, expected in build[kind].items():
                file = ROOT / path
                if not file.is_file():
                    told.append(f"{name}: {path} is missing.")
                elif _hash(file) != expected:
                    told.append(f"{name}: {path} has changed since the build.")
    return told


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read(manifest: Path) -> dict[str, Any]:
    return json.loads(manifest.read_text(encoding="utf-8")) if manifest.is_file() else {}


def _files(patterns: Iterable[str]) -> list[Path]:
    """Return the files that the patterns name, from the project's root; a folder: all in it."""
    found: set[Path] = set()
    for pattern in patterns:
        for path in ROOT.glob(pattern):
            found |= {p for p in path.rglob("*") if p.is_file()} if path.is_dir() else {path}
    return sorted(found)


def main() -> int:
    """Check, or record what another build has made."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="Check; this is the default.")
    parser.add_argument("--record", metavar="NAME", help="Write the entry of this build.")
    parser.add_argument("--sources", nargs="+", default=[], help="Patterns from the root.")
    parser.add_argument("--outputs", nargs="+", default=[], help="Patterns from the root.")
    parser.add_argument("--tools", nargs="*", default=[], metavar="TOOL=VERSION")
    asked = parser.parse_args()
    if asked.record:
        record(
            asked.record,
            sources=_files(asked.sources),
            outputs=_files(asked.outputs),
            tools=dict(tool.split("=", 1) for tool in asked.tools),
        )
        return 0
    told = changes()
    for sentence in told:
        print(sentence, file=sys.stderr)
    if told:
        print("Run `make web`, and commit what it builds.", file=sys.stderr)
    return bool(told)


if __name__ == "__main__":
    sys.exit(main())
