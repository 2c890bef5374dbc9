"""The page on forecasts is what the committed measurements make; tables and picture hold all."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = "benchmarks/results/forecasts-avx512.json"
PICTURE = ROOT / "docs/images/forecasts.png"


@pytest.fixture
def result(bench):
    """Made up: every peer on every set; the neural peer on one."""
    scores = {"mase": 1.0, "smape": 10.0, "mae": 5.0, "wql": 0.7, "coverage-80": 0.8,
              "coverage-95": 0.95}  # fmt: skip
    rows = [
        {"set": name, "peer": peer, "options": {}, "series": 9, "prediction_length": 4,
         "season_length": 4, "origins": 1, "version": "p 1", "fit_s": 2.0, "predict_s": 1.0,
         "peak_mb": 300, "scores": scores | {"mase": 0.9 if peer == "gatewise" else 1.0}}
        for part, names in bench.sets.PARTS.items()
        for name in names
        for peer, made in bench.peers.PEERS.items()
        if part in made.parts
    ]  # fmt: skip
    points = [
        {"steps": steps, "fit_s": steps * 0.03, "predict_s": 1.0,
         "scores": {"mase": 1 + 40 / steps, "smape": 14.0, "mae": 600.0}}
        for steps in (200, 1000)
    ]  # fmt: skip
    earlier = [
        row | {"before": k} for row in rows for k in bench.sets.EARLIER
        if row["peer"] == "gatewise" and row["set"] in bench.sets.COMPETITIONS
    ]  # fmt: skip
    where = {"processor": "P", "cores": 2, "isa": "avx512", "system": "S", "python": "3",
             "load": 0.5, "commit": "c0ffee"}  # fmt: skip
    return {
        "machine": where, "command": "c", "date": "d", "versions": ["p 1"],
        "missing": {"gatewise, pretrained": "none"},
        "faults": [{"peer": "AutoETS", "set": "m3-yearly", "fault": "broke"}],
        "rows": rows,
        "earlier": earlier,
        "neural": {"set": "m3-monthly", "peer": bench.neural.NAME, "options": {"steps": 1000},
                   "series": 9, "version": "n 3", "parameters": 215809, "windows_per_step": 128,
                   "input_size": 54, "points": points, "peak_mb": 700},
        "windows": {"step_ms": {"torch": 116.0, "gatewise": 58.0},
                    "window_us": {"torch": 906.0, "gatewise": 453.0}},
        "memory": {"series": 100_000, "rows": 200, "forecasts": 1_200_000, "fit_s": 60.0,
                   "predict_s": 20.0, "table_mb": 320, "before_mb": 700, "peak_mb": 4000},
    }  # fmt: skip


# A failure here: `python -m benchmarks.forecasts --publish <the JSON>`


def test_the_page_is_generated_from_the_measurements(bench):
    page = (ROOT / "docs/benchmarks/forecasts.md").read_text()
    measured, body = ROOT / SOURCE, bench.report.NOTHING
    if measured.exists():
        log = bench.seen.read(bench.main.LOG)
        body = bench.report.block(json.loads(measured.read_text()), SOURCE, log)
        assert bench.common.fingerprint(measured.read_text()).encode() in PICTURE.read_bytes()
        assert PICTURE.stat().st_size < 300_000
    assert page == bench.common.between(page, bench.report.OPEN, bench.report.CLOSE, body)
    assert page.count(bench.report.OPEN) == page.count(bench.report.CLOSE) == 1


def test_the_log_names_no_folder_of_a_machine(bench):
    entries = bench.seen.read(bench.main.LOG)
    assert entries
    for entry in entries:
        assert not any(word.startswith("/") for word in entry["command"].split())
        assert {"date", "command", "set", "peer", "options", "scores"} <= {*entry}


def test_every_figure_stands_in_a_table(bench, result):
    text = bench.report.tables(result)
    for names in bench.sets.PARTS.values():
        for name in names:
            assert f"\n| {name} | 9 | 4 |" in text
            section = text.split(f"### {name}\n")[1].split("\n#")[0]
            assert "| gatewise | 0.900 | 10.00 | 5.00 | 0.700 | 80.0% | 95.0% |" in section
    shares = "80.0% | 80.0% | 80.0% | **80.0%** | 95.0% | 95.0% | 95.0% | **95.0%** |"
    assert f"| m1-monthly | 9 / 9 / 9 | {shares}" in text
    assert "| 1000 | 30.0 | 1.040 | 14.00 | 600 |" in text
    assert "906 µs a window, and 453 µs" in text
    assert "| 100,000 | 200 | 320 | 4,000 | 60.0 | 20.0 |" in text
    assert "**Left out**, AutoETS on m3-yearly: broke." in text
    assert "Not measured: gatewise, pretrained (none)." in text


def test_the_lowest_error_of_a_set_is_bold(bench, result):
    text = bench.report.tables(result)
    assert "| m3-monthly | 9 | 18 |" not in text
    assert "| m3-monthly | 9 | 4 | 1 | **0.900** | 1.000 | 1.000 | 1.000 | 1.000 |" in text


def test_the_time_to_their_final_error_is_ours_only_if_we_reach_it(bench, result):
    assert bench.report.reached_s(result) == 3.0
    assert "The seasonal naive's is 1.000, which it does not reach" in bench.report.tables(result)
    for row in result["rows"]:
        if row["peer"] == "seasonal naive":
            row["scores"] = row["scores"] | {"mase": 1.1}
    assert "10.3 times sooner" in bench.report.tables(result)
    little = result["rows"][0] | {"fit_s": 0.5, "options": {"ensemble_size": 1, "max_epochs": 3}}
    assert bench.report.reached_s(result | {"little": [little]}) == 1.5
    assert "| 1 x 3 | 1.50 | 0.900 |" in bench.report.tables(result | {"little": [little]})
    for row in result["rows"]:
        row["scores"]["mase"] = 2.0
    assert bench.report.reached_s(result) is None
    assert "does not get there" in bench.report.tables(result)
    result["neural"]["series"] = 1428  # other series than ours: nothing to compare
    assert "forecasting included; gatewise" not in bench.report.tables(result)


def test_a_part_of_a_result_makes_tables_and_a_picture(bench, result, tmp_path):
    rows = [row for row in result["rows"] if row["set"] == "m1-monthly"]
    part = {k: v for k, v in result.items() if k not in ("neural", "windows", "memory")}
    assert "m1-monthly" in bench.report.tables(part | {"rows": rows})
    for k, drawn in enumerate((result, part | {"rows": rows})):
        path = tmp_path / f"{k}.png"
        bench.picture.draw(drawn, path, "where from")
        assert b"where from" in path.read_bytes()
        assert path.stat().st_size < 300_000


def test_the_block_lists_what_was_seen_ours_first(bench, result, tmp_path):
    log = tmp_path / "log.jsonl"
    assert bench.seen.read(log) == []
    bench.seen.append(log, result)
    bench.seen.append(log, result | {"date": "e"})
    entries = bench.seen.read(log)
    assert len(entries) == 2 * (len(result["rows"]) + 2)
    text = bench.report.block(result, SOURCE, entries)
    listed = text.split("## Every configuration")[1].split("\n|---")[1].splitlines()[1:]
    assert len(listed) == len(result["rows"]) + 1
    assert "| m3-monthly | gatewise |  | 9 | 1 | 2 | d to e | c0ffee | 0.900 |" in listed[0]
    neural = "steps 1000 | 9 |  | 4 | d to e | c0ffee | 1.040 to 1.200 |"
    assert any(neural in line for line in listed)


def test_a_run_goes_on_where_it_was_interrupted(bench, tmp_path):
    made = []

    def call(function, *arguments):
        made.append(arguments)
        return {"fault": "broke"} if arguments[0].peer == "AutoETS" else {"peer": arguments[0].peer}

    path, run, jobs = tmp_path / "kept.jsonl", bench.measure.run, bench.measure.Job
    some = [jobs(peer, "m3-yearly") for peer in ("gatewise", "AutoETS")]
    for expected in (2, 3):  # a fault is tried once more
        again = bench.resuming.resumed(call, path, {"isa": "avx2"})
        assert [again(run, job) for job in some] == [{"peer": "gatewise"}, {"fault": "broke"}]
        assert len(made) == expected
    with pytest.raises(ValueError, match="another run"):
        bench.resuming.resumed(call, path, {"isa": "avx512"})
    assert {"processor", "isa", "package"} <= {*bench.resuming.stamp()}


def test_a_run_keeps_rows_and_notes_the_rest(bench, result):
    neural = result["neural"]

    def call(function, *arguments):
        if function is bench.neural.curve:
            return neural
        if function is bench.neural.steps_ms:
            return {"step_ms": 10.0 if arguments[0] else 20.0, "windows": 100}
        if function is bench.measure.memory:
            assert arguments[:2] == (5, 200)
            return result["memory"]
        (job,) = arguments
        if job.peer == "AutoETS":
            return {"fault": "broke"}
        if job.peer == "AutoTheta":
            return {"missing": "none"}
        assert job.series == 5
        assert job.options in ({"seed": 1}, *({"seed": 1} | o for o in bench.neural.LITTLE))
        return {"set": job.name, "peer": job.peer, "version": "v 1, w 2"}

    options = bench.main._options(
        ["--series", "5", "--option", "seed=1", "--memory", "--sets", "m3-monthly", "nordpool"]
    )
    shown = []
    made = bench.main.measured(options, "command", lambda *at: shown.append(at), call)
    assert not options.whole
    assert [(r["set"], r["peer"]) for r in made["rows"]] == [
        ("m3-monthly", "gatewise"),
        ("m3-monthly", "gatewise, joint"),
        ("m3-monthly", "gatewise, pretrained"),
        ("m3-monthly", "seasonal naive"),
        ("nordpool", "gatewise"),
        ("nordpool", "seasonal naive"),
        ("nordpool", "least squares"),
    ]
    assert made["faults"] == [{"peer": "AutoETS", "set": "m3-monthly", "fault": "broke"}]
    assert made["missing"] == {"AutoTheta": "none"}
    assert made["versions"] == ["n 3", "v 1", "w 2"]
    assert made["windows"]["window_us"] == {"torch": 200.0, "gatewise": 100.0}
    assert [r["set"] for r in made["earlier"]] == ["m3-monthly"] * 2
    assert shown[-1] == ("measure", 11, 11)


def test_a_part_measured_anew_takes_its_place_and_says_so(bench, result):
    row = next(r for r in result["rows"] if r["set"] == "pedestrian" and r["peer"] == "AutoETS")
    again = row | {"scores": row["scores"] | {"mase": 0.5}}
    part = result | {"rows": [again], "faults": [], "command": "d", "date": "e"}
    made = bench.main.renewed(result, part)
    assert len(made["rows"]) == len(result["rows"])
    assert [r for r in made["rows"] if r not in result["rows"]] == [again]
    assert "Then, on e, its sets anew: `d`." in bench.report.tables(made)


def test_only_a_whole_run_is_published(bench):
    assert bench.main._options([]).whole
    assert bench.main._options(["--memory"]).whole
    for part in (["--quick"], ["--series", "9"], ["--only", "drivers"], ["--option", "seed=2"]):
        assert not bench.main._options(part).whole
    assert bench.main._options(["--quick"]).series == bench.main.QUICK_SERIES
    assert bench.main._options(["--option", "ensemble=joint"]).option == {"ensemble": "joint"}
    with pytest.raises(SystemExit):
        bench.main._options(["--option", "ensemble"])


def test_the_published_command_names_no_folder(bench, tmp_path):
    assert bench.main._without_folder(str(tmp_path / "out.json")) == "out.json"
    assert bench.main._without_folder("--quick") == "--quick"
