"""python -m benchmarks.forecasts: ours beside its peers; then page and picture."""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.forecasts import measure, neural, picture, report, seen
from benchmarks.forecasts.measure import Job, isolated
from benchmarks.forecasts.peers import PEERS
from benchmarks.forecasts.resuming import resumed, stamp
from benchmarks.forecasts.sets import COMPETITIONS, EARLIER, PARTS
from benchmarks.report import between, fingerprint
from gatewise.bench import to_json
from gatewise.bench.machine import describe
from gatewise.cli.progress import Bars
from gatewise.files import write_atomically

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
LOG = RESULTS / "forecast-configurations.jsonl"

STAGES: Final = (*PARTS, "intervals", "neural")
QUICK_SERIES: Final = 20
MEMORY: Final = (100_000, 200)
"""Series and rows of the run that measures memory."""


def main() -> int:
    options = _options()
    if options.publish:
        publish(options.publish.resolve())
        return 0
    asked = shlex.join(map(_without_folder, sys.argv[1:]))
    command = f"python -m benchmarks.forecasts {asked}".strip()
    call = resumed(isolated, options.resume, stamp()) if options.resume else isolated
    with Bars() as bars:
        result = measured(options, command, bars, call)
    seen.append(LOG, result)
    source = options.out
    if options.whole or options.renew:
        source = RESULTS / f"forecasts-{result['machine']['isa']}.json"
    if options.renew:
        result = renewed(json.loads(source.read_text()), result)
    if source:
        write_atomically(source, to_json(result))
    if options.whole or options.renew:
        publish(source)
        if options.resume:
            options.resume.unlink()
    else:
        print(report.tables(result))
    for fault in result["faults"]:
        print("left out:", fault, file=sys.stderr)
    return 1 if result["faults"] else 0


def measured(
    options: argparse.Namespace,
    command: str,
    progress: Callable[[str, int, int], None],
    call: Callable[..., dict[str, Any]] = isolated,
) -> dict[str, Any]:
    """Measure all that was asked for; `call` runs a function in a process of its own."""
    result: dict[str, Any] = {
        "machine": describe(),
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": [],
        "missing": {},
        "faults": [],
        "rows": [],
        "earlier": [],
    }
    todo = [*jobs(options), *earlier(options)]
    for done, job in enumerate(todo):
        progress("measure", done, len(todo))
        row = call(measure.run, job)
        if _kept(result, row, job.peer, job.name):
            result["earlier" if job.before else "rows"].append(row)
    progress("measure", len(todo), len(todo))
    if "neural" in options.only:
        row = call(neural.curve, 10 if options.quick else neural.STEPS, options.series)
        if _kept(result, row, neural.NAME, neural.SET):
            result["neural"] = row
            little = (options.option | given for given in neural.LITTLE)
            made = (Job("gatewise", neural.SET, given, options.series) for given in little)
            rows = [call(measure.run, job) for job in made]
            result["little"] = [r for r in rows if _kept(result, r, "gatewise", neural.SET)]
            turns = (1, 5) if options.quick else (neural.TURNS, neural.TURN_STEPS)
            result["windows"] = neural.side_by_side(call, *turns, options.series)
    if options.memory:
        series, rows = MEMORY
        row = call(measure.memory, options.series or series, rows, options.option)
        if _kept(result, row, "gatewise", "generated"):
            result["memory"] = row
    return result


