"""No two modules import each other, whether to run or for their types."""

import ast
import graphlib
import importlib
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src"
LAZY = ("gatewise", "gatewise.explorer", "gatewise.forecast", "gatewise.trace")


def modules_of(root):
    names = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        names[".".join(parts).removesuffix(".__init__")] = path
    return names


def imported_by(path, known):
    """Modules named by any import: at the top, inside functions, and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports are not followed"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else node.module


def cycle_in(root):
    known = modules_of(root)
    graph = {n: {m for m in imported_by(p, known) if m in known} - {n} for n, p in known.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_no_two_modules_import_each_other():
    assert len(modules_of(SOURCES)) > 100
    assert cycle_in(SOURCES) == []


@pytest.mark.parametrize(
    "back",
    [
        "from p.one import made",
        "def late():\n    import p.one",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p import one",
    ],
)
def test_a_cycle_is_found_wherever_the_import_stands(tmp_path, back):
    (tmp_path / "p").mkdir()
    (tmp_path / "p/__init__.py").write_text("")
    (tmp_path / "p/one.py").write_text("from p import two\nmade = 1\n")
    (tmp_path / "p/two.py").write_text(back + "\n")
    assert set(cycle_in(tmp_path)) == {"p.one", "p.two"}


@pytest.mark.parametrize("name", LAZY)
def test_a_package_that_imports_lazily_lists_its_names(name):
    package = importlib.import_module(name)
    assert {*package.__all__} <= {*dir(package)}
    assert [n for n in dir(package) if not n.startswith("_")] == sorted(package.__all__, key=str)


def test_every_package_that_imports_lazily_is_among_them():
    found = {
        name
        for name, path in modules_of(SOURCES).items()
        if path.name == "__init__.py" and "def __getattr__(" in path.read_text("utf-8")
    }
    assert found == {*LAZY}
