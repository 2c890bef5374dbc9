"""Every example that people read is executed: docstrings, README, docs and examples/."""

import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gatewise

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
MODULES = sorted(
    m.name
    for m in pkgutil.walk_packages(gatewise.__path__, "gatewise.")
    if "_core" not in m.name and not m.name.endswith("__main__")
)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_CODE = [p for p in PAGES if BLOCK.search(p.read_text())]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
STUB_LINES = 20


def relative(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_hold(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


@pytest.mark.parametrize("path", WITH_CODE, ids=relative)
def test_blocks_of_a_page_run_one_after_another(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, scope = path.read_text(), {"__name__": "__main__"}
    for block in BLOCK.finditer(text):
        line = text[: block.start(1)].count("\n")
        exec(compile("\n" * line + block[1], str(path), "exec"), scope)


def test_a_readme_that_is_more_than_a_stub_has_an_example():
    readme = PAGES[0]
    assert readme in WITH_CODE or len(readme.read_text().splitlines()) < STUB_LINES


@pytest.mark.parametrize("path", EXAMPLES, ids=relative)
def test_an_example_runs_and_is_short(path, tmp_path):
    assert len(path.read_text().splitlines()) <= 80
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", path], cwd=tmp_path,
        capture_output=True, text=True, timeout=120, env=os.environ | {"MPLBACKEND": "agg"},
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=relative)
def test_a_notebook_runs_and_holds_no_outputs(path, tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    for cell in book.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    done = nbclient.NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    assert any(cell.get("outputs") for cell in done.cells)
