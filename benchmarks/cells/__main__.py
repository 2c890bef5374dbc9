"""python -m benchmarks.cells: other cells, ragged batches, float64; then page and picture."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.cells import picture, report
from benchmarks.report import between, fingerprint
from gatewise.bench import (
    VARIANT_PEERS,
    Plan,
    core_count,
    restored,
    run,
    shortened,
    to_json,
    variants,
)
from gatewise.cli.progress import Bars
from gatewise.files import write_atomically

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
TURNS, TURN_S = 5, 0.015


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cells", description=__doc__)
    parser.add_argument("--turns", type=int, default=TURNS, help="turns of each peer")
    parser.add_argument("--turn-s", type=float, default=TURN_S, help="seconds of a turn")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few shapes and cells, one thread, three minutes; prints tables, publishes nothing",
    )
    parser.add_argument("--publish", type=Path, help="write all from this JSON, measure nothing")
    options = parser.parse_args()
    if options.publish:
        publish(options.publish.resolve())
        return 0
    threads = (1,) if options.quick else tuple(n for n in Plan.threads if n <= core_count())
    plan = Plan(variants(options.quick), threads, VARIANT_PEERS, options.turns, options.turn_s)
    with Bars() as bars:
        result = run(plan, " ".join(["python -m benchmarks.cells", *sys.argv[1:]]), bars)
    if options.quick:
        print(report.tables(result))
    else:
        RESULTS.mkdir(exist_ok=True)
        source = RESULTS / f"cells-{result['machine']['isa']}.json"
        write_atomically(source, to_json(shortened(result)))
        publish(source)
    for fault in result["faults"]:
        print("left out:", fault, file=sys.stderr)
    return 1 if result["faults"] else 0


def publish(source: Path) -> None:
    """Write the block of the page and the picture from a result."""
    text = source.read_text()
    result = restored(json.loads(text))
    page = ROOT / "docs" / "benchmarks" / "cells.md"
    body = report.block(result, source.relative_to(ROOT).as_posix())
    write_atomically(page, between(page.read_text(), report.OPEN, report.CLOSE, body))
    picture.draw(result, ROOT / "docs" / "images" / "cells.png", fingerprint(text))


if __name__ == "__main__":
    sys.exit(main())
