"""One peer on one set in a process of its own: its scores, its time on one core, its memory."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.forecasts import sets
from benchmarks.forecasts.peers import PEERS, Peer, known_options
from benchmarks.forecasts.scores import score
from benchmarks.forecasts.sets import REFIT, Task
from gatewise.bench.worker import child_settings


@dataclass(frozen=True)
class Job:
    """What to measure.

    Attributes:
        peer: of `PEERS`.
        name: of the set.
        options: of our `Forecaster`; other peers have their defaults.
        series: how many; None for all.
        origins: at most; None for all.
        before: horizons before the official window; see `Task.before`.
    """

    peer: str
    name: str
    options: dict[str, Any] = field(default_factory=dict)
    series: int | None = None
    origins: int | None = None
    before: int = 0


def isolated(function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Call a function in a fresh process whose libraries have one thread.

    Returns:
        What it returned; ``{"missing": reason}`` if a package is not there, ``{"fault": reason}``
        if it failed or its process died.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        with child_settings(1):
            running = pool.submit(_told, function, arguments)
        try:
            return running.result()
        except BrokenProcessPool:
            return {"fault": "its process died"}


def run(job: Job) -> dict[str, Any]:
    """Measure one job; to be called in a process of its own."""
    task = sets.load(job.name).few(job.series, job.origins).before(job.before)
    peer = PEERS[job.peer]
    peer.load()
    ours = job.peer.startswith("gatewise")
    asked = job.options if ours else {}
    shown = known_options(task, asked) if ours else {}
    return {
        "set": job.name,
        "peer": job.peer,
        "options": {name: value for name, value in shown.items() if name != "levels"},
        "series": task.train["unique_id"].n_unique(),
        "prediction_length": task.prediction_length,
        "season_length": task.season_length,
        "origins": task.origins,
        "before": job.before,
        "version": peer.version,
        **timed(task, peer, asked),
    }


def timed(task: Task, peer: Peer, options: dict[str, Any]) -> dict[str, Any]:
    """Fit and forecast origin by origin; a fit serves `REFIT` origins."""
    fit_s, predict_s, parts = 0.0, 0.0, []
    for k, (history, ahead) in enumerate(task.windows()):
        start = time.perf_counter()
        if k % REFIT == 0:
            predict = peer.fit(task, history, options)
        fitted = time.perf_counter()
        found = predict(None if k % REFIT == 0 else history, ahead)
        predict_s += time.perf_counter() - fitted
        fit_s += fitted - start
        parts.append(found.with_columns(pl.col("step") + k * task.prediction_length))
    peak = peak_mb()
    forecasts = pl.concat(parts, how="diagonal_relaxed")
    scores = {"scores": score(task, forecasts)}
    if task.origins > 1:
        scores["last_origin"] = score(task.last(), forecasts)
    return {
        **{key: {n: round(v, 6) for n, v in values.items()} for key, values in scores.items()},
        "fit_s": round(fit_s, 3),
        "predict_s": round(predict_s, 3),
        "peak_mb": peak,
    }


def memory(series: int, rows: int, options: dict[str, Any]) -> dict[str, Any]:
    """Fit and forecast a generated table of many series; to be called in a process of its own.

    Each is a level, a season of twelve and noise, all drawn anew; times are integers.
    """
    PEERS["gatewise"].load()
    rng = np.random.default_rng(0)
    season = np.sin(np.arange(rows) * (2 * np.pi / 12))
    level, height = rng.lognormal(5, 1, (series, 1)), rng.uniform(0, 0.3, (series, 1))
    y = level * (1 + height * season + 0.1 * rng.standard_normal((series, rows)))
    table = pl.DataFrame(
        {
            "unique_id": np.repeat(np.arange(series, dtype=np.int32), rows),
            "ds": np.tile(np.arange(rows, dtype=np.int32), series),
            "y": y.ravel(),
        }
    )
    del y
    before = peak_mb()
    task = Task("generated", table, table.clear(), prediction_length=12, season_length=12)
    start = time.perf_counter()
    predict = PEERS["gatewise"].fit(task, table, options)
    fitted = time.perf_counter()
    made = predict(None, None)
    return {
        "series": series,
        "rows": rows,
        "options": options,
        "forecasts": len(made),
        "fit_s": round(fitted - start, 1),
        "predict_s": round(time.perf_counter() - fitted, 1),
        "table_mb": round(table.estimated_size("mb")),
        "before_mb": before,
        "peak_mb": peak_mb(),
    }


def peak_mb() -> int:
    """Return the most memory that this process has held, in MB.

    Linux counts what the parent held before the exec in `ru_maxrss`; its VmHWM does not.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return round(int(line.split()[1]) / 1024)
    import resource  # not on Windows

    unit = 1024**2 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)


def _told(function: Callable[..., dict[str, Any]], arguments: tuple[Any, ...]) -> dict[str, Any]:
    """Call, and tell what goes wrong as a value: not every exception travels between processes."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    try:
        return function(*arguments)
    except ImportError as error:
        return {"missing": str(error)}
    except Exception as error:  # whatever a peer raises is told to the parent
        return {"fault": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
