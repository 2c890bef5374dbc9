"""Damages model files and loads them: a clean error, or exactly the model that was saved.

    python -m tests.fuzz.mutate_files --count 20000 --seed 1

A worker process loads the files one by one, so that a crash is seen and told; a watchdog ends it
when a file takes too long. Each case has its own seed: `--only CASE` runs one again.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tests.fuzz.mutations import mutated, resealed

LIMIT_S = 2.0
WATCHDOG_S = 20
LONGEST_MESSAGE = 1000


@dataclass(frozen=True)
class Original:
    """A file before any damage.

    Attributes:
        kind: name of its header.
        content: its bytes.
        same: whether what was loaded from a path is what was saved.
        load: reads a path.
    """

    kind: str
    content: bytes
    load: Callable[[Path], Any]
    same: Callable[[Any], bool]


def main() -> int:
    """Run the cases; return how many failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000, help="Number of cases.")
    parser.add_argument("--seed", type=int, default=1, help="Seed of all cases.")
    parser.add_argument("--only", type=int, help="Run this case alone.")
    parser.add_argument("--work", nargs=2, type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked.seed, range(*asked.work))
        return 0
    cases = range(asked.count) if asked.only is None else range(asked.only, asked.only + 1)
    counts, failures = supervise(asked.seed, cases)
    for outcome, count in sorted(counts.items()):
        print(f"{count:7d} {outcome}")
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    print(f"{len(cases)} files, seed {asked.seed}: {len(failures)} failures")
    return min(len(failures), 100)


def supervise(seed: int, cases: range) -> tuple[collections.Counter[str], list[str]]:
    """Run the cases in worker processes; a worker that dies is replaced after its case."""
    counts: collections.Counter[str] = collections.Counter()
    failures: list[str] = []
    next_case = cases.start
    while next_case < cases.stop:
        command = [sys.executable, "-m", "tests.fuzz.mutate_files", "--seed", str(seed),
                   "--work", str(next_case), str(cases.stop)]  # fmt: skip
        with tempfile.TemporaryFile("w+") as complaints:
            started, what = next_case, "starting"
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=complaints, text=True
            ) as worker:
                for line in worker.stdout or ():
                    word, _, rest = line.rstrip("\n").partition(" ")
                    if word == "begin":
                        case, what = rest.split(" ", 1)
                        started, next_case = int(case), int(case) + 1
                    elif word == "failed":
                        failures.append(rest)
                    else:
                        counts[rest] += 1
            if worker.returncode != 0:
                complaints.seek(0)
                failures.append(
                    f"case {started} ({what}): the process ended with {worker.returncode}\n"
                    f"{complaints.read()[-3000:]}"
                )
                if what == "starting":
                    break
    return counts, failures


def work(seed: int, cases: range) -> None:
    """Run cases in this process, telling each before it begins."""
    files = originals()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        for case in cases:
            draw = random.Random(f"{seed} {case}")
            original, other = draw.choice(files), draw.choice(files)
            if original.kind == "gatewise-lstm" and draw.random() < 0.2:
                name, content, lawful = "resealed", _resealed(original, draw), True
            else:
                name, content = mutated(original.content, original.kind, other.content, draw)
                lawful = False
            print(f"begin {case} {original.kind} {name}", flush=True)
            path.write_bytes(content)
            outcome, good = judged(original, path, lawful)
            print(
                f"{'ended' if good else f'failed case {case} ({original.kind} {name}):'} {outcome}"
            )
    sys.stdout.flush()


def _resealed(original: Original, draw: random.Random) -> bytes:
    from gatewise.weights import VERSION

    return resealed(original.content, original.kind, VERSION, draw)


def judged(original: Original, path: Path, lawful: bool) -> tuple[str, bool]:
    """What came of loading a file, and whether that is as it should be.

    Args:
        original: what it was.
        path: the damaged file.
        lawful: its checksum fits, so that it may be another model, which has to run.
    """
    from gatewise.errors import GatewiseError

    faulthandler.dump_traceback_later(WATCHDOG_S, exit=True)
    begun = time.monotonic()
    try:
        loaded = original.load(path)
    except GatewiseError as error:
        text = str(error)
        good = "\n" not in text and len(text) <= LONGEST_MESSAGE
        outcome = "refused" if good else f"a message of {len(text)} characters: {text[:200]!r}"
    except BaseException as error:
        good, outcome = False, f"raised {type(error).__name__}: {str(error)[:200]!r}"
    else:
        if original.same(loaded):
            good, outcome = True, "loaded, the same"
        elif lawful:
            good, outcome = runs(loaded), "loaded, another that runs"
        else:
            good, outcome = False, "loaded another model"
    took = time.monotonic() - begun
    faulthandler.cancel_dump_traceback_later()
    return (outcome, good) if took <= LIMIT_S else (f"took {took:.1f} s", False)


def runs(weights: Any) -> bool:
    """Whether an LSTM gives finite numbers of the right shape, from memory that is its own."""
    from gatewise.runtime import Model

    config = weights.config
    x = np.zeros((3, 2, config.input_size), np.float32)
    y, _ = Model(weights).run(x)
    return y.shape[-1] == config.directions * (config.proj_size or config.hidden_size)


def originals() -> list[Original]:
    """Small LSTMs of several kinds, and forecasters of both."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*_lstms(folder), *_forecasters(folder)]


def _lstms(folder: Path) -> list[Original]:
    from gatewise import Cell
    from gatewise.weights import (
        FORMAT,
        LSTMConfig,
        LSTMWeights,
        expected_shapes,
        load_lstm,
        save_lstm,
    )

    kinds = (
        (LSTMConfig(2, 2), np.float32),
        (LSTMConfig(3, 3, 2, bidirectional=True, batch_first=True), np.float64),
        (LSTMConfig(3, 4, 2, bias=False, proj_size=3), np.float32),
        (LSTMConfig(2, 3, cell=Cell(peephole=True, coupled=True, candidate="relu")), np.float32),
        (LSTMConfig(3, 3, cell=Cell(layer_norm=True), zoneout=(0.25, 0.5),
                    learn_initial_state=True), np.float32),
    )  # fmt: skip
    made = []
    rng = np.random.default_rng(0)
    for config, dtype in kinds:
        shapes = expected_shapes(config)
        arrays = {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}
        weights = LSTMWeights(config, arrays)
        save_lstm(weights, folder / "lstm")
        content = (folder / "lstm").read_bytes()
        made.append(Original(FORMAT, content, load_lstm, weights.__eq__))
    return made


def _forecasters(folder: Path) -> list[Original]:
    import polars as pl

    from gatewise.forecast import Forecaster
    from gatewise.forecast.models.io import FORMAT, load_fitted, save_fitted

    days = np.arange("2024-01-01", "2024-04-01", dtype="datetime64[D]").astype("datetime64[us]")
    y = np.random.default_rng(0).normal(size=len(days)).cumsum() + 100
    table = pl.DataFrame({"ds": days, "y": y})
    made = []
    for model in ("window", "pretrained"):
        Forecaster(3, model=model, max_epochs=1, hidden_size=4).fit(table).save(folder / model)
        content = (folder / model).read_bytes()

        def same(loaded: Any, content: bytes = content) -> bool:
            with tempfile.TemporaryDirectory() as copies:
                save_fitted(loaded, Path(copies) / "copy")
                return (Path(copies) / "copy").read_bytes() == content

        made.append(Original(FORMAT, content, load_fitted, same))
    return made


if __name__ == "__main__":
    sys.exit(main())
