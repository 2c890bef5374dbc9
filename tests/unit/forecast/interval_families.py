"""Families of simulated series whose future can be drawn from the truth, to judge intervals by.

Of each series not one future is known but `DRAWS` of them, all from its true state at the end of
the history: so the share of them inside an interval is its coverage given that history, and their
quantiles are the oracle's interval. A hundred series then say as much as thousands with one future.

Run `python -m tests.unit.forecast.interval_families FILE` to measure: one line of JSON per series
and model; those that FILE holds are not measured again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gatewise.forecast import Forecaster

HORIZON = 12
DRAWS = 1000
LEVELS = (80, 95)


@dataclass(frozen=True)
class Case:
    """A table and draws of what comes after it.

    Attributes:
        table: columns ds, y and, of a panel, unique_id.
        futures: [S, DRAWS, HORIZON].
    """

    table: pl.DataFrame
    futures: NDArray[np.float64]


def walk(seed: int) -> Case:
    """A random walk of 400 rows: changes are normal with standard deviation 1."""
    rng = np.random.default_rng(seed)
    y = 50 + np.cumsum(rng.normal(size=400))
    return Case(_table(y), (y[-1] + np.cumsum(rng.normal(size=(DRAWS, HORIZON)), axis=1))[None])


def autoregression(seed: int) -> Case:
    """400 rows of a first-order autoregression about 20 with coefficient 0.7."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=500)
    for t in range(1, len(y)):
        y[t] += 0.7 * y[t - 1]
    ahead, last = np.empty((DRAWS, HORIZON)), np.full(DRAWS, y[-1])
    for k in range(HORIZON):
        ahead[:, k] = last = 0.7 * last + rng.normal(size=DRAWS)
    return Case(_table(20 + y[100:]), 20 + ahead[None])


def seasonal(seed: int) -> Case:
    """15 years of months: a fixed season, and noise of standard deviation 2 in every row."""
    rng = np.random.default_rng(seed)
    mean = 100 + 20 * np.sin(2 * np.pi * (np.arange(180 + HORIZON) / 12 + rng.random()))
    ahead = mean[180:] + 2 * rng.normal(size=(DRAWS, HORIZON))
    return Case(_table(mean[:180] + 2 * rng.normal(size=180), months=True), ahead[None])


def garch(seed: int) -> Case:
    """A price of 400 rows whose volatility comes in clusters: GARCH(1, 1) with .1 and .85."""
    rng = np.random.default_rng(seed)
    variance, total, path = 1.0, 0.0, np.empty(400)
    for t in range(-100, 400):
        change = np.sqrt(variance) * rng.normal()
        variance = 0.05 + 0.1 * change**2 + 0.85 * variance
        total += change
        path[max(t, 0)] = total
    ahead, last, spread = (
        np.empty((DRAWS, HORIZON)),
        np.full(DRAWS, total),
        np.full(DRAWS, variance),
    )
    for k in range(HORIZON):
        change = np.sqrt(spread) * rng.normal(size=DRAWS)
        spread = 0.05 + 0.1 * change**2 + 0.85 * spread
        ahead[:, k] = last = last + change
    return Case(_table(100 * np.exp(path / 100)), 100 * np.exp(ahead / 100)[None])


def panel(seed: int) -> Case:
    """24 walks of 120 rows; three quarters of the variance of a change are the same in all."""
    rng = np.random.default_rng(seed)

    def changes(*shape: int) -> NDArray[np.float64]:
        shared = rng.normal(size=(1, *shape)) * np.sqrt(0.75)
        return shared + rng.normal(size=(24, *shape)) * np.sqrt(0.25)

    y = 100 + 10 * rng.normal(size=(24, 1)) + np.cumsum(changes(120), axis=1)
    tables = [_table(v).insert_column(0, pl.lit(f"s{i:02d}").alias("unique_id"))
              for i, v in enumerate(y)]  # fmt: skip
    return Case(pl.concat(tables), y[:, -1:, None] + np.cumsum(changes(DRAWS, HORIZON), axis=2))


FAMILIES: dict[str, Callable[[int], Case]] = {
    "walk": walk,
    "autoregression": autoregression,
    "seasonal": seasonal,
    "garch": garch,
    "panel": panel,
}


def measured(family: str, seed: int, model: str, **options: Any) -> dict[str, Any]:
    """Fit a model to one case of a family and judge its intervals.

    Returns:
        By level: the coverage averaged over the steps, the widths by step over the oracle's (their
        median over the series), whether any width falls from one step to the next.
    """
    case = FAMILIES[family](seed)
    started = time.perf_counter()
    f = Forecaster(HORIZON, LEVELS, model=model, threads=1, **options).fit(case.table)
    made = f.predict()
    found: dict[str, Any] = {"family": family, "model": model, "seed": seed}
    found["seconds"] = round(time.perf_counter() - started, 2)
    for level in LEVELS:
        low, high = (
            made[f"{side}-{level}"].to_numpy().reshape(-1, HORIZON) for side in ("lo", "hi")
        )
        inside = (low[:, None] <= case.futures) & (case.futures <= high[:, None])
        edges = np.quantile(case.futures, [0.5 - level / 200, 0.5 + level / 200], axis=1)
        ratio = (high - low) / (edges[1] - edges[0])
        found[f"coverage-{level}"] = float(inside.mean())
        found[f"ratio-{level}"] = np.median(ratio, axis=0).round(4).tolist()
        found[f"falls-{level}"] = bool((np.diff(high - low, axis=1) < -1e-9 * high[:, 1:]).any())
    return found


def summary(found: Iterable[dict[str, Any]]) -> pl.DataFrame:
    """By family and model: mean coverage, median width over the oracle's, share that falls."""
    rows = []
    for one in found:
        row = {name: one[name] for name in ("family", "model", "seconds")}
        for level in LEVELS:
            row[f"coverage-{level}"] = one[f"coverage-{level}"]
            row[f"width-{level}"] = float(np.median(one[f"ratio-{level}"]))
            row[f"falls-{level}"] = float(one[f"falls-{level}"])
        rows.append(row)
    kinds = [
        pl.col("^width.*$").median(),
        pl.col("^coverage.*$").mean(),
        pl.col("^falls.*$").mean(),
    ]
    return (
        pl.DataFrame(rows)
        .group_by("family", "model", maintain_order=True)
        .agg(pl.len().alias("cases"), *kinds, pl.col("seconds").mean())
    )


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of measurements; none if there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def measure(path: Path, families: Iterable[str], models: Iterable[str], seeds: range) -> None:
    """Append what a file lacks, series by series."""
    done = {(one["family"], one["model"], one["seed"]) for one in read(path)}
    for seed in seeds:
        for family in families:
            for model in models:
                if (family, model, seed) not in done:
                    line = json.dumps(measured(family, seed, model))
                    with path.open("a") as file:
                        file.write(line + "\n")


def _table(y: NDArray[np.float64], months: bool = False) -> pl.DataFrame:
    ds: Any = np.arange(len(y))
    if months:
        ds = np.arange("2000-01", "2060-01", dtype="datetime64[M]")[: len(y)]
        ds = ds.astype("datetime64[us]")
    return pl.DataFrame({"ds": ds, "y": y})


def main() -> None:
    """Measure and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--models", nargs="*", default=["auto", "pretrained"])
    parser.add_argument("--from", dest="start", type=int, default=0)
    parser.add_argument("--count", type=int, default=200)
    given = parser.parse_args()
    measure(given.file, given.families, given.models, range(given.start, given.start + given.count))
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=180):
        print(summary(read(given.file)))


if __name__ == "__main__":
    main()
