"""Builds the core as one WebAssembly module, with zig's clang (`pip install ziglang`).

`python native/wasm/build.py` writes src/gatewise/explorer/static/gatewise.wasm and its entry in the
manifest there; with `--out FILE` it writes only the module. The same sources and ziglang give the
same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.metadata
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "web"))
import manifest  # noqa: E402

BUILD: Final = ROOT / "build" / "wasm"
CORE: Final = (
    "forward", "backward", "recording", "weights", "sizes", "memory", "threads", "dispatch",
    "kernels",
)  # fmt: skip
# platform.cc first: what it defines is then not taken from libc.
SOURCES: Final = (
    "native/wasm/platform.cc",
    "native/wasm/binding.cc",
    *(f"native/src/{name}.cc" for name in CORE),
)
INPUTS: Final = (
    *SOURCES, "native/src/*.h", "native/include/gatewise/*.h", "native/wasm/build.py"
)  # fmt: skip
# -Os: a fifth smaller than -O3, and within a tenth of its speed.
COMPILE: Final = (
    "-target", "wasm32-wasi", "-Os", "-msimd128", "-std=c++20", "-fno-exceptions", "-fno-rtti",
    "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden", "-Wall", "-Wextra",
    "-Wno-unneeded-internal-declaration",  # of the precisions that are left out
    "-DNDEBUG", "-DGATEWISE_ISA=portable", "-DGATEWISE_HAVE_PORTABLE", "-DGATEWISE_FLOAT32_ONLY",
    "-Inative/include", "-Inative/src",
)  # fmt: skip
LINK: Final = (
    "-target", "wasm32-wasi", "-Os", "-mexec-model=reactor", "-s", "-Wl,--gc-sections",
    "-Wl,-z,stack-size=1048576",
)  # fmt: skip
LIMIT_BYTES: Final = 300_000
"""Of the module, gzipped."""


def build(out: Path) -> None:
    """Compile and link the module.

    Raises:
        subprocess.CalledProcessError: the compiler has said why.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    objects = [str((BUILD / f"{Path(source).stem}.o").relative_to(ROOT)) for source in SOURCES]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda s, o: _zig(*COMPILE, "-c", s, "-o", o), SOURCES, objects))
    _zig(*LINK, *objects, "-o", str(out.resolve()))
    out.chmod(0o644)
    packed = len(gzip.compress(out.read_bytes(), 9))
    print(f"{out.name}: {out.stat().st_size} bytes, {packed} gzipped")
    if packed > LIMIT_BYTES:
        raise SystemExit(f"The module may have {LIMIT_BYTES} bytes gzipped.")


def _zig(*arguments: str) -> None:
    # Relative paths and one folder to run in: no path of this machine can get into the module.
    cache = {"ZIG_LOCAL_CACHE_DIR": str(BUILD / "cache")}
    command = [sys.executable, "-m", "ziglang", "c++", *arguments]
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | cache)


def main() -> None:
    """Build, and record what was built."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="Write the module here, and nothing else.")
    asked = parser.parse_args()
    module = manifest.STATIC / "gatewise.wasm"
    build(asked.out or module)
    if not asked.out:
        tools = {"ziglang": importlib.metadata.version("ziglang")}
        manifest.record("module", sources=INPUTS, outputs=[module], tools=tools)


if __name__ == "__main__":
    main()
