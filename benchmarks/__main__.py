"""python -m benchmarks: everything, beside the peers; then pages, pictures and README."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import picture, report
from gatewise.bench import Plan, core_count, run, to_json
from gatewise.cli.progress import Bars
from gatewise.files import write_atomically

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--turns", type=int, default=Plan.turns, help="turns of each peer")
    parser.add_argument("--turn-s", type=float, default=Plan.turn_s, help="seconds of a turn")
    parser.add_argument("--publish", action="store_true", help="write all again, measure nothing")
    options = parser.parse_args()
    if options.publish:
        publish()
        return 0
    threads = tuple(n for n in Plan.threads if n <= core_count())
    plan = Plan(
        threads=threads, turns=options.turns, turn_s=options.turn_s, contended=core_count() > 1
    )
    with Bars() as bars:
        result = run(plan, " ".join(["python -m benchmarks", *sys.argv[1:]]), bars)
    RESULTS.mkdir(exist_ok=True)
    source = RESULTS / f"speed-{result['machine']['isa']}.json"
    write_atomically(source, to_json(result))
    publish()
    for fault in result["faults"]:
        print("left out:", fault, file=sys.stderr)
    return 1 if result["faults"] else 0


def publish() -> None:
    """Write a page and a picture for each machine, and the README's block of all."""
    runs = report.whole_runs(RESULTS)
    for source, result in runs.items():
        page = ROOT / report.page_file(source)
        page.parent.mkdir(exist_ok=True)
        write_atomically(page, report.page(result, source.relative_to(ROOT).as_posix()))
        mark = report.fingerprint(source.read_text())
        picture.draw(result, ROOT / report.picture_file(source), mark)
    readme = ROOT / "README.md"
    write_atomically(readme, report.with_block(readme.read_text(), runs))


if __name__ == "__main__":
    sys.exit(main())
