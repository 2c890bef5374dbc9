"""What holds of every source file."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "gatewise"
SUFFIXES = {
    ".py", ".pyi", ".cc", ".h", ".md", ".txt", ".toml", ".html", ".css", ".js", ".mjs", ".ts",
    ".svelte", ".j2",
}  # fmt: skip
BUILT = PACKAGE / "explorer" / "static"
STUB = PACKAGE / "_native" / "_core.pyi"


def sources(*folders):
    found = [p for f in folders for p in (ROOT / f).rglob("*") if p.suffix in SUFFIXES]
    return sorted(p for p in found if "__pycache__" not in p.parts and p.parent != BUILT)


def named(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda p: str(p.relative_to(ROOT)))


@named(sources("src", "native", "tests", "web/src", "web/test"))
def test_no_file_is_over_400_lines(path):
    assert len(path.read_text().splitlines()) <= 400


@named(sorted(PACKAGE.rglob("*.py")))
def test_every_module_opens_with_a_docstring(path):
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    assert docstring.strip().splitlines()[0].rstrip().endswith((".", ":", "`"))


@named([p for p in [PACKAGE, *PACKAGE.rglob("*")] if p.is_dir() and [*p.glob("*.py")]])
def test_every_folder_of_the_package_is_a_package(path):
    assert (path / "__init__.py").is_file()


@named(sorted(PACKAGE.rglob("*.py")))
def test_models_are_never_unpickled(path):
    imported, called = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Call):
            safe = any(
                k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords
            )
            called |= set() if safe else {ast.unparse(node.func)}
    assert not imported & {"pickle", "dill", "cloudpickle", "shelve", "marshal"}
    assert not called & {"torch.load", "torch.save", "joblib.load", "joblib.dump", "eval", "exec"}
    assert not re.search(r"allow_pickle\s*=\s*True", path.read_text())


@pytest.mark.parametrize("name", ["GATE_ORDER", "SITES", "EPSILON", "PARAMETER_NAMES", "FORMAT"])
def test_a_fact_of_the_cell_is_defined_once(name):
    layers = ("cell.py", "reference", "weights", "_native", "nn", "runtime", "trace")
    files = [p for p in PACKAGE.rglob("*.py") if p.relative_to(PACKAGE).parts[0] in layers]
    pattern = re.compile(rf"^{name}\b[^=\n]*=[^=]", re.MULTILINE)
    assert len([p for p in files if pattern.search(p.read_text())]) == 1


def test_the_names_of_parameters_are_written_once():
    holders = [
        p.relative_to(PACKAGE).as_posix()
        for p in PACKAGE.rglob("*.py")
        if re.search(r"\"w_ih\": \"weight_ih\"", p.read_text())
    ]
    assert holders == ["weights/config.py"]


def test_the_bound_on_the_activations_is_the_header_s():
    from gatewise import _native

    header = (ROOT / "native" / "include" / "gatewise" / "lstm.h").read_text()
    stated = re.search(r"kMaxActivationUlp = ([\d.]+);", header)
    assert float(stated[1]) == _native.MAX_ACTIVATION_ULP <= 2.0


def test_the_stub_of_the_core_is_current(tmp_path):
    # A failure here: `make stubs`.
    fresh = tmp_path / "_core.pyi"
    options = ["-q", "--config", ROOT / "pyproject.toml", fresh]
    for command in (
        ["nanobind.stubgen", "-q", "-m", "gatewise._native._core", "-o", fresh],
        ["ruff", "check", "--fix", "--select", "I", *options],
        ["ruff", "format", *options],
    ):
        subprocess.run([sys.executable, "-m", *map(str, command)], check=True, timeout=60)
    header, found = STUB.read_text().split("\n\n", 1)
    assert all(line.startswith("#") for line in header.splitlines())
    assert found == fresh.read_text()


def test_a_value_that_holds_arrays_is_not_compared_field_by_field():
    # Arrays compare element by element: the __eq__ that a dataclass makes would raise.
    def holds_arrays(annotation):
        kinds = r"\b(Array|NDArray|Tensor|Dataset|DataFrame)\b"
        return re.search(kinds, annotation) and not annotation.startswith("Callable")

    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ClassDef):
                continue
            decorators = [d for d in map(ast.unparse, node.decorator_list) if "dataclass" in d]
            fields = [ast.unparse(f.annotation) for f in node.body if isinstance(f, ast.AnnAssign)]
            if decorators and any(map(holds_arrays, fields)):
                assert "eq=False" in decorators[0], f"{path.name}: {node.name}"
