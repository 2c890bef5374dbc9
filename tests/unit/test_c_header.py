"""The header for C: what it says is what the core has, and the programs of the core compile."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from gatewise._native import _core

ROOT = Path(__file__).parents[2]
HEADER = ROOT / "native" / "include" / "gatewise" / "gatewise.h"
LIBRARY = sorted(ROOT.glob("build/cp*/libgatewise.a"), key=lambda p: p.stat().st_mtime)


def test_its_functions_are_the_core_s_in_order():
    listed = re.search(r"typedef enum gw_function \{(.*?)\}", HEADER.read_text(), re.DOTALL)[1]
    names = [name.strip().removeprefix("GW_").lower() for name in listed.split(",")]
    assert names == _core.functions()


def test_the_library_has_the_package_s_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    cmake = (ROOT / "CMakeLists.txt").read_text()
    assert re.search(r"project\(gatewise VERSION (\S+)", cmake)[1] == version


@pytest.mark.parametrize("language", ["c", "c++"])
def test_it_compiles_without_warnings(tmp_path, language):
    source = tmp_path / "use.c"
    source.write_text('#include "gatewise/gatewise.h"\nint main(void) { return 0; }\n')
    standard = {"c": "-std=c99", "c++": "-std=c++11"}[language]
    command = ["c++", "-x", language, standard, "-Wall", "-Wextra", "-pedantic", "-Werror"]
    include = f"-I{ROOT / 'native' / 'include'}"
    subprocess.run([*command, "-fsyntax-only", include, str(source)], check=True, timeout=60)


@pytest.mark.parametrize(
    "program", sorted((ROOT / "native" / "tests").glob("*.cc")), ids=lambda p: p.stem
)
def test_the_programs_of_the_long_suites_compile(program):
    include = [f"-I{ROOT / 'native' / directory}" for directory in ("include", "src")]
    command = ["c++", "-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *include,
               str(program)]  # fmt: skip
    subprocess.run(command, check=True, timeout=60)


def test_the_example_runs(tmp_path):
    assert LIBRARY, "`make install` builds it"
    program, example = tmp_path / "stream", ROOT / "native" / "examples" / "stream.c"
    compiled = tmp_path / "stream.o"
    compiler = shutil.which("cc") or shutil.which("gcc") or "c++"
    include = f"-I{ROOT / 'native' / 'include'}"
    subprocess.run(
        [compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", include, "-c", str(example), "-o",
         str(compiled)],
        check=True, timeout=60,
    )  # fmt: skip
    subprocess.run(
        ["c++", str(compiled), str(LIBRARY[-1]), "-lpthread", "-lm", "-o", str(program)],
        check=True, timeout=60,
    )  # fmt: skip
    found = subprocess.run([str(program)], check=False, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "steps have the same bits" in found.stdout
