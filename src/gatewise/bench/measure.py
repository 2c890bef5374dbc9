"""A whole plan: peers checked against PyTorch, then timed in turns."""

from __future__ import annotations

import contextlib
import datetime
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from gatewise.bench import machine, pairs, roofline, scaling
from gatewise.bench.cells import definitions
from gatewise.bench.contention import Spinner
from gatewise.bench.grid import CONTENDED, Case, cases
from gatewise.bench.pairs import Crew, Tell
from gatewise.bench.peers import CELL_PEERS, CELL_REFERENCE, OURS, PEERS, REFERENCE
from gatewise.bench.problem import Array
from gatewise.bench.timing import spread
from gatewise.bench.worker import Worker, child_settings
from gatewise.cell import SITES
from gatewise.errors import BenchmarkError, ConfigError, MissingExtraError, nearest, shown

Progress = Callable[[str, int, int], None]

KINKED: Final = ("hard_sigmoid", "hard_tanh", "relu")
"""A sum that rounds to the other side of a kink has another derivative: that is no fault."""


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Args:
        cases: modes and shapes.
        threads: numbers of threads, one after the other.
        peers: names from `PEERS` and `CELL_PEERS`; those that are not installed are left out, and
            named.
        turns: of each peer in each case, beside one of ours.
        turn_s: length of a turn, in seconds.
        contended: measure, too, with another process on one of the cores, and what two cores reach.
    """

    cases: tuple[Case, ...] = cases()
    threads: tuple[int, ...] = (1, 2)
    peers: tuple[str, ...] = tuple(PEERS)
    turns: int = 9
    turn_s: float = 0.04
    contended: bool = False

    def __post_init__(self) -> None:
        for peer in self.peers:
            if peer not in PEERS | CELL_PEERS:
                raise ConfigError(f"There is no peer {shown(peer)}. {nearest(peer, list(PEERS))}")
        if not set(self.peers) & set(OURS):
            raise ConfigError(f"peers are {self.peers}: expected one of ours among them: {OURS}.")
        if CELL_REFERENCE not in self.peers and any(not c.cell.is_default for c in self.cases):
            raise ConfigError(
                f"peers are {self.peers}: expected {CELL_REFERENCE} among them, which the numbers "
                "of other cells are checked by."
            )
        if not self.threads or min(self.threads) < 1:
            raise ConfigError(f"threads are {self.threads}: expected at least 1.")


def run(plan: Plan, command: str = "", progress: Progress = lambda *_: None) -> dict[str, Any]:
    """Measure.

    Args:
        plan: what.
        command: what was typed, to be told in the result.
        progress: called as ``progress(stage, done, total)``.

    Returns:
        JSON values: ``machine``, ``peaks``, ``cells`` (what their names stand for), ``versions`` of
        the peers, ``missing`` (why a peer is not there), ``faults`` (numbers that differ from
        PyTorch's, failures), ``rows`` (seconds per call, and the pairs of each turn),
        ``contended``, ``side_by_side``, and how it was measured.

    Raises:
        MissingExtraError: PyTorch, whose numbers all others must compute, is not installed.
    """
    result: dict[str, Any] = {
        "machine": machine.describe(),
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "turns": plan.turns,
        "turn_s": plan.turn_s,
        "rest_s": {"others": pairs.REST_S, **pairs.LONG_REST_S},
        "peaks": _peaks(),
        "cells": definitions(case.cell for case in plan.cases),
        "versions": {},
        "missing": {},
        "faults": [],
        "rows": [],
        "contended": [],
        "side_by_side": None,
    }
    total, done = len(plan.cases) * len(plan.threads), 0
    for threads in plan.threads:
        progress("measure", done, total)
        with _crew(plan.peers, threads, result) as crew:
            for case in plan.cases:
                tell = partial(_tell, result["faults"], case, threads)
                ready = _prepared(crew, case, plan.peers, tell)
                found = pairs.timed(ready, case, plan.turns, plan.turn_s, tell, threads > 1)
                row = {**case.to_dict(), "threads": threads, **found}
                result["rows"].append(row)
                done += 1
                progress("measure", done, total)
    if plan.contended:
        result["side_by_side"] = scaling.side_by_side(plan.turns, 2 * plan.turn_s)
        result["contended"] = _contended(plan, result, progress)
    result["peaks"] = machine.merge(result["peaks"], _peaks())
    measured = [case for _ in plan.threads for case in plan.cases]
    for case, row in zip(measured, result["rows"], strict=True):
        if (peak := row["peak_gflops"]) is not None:
            least = roofline.limit(case, row["threads"], peak, result["peaks"]["read_gbs"])
            row["limit"] = {"s": float(f"{least.seconds:.4g}"), "by": least.by}
    return result


@contextlib.contextmanager
def _crew(peers: Iterable[str], threads: int, result: dict[str, Any]) -> Iterator[Crew]:
    """Start the peers that are there, and PyTorch for its numbers; note which they are."""
    with contextlib.ExitStack() as stack:
        named = dict.fromkeys([*peers, REFERENCE])
        crew = {peer: stack.enter_context(Worker(peer, threads)) for peer in named}
        for peer, worker in crew.items():
            worker.wait()
            if worker.missing is None:
                result["versions"][peer] = worker.version
            else:
                result["missing"][peer] = worker.missing
        if crew[REFERENCE].missing is not None:
            raise MissingExtraError("gatewise bench", "torch")
        yield {peer: worker for peer, worker in crew.items() if worker.missing is None}


def _prepared(crew: Crew, case: Case, peers: Iterable[str], tell: Tell) -> Crew:
    """Have a case prepared by all; return those that run it and agree with PyTorch.

    That is, with `torch.nn.LSTM`, or where that has no such cell, with the loop.
    """
    found = {}
    for peer, worker in crew.items():  # not all at once: spinning threads would hold each other up
        try:
            found[peer] = worker.prepare(case)
        except BenchmarkError as error:
            if peer == REFERENCE:
                raise
            tell(peer, str(error))
    reference = REFERENCE if case.cell.is_default else CELL_REFERENCE
    expected = found.get(reference)
    if expected is None:  # it failed, and that was told
        return {}
    agreed = {}
    for peer, outputs in found.items():
        if outputs is None:
            continue
        off = deviation(outputs, expected)
        if off <= crew[peer].tolerance * _slack(case):
            agreed[peer] = crew[peer]
        else:
            tell(peer, f"{peer} is {off:.2g} away from {reference}")
    return {peer: agreed[peer] for peer in peers if peer in agreed}


def _slack(case: Case) -> float:
    """By how much tolerances, which are those of float32 and smooth functions, are widened."""
    if case.dtype == "float64":
        return 1e-8
    kinked = any(case.cell.activation(site).name in KINKED for site in SITES)
    return 50 if kinked and case.mode == "training" else 1


def _tell(faults: list[dict[str, Any]], case: Case, threads: int, peer: str, fault: str) -> None:
    where = {"mode": case.mode, "shape": case.shape.name, **case.variant, "threads": threads}
    faults.append({"peer": peer, **where, "fault": fault})


def deviation(outputs: dict[str, Array], reference: dict[str, Array]) -> float:
    """Return the largest difference between outputs, relative to the largest value of each.

    >>> deviation({"y": np.array([1.0, 2.0])}, {"y": np.array([1.0, 4.0])})
    0.5
    """
    if outputs.keys() != reference.keys():
        return float("inf")
    worst = 0.0
    for name, expected in reference.items():
        if outputs[name].shape != expected.shape:
            return float("inf")
        scale = float(np.abs(expected).max()) or 1.0
        worst = max(worst, float(np.abs(outputs[name] - expected).max()) / scale)
        if np.isnan(outputs[name]).any():
            return float("inf")
    return worst


def _contended(plan: Plan, result: dict[str, Any], progress: Progress) -> list[dict[str, Any]]:
    """Time ours and PyTorch's on two threads, by turns alone and beside a spinning process."""
    rows = []
    peers = ("gatewise", REFERENCE)
    with _crew(peers, 2, result) as crew, Spinner() as spinner:
        for done, case in enumerate(CONTENDED):
            progress("contended", done, len(CONTENDED))
            ready = _prepared(crew, case, peers, partial(_tell, result["faults"], case, 2))
            quiet: dict[str, list[float]] = {peer: [] for peer in ready}
            contended: dict[str, list[float]] = {peer: [] for peer in ready}
            growths: dict[str, list[float]] = {peer: [] for peer in ready}
            for _ in range(plan.turns):
                for peer, worker in ready.items():
                    time.sleep(pairs.REST_S)
                    alone = worker.turn(plan.turn_s)
                    spinner.start()
                    beside = worker.turn(plan.turn_s)
                    spinner.stop()
                    quiet[peer] += alone
                    contended[peer] += beside
                    growths[peer].append(statistics.median(beside) / statistics.median(alone))
            rows.append(
                {
                    **case.to_dict(),
                    "threads": 2,
                    "quiet": _spreads(quiet),
                    "contended": _spreads(contended),
                    "growth": {k: round(statistics.median(v), 3) for k, v in growths.items()},
                }
            )
        progress("contended", len(CONTENDED), len(CONTENDED))
    return rows


def _peaks() -> dict[str, Any]:
    """The limits of one core, in a process whose libraries have one thread."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        with child_settings(1):
            measured = pool.submit(machine.peaks)
        return measured.result()


def _spreads(times: dict[str, list[float]]) -> dict[str, Any]:
    return {peer: spread(found) for peer, found in times.items()}
