"""What README and pages say of forecasts, against the raw results, the log and the data."""

import json
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gatewise.forecast import Forecaster, datasets
from gatewise.forecast.models.residual import pretrained

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results"
WORDS = ["none", "one", "two", "three", "four", "five", "six", "seven"]
COMPETITIONS = {
    "m3-monthly",
    "m3-quarterly",
    "m3-yearly",
    "tourism-monthly",
    "tourism-quarterly",
    "m1-monthly",
}
PAGES = ("README.md", "docs/benchmarks/forecasts.md", "docs/math/forecaster.md")


def flat(path):
    return " ".join((ROOT / path).read_text().split())


@pytest.fixture(scope="module")
def errors():
    """Set -> peer -> MASE of the published run."""
    found = defaultdict(dict)
    for row in json.loads((RESULTS / "forecasts-avx512.json").read_text())["rows"]:
        found[row["set"]][row["peer"]] = row["scores"]["mase"]
    return found


@pytest.fixture(scope="module")
def general(errors):
    """The other public sets without drivers."""
    return {s: e for s, e in errors.items() if s not in COMPETITIONS and "AutoETS" in e}


def ahead(errors, peer, ours="gatewise"):
    return [name for name, e in errors.items() if e[ours] < e[peer]]


def one_origin():
    """Set -> peer -> the first logged MASE of the finished rule at the last origin alone."""
    found = defaultdict(dict)
    for line in (RESULTS / "forecast-configurations.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry.get("origins") == 1 and "mase" in entry["scores"]:
            found[entry["set"]][entry["peer"]] = entry["scores"]["mase"]
    return found


def test_the_competitions(errors):
    competitions = {s: errors[s] for s in COMPETITIONS}
    behind = {s for peer in ("AutoETS", "AutoTheta") for s in COMPETITIONS
              if s not in ahead(competitions, peer)}  # fmt: skip
    assert behind == {"m3-yearly"}
    pretrained = len(ahead(competitions, "AutoETS", "gatewise, pretrained"))
    told = flat("README.md")
    assert "five of six competition sets, behind both on M3 yearly" in told
    assert f"They are ahead of AutoETS on {WORDS[pretrained]} of six." in told


def test_the_other_sets_from_several_origins_and_from_one(general):
    assert len(general) == 7
    assert len(ahead(general, "AutoETS")) == 7
    told = flat("README.md")
    assert f"of AutoTheta on {WORDS[len(ahead(general, 'AutoTheta'))]}" in told
    single = {s: one_origin()[s] for s in general}
    many, one = (WORDS[len(ahead(e, "seasonal naive"))] for e in (general, single))
    assert (many, one) == ("six", "four")
    assert f"ahead of the seasonal naive on {many} of the seven, but on {one} at the last" in told
    page = flat("docs/benchmarks/forecasts.md")
    for name in set(single) - set(ahead(single, "seasonal naive")):
        ours, theirs = single[name]["gatewise"], single[name]["seasonal naive"]
        against = rf"{name} \((MASE )?{ours:.3f} against {theirs:.3f}\)"
        assert re.search(against, page), against


def test_sets_on_which_the_week_was_tried_are_called_development_sets():
    page = flat("docs/benchmarks/forecasts.md")
    assert "(pedestrian, vic-electricity, bank-calls)" in page
    assert "they are development sets" in page
    assert "clean test" not in page


def test_the_shipped_networks_learnt_from_every_competition_set():
    told = pretrained.header()
    learnt = json.dumps(told)
    assert all(name in learnt for name in COMPETITIONS), learnt[:300]
    assert "learnt from the training parts of all six competition sets" in flat("README.md")
    assert "learnt from the training parts of all six" in flat("docs/benchmarks/forecasts.md")


def test_most_quarters_of_tourism_are_sums_of_its_months():
    sums = set()
    for series in values("tourism-monthly"):
        for first in range(3):
            rows = series[first:]
            quarters = rows[: len(rows) // 3 * 3].reshape(-1, 3).sum(1).round(3)
            sums |= {tuple(quarters[i : i + 6]) for i in range(len(quarters) - 5)}
    quarterly = values("tourism-quarterly")
    same = [any(tuple(y[i : i + 6].round(3)) in sums for i in range(len(y) - 5)) for y in quarterly]
    assert np.mean(same) > 0.5
    for page in PAGES:
        assert "most series of Tourism quarterly are sums of series of Tourism monthly" in flat(
            page
        )


def values(name):
    table = datasets.load(name).table
    return [part["y"].to_numpy() for _, part in table.group_by("unique_id", maintain_order=True)]


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md", "docs/howto/forecast-a-table.md"])
def test_no_page_says_held_out_of_networks_that_saw_relatives(page):
    assert not re.search(r"each held out of what it learnt|did not learn from it\b", flat(page))


def drawn():
    with Image.open(ROOT / "docs/images/demo.png") as image:
        return json.loads(image.text["Description"])


def test_the_picture_of_the_demo_says_what_it_shows():
    told = drawn()
    table = datasets.load("sp500").table
    assert told["rows"] == len(table)
    assert (
        told["low"] < float(table["close" if "close" in table.columns else "y"][-1]) < told["high"]
    )


@pytest.mark.slow
def test_the_picture_of_the_demo_is_of_today_s_network():
    data = datasets.load("sp500")
    last = Forecaster(prediction_length=20).fit(data.table, **data.columns).predict().tail(1)
    assert last["lo-95"].item() == pytest.approx(drawn()["low"], rel=0.02)
    assert last["hi-95"].item() == pytest.approx(drawn()["high"], rel=0.02)