def renewed(result: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Put the rows of a part in place of a result's own, and tell so in it."""
    again = {(row["set"], row["peer"]): row for row in part["rows"]}
    rows = [again.pop((row["set"], row["peer"]), row) for row in result["rows"]]
    told = {name: part[name] for name in ("command", "date")}
    told["commit"] = part["machine"].get("commit")
    return result | {
        "rows": [*rows, *again.values()],
        "versions": sorted({*result["versions"], *part["versions"]}),
        "faults": [*result["faults"], *part["faults"]],
        "renewed": [*result.get("renewed", []), told],
    }


def jobs(options: argparse.Namespace) -> list[Job]:
    """Every peer on every set that was asked for."""
    origins = 2 if options.quick else None
    return [
        Job(peer, name, options.option, options.series, origins)
        for part in options.only
        if part in PARTS
        for name in PARTS[part]
        if name in options.sets
        for peer, made in PEERS.items()
        if peer in options.peers and part in made.parts
    ]


def earlier(options: argparse.Namespace) -> list[Job]:
    """Ours on windows before the official ones."""
    asked = "intervals" in options.only and "gatewise" in options.peers
    return [
        Job("gatewise", name, options.option, options.series, 1, before)
        for name in (COMPETITIONS if asked else ())
        if name in options.sets
        for before in EARLIER
    ]


def publish(source: Path) -> None:
    """Write the block of the page and the picture from a result and the log."""
    text = source.read_text()
    result = json.loads(text)
    page = ROOT / "docs" / "benchmarks" / "forecasts.md"
    body = report.block(result, source.relative_to(ROOT).as_posix(), seen.read(LOG))
    write_atomically(page, between(page.read_text(), report.OPEN, report.CLOSE, body))
    picture.draw(result, ROOT / "docs" / "images" / "forecasts.png", fingerprint(text))


def _kept(result: dict[str, Any], row: dict[str, Any], peer: str, name: str) -> bool:
    """Note what is missing or failed, and versions; return whether there is a row."""
    if "missing" in row:
        result["missing"][peer] = row["missing"]
    elif "fault" in row:
        result["faults"].append({"peer": peer, "set": name, "fault": row["fault"]})
    else:
        found = row.get("version", "").split(", ")
        result["versions"] = sorted({*result["versions"], *found} - {""})
        return True
    return False


def _options(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forecasts", description=__doc__)
    names = [name for part in PARTS.values() for name in part]
    parser.add_argument("--only", nargs="+", choices=STAGES, default=[*STAGES], metavar="STAGE",
                        help=f"of {', '.join(STAGES)}")  # fmt: skip
    parser.add_argument("--sets", nargs="+", choices=names, default=names, metavar="SET",
                        help=f"of {', '.join(names)}")  # fmt: skip
    parser.add_argument("--peers", nargs="+", choices=[*PEERS], default=[*PEERS], metavar="PEER",
                        help=f"of {', '.join(map(repr, PEERS))}")  # fmt: skip
    parser.add_argument("--series", type=int, help="so many of each set, evenly spaced")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE",
                        help="of our Forecaster, such as seed=1; may be repeated")  # fmt: skip
    parser.add_argument("--memory", action="store_true",
                        help="also 100,000 generated series of 200 rows")  # fmt: skip
    parser.add_argument("--quick", action="store_true",
                        help=f"{QUICK_SERIES} series, two origins, ten steps")  # fmt: skip
    parser.add_argument("--out", type=Path, help="write the result of a part to this JSON file")
    parser.add_argument("--resume", type=Path,
                        help="file to keep what is measured in, and to go on from")  # fmt: skip
    parser.add_argument("--renew", action="store_true",
                        help="put the rows in place of those of the last whole run")  # fmt: skip
    parser.add_argument("--publish", type=Path, help="write all from this JSON, measure nothing")
    options = parser.parse_args(given)
    parts = (options.quick, options.series, options.option)
    all_of = ((options.only, STAGES), (options.sets, names), (options.peers, PEERS))
    options.whole = not any(parts) and all([*got] == [*wanted] for got, wanted in all_of)
    if options.quick:
        options.series = options.series or QUICK_SERIES
    try:
        options.option = dict(map(_option, options.option))
    except ValueError as error:
        parser.error(str(error))
    return options


def _without_folder(argument: str) -> str:
    """Leave out where a file stands on this machine: the command is published."""
    return Path(argument).name if Path(argument).is_absolute() else argument


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--option is {text!r}: expected NAME=VALUE, such as seed=1.")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


if __name__ == "__main__":
    sys.exit(main())
