"""docs/lab/ and the front page: every verdict and figure follows from the committed rows."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from gatewise import lab
from gatewise.lab.claims import everything
from gatewise.lab.design import LEAST_SEEDS
from gatewise.lab.report import write_pages
from gatewise.lab.store import Store

DOCS = Path(__file__).parents[2] / "docs"
RESULTS = DOCS / "lab" / "results"
EXACT = {"placement", "second-derivative"}


@pytest.fixture(scope="module")
def found():
    store = Store(":memory:")
    store.bring(RESULTS)
    return {r.experiment.name: r for r in lab.results(store.rows(), quick=False)}


def script(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_claim_and_reproduction_has_been_run(found):
    assert set(found) == set(everything())


def test_what_is_judged_has_thirty_paired_seeds(found):
    for name, r in found.items():
        seeds = {}
        for row in r.rows:
            arm = json.dumps({k: v for k, v in row.config.items() if k != "seed"}, sort_keys=True)
            seeds.setdefault(arm, set()).add(row.config["seed"])
        assert len({frozenset(s) for s in seeds.values()}) == 1, name  # paired
        if name not in EXACT:
            assert min(map(len, seeds.values())) >= LEAST_SEEDS, name
            assert r.verdict.word != "underpowered"
        assert min(min(s) for s in seeds.values()) >= 0  # none has been tuned on


def test_no_row_lies_about_that_nobody_judges(found):
    """What an older design left behind is taken out before it is committed."""
    for path in RESULTS.glob("*.jsonl"):
        store = Store(":memory:")
        store.bring(RESULTS)
        experiment = everything()[path.stem]
        rows = list(store.rows(path.stem))
        tuned = [row for row in rows if row.config.get("tuning")]
        assert len(rows) - len(tuned) == len(experiment.keys("full", rows))
        assert len(tuned) == len(experiment.tuning("full"))


def test_the_pages_are_made_from_the_rows(found, tmp_path):
    written = write_pages(tmp_path, found.values(), markdown=True, of_results="results")
    pages = [path for path in written if path.suffix == ".md"]
    assert len(pages) == len(found) + 1
    for path in pages:
        assert path.read_text() == (DOCS / "lab" / path.name).read_text(), path.name
    for path in written:
        if path.suffix == ".svg":
            assert (DOCS / "lab" / "images" / path.name).exists()


def test_the_front_page_is_made_from_the_rows():
    module = script("make_why_tanh")
    assert module.page(module.Results()) == module.PAGE.read_text()


def test_every_figure_on_the_front_page_leads_to_its_runs():
    text = (DOCS / "why-tanh.md").read_text()
    links = set(re.findall(r"\]\((lab/[a-z0-9-]+\.md)\)", text))
    for link in links:
        page = (DOCS / link).read_text()
        (rows,) = set(re.findall(r"\((results/[a-z0-9-]+\.jsonl)\)", page))
        assert (DOCS / "lab" / rows).exists()
    assert {f"lab/{name}.md" for name in lab.experiments()} <= links
    told = [line for line in text.splitlines() if re.search(r"\d", line) and "**" in line]
    assert all("](" in line for line in told if not line.startswith("|"))


def test_the_html_pages_stand_alone(found, tmp_path):
    some = [found[name] for name in ("placement", "counting") if name in found]
    written = write_pages(tmp_path, some)
    assert [p.name for p in written] == [f"{r.experiment.name}.html" for r in some] + ["index.html"]
    for path in written:
        text = path.read_text()
        assert "<svg" in text or path.stem == "index"
        assert not re.search(r"(src|href)=\"https?:", text)
