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
from gatewise.lab.store import Store, key_of

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


def test_every_claim_has_been_run(found):
    assert set(lab.experiments()) <= set(found)


def test_thirty_paired_seeds_judge_and_fewer_do_not(found):
    for name, r in found.items():
        seeds = {}
        for row in r.rows:
            arm = json.dumps({k: v for k, v in row.config.items() if k != "seed"}, sort_keys=True)
            seeds.setdefault(arm, set()).add(row.config["seed"])
            assert row.config["seed"] >= 0  # none has been tuned on
        least = min(map(len, seeds.values())) if len(seeds) == len(r.experiment.arms()) else 0
        if name not in EXACT:
            few = LEAST_SEEDS if name != "continual-reber" else 100  # as many as were published
            assert least >= few or r.verdict.word in ("underpowered", "reproduced"), name
            assert least < few or r.verdict.word != "underpowered", name
        if least >= LEAST_SEEDS:
            assert len({frozenset(s) for s in seeds.values()}) == 1, name


def test_there_is_no_row_that_nobody_judges():
    """What an older design left behind is taken out before rows are committed."""
    store = Store(":memory:")
    store.bring(RESULTS)
    for path in RESULTS.glob("*.jsonl"):
        experiment, rows = everything()[path.stem], list(store.rows(path.stem))
        tuning = {key_of(path.stem, config) for config in experiment.tuning("full")}
        known = experiment.keys("full", rows) | tuning
        assert {row.key for row in rows} <= known, path.name


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
