"""What is fitted, what is held out, and where the origins lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from gatewise.forecast import datasets

COMPETITIONS: Final = (
    "m3-monthly", "m3-quarterly", "m3-yearly", "tourism-monthly", "tourism-quarterly", "m1-monthly",
)  # fmt: skip
GENERAL: Final = (
    "us-employment", "aus-retail", "aus-arrivals", "us-gasoline", "pedestrian", "vic-electricity",
    "bank-calls",
)  # fmt: skip
DEVELOPMENT: Final = ("pedestrian", "vic-electricity", "bank-calls")
"""General sets on whose rows the week beside the day was tried: no test of it."""

DRIVERS: Final = ("nordpool", "epf-fr", "epf-be")

PARTS: Final = {"competitions": COMPETITIONS, "general": GENERAL, "drivers": DRIVERS}

DAYS: Final = 28
"""Daily origins of the sets with drivers."""

REFIT: Final = 7
"""A forecaster is fitted anew at every so many origins."""

FEW_SERIES: Final = 4
HELD_OUT: Final = 0.1
"""A general set of so few series has up to `REFIT` origins, if this share of the rows has room for
them: one horizon of one series says little."""

EARLIER: Final = (1, 2)
"""Windows before the official one, in horizons, in which the intervals are looked at, too."""

ROWS: Final = 5000
"""Rows kept of each series of the general sets, for everyone: the classical peers take minutes."""


@dataclass(frozen=True, eq=False)
class Task:
    """A set as every peer gets it.

    Attributes:
        name: of the data set.
        train: unique_id, ds, y and the drivers known ahead, up to the first origin.
        test: the rows after it with their `step`: 1, 2, ... within each series.
        prediction_length: rows forecast from an origin.
        season_length: rows per season; of MASE and of the peers too.
        future: names of the drivers known ahead.
        origins: how many, each a prediction_length after the one before.
    """

    name: str
    train: pl.DataFrame
    test: pl.DataFrame
    prediction_length: int
    season_length: int
    future: tuple[str, ...] = ()
    origins: int = 1

    def windows(self) -> Iterator[tuple[pl.DataFrame, pl.DataFrame | None]]:
        """Yield, origin by origin, all rows before it, and the drivers of the rows after it."""
        step, h = pl.col("step"), self.prediction_length
        for k in range(self.origins):
            seen = self.test.filter(step <= k * h).drop("step")
            rows = self.test.filter((step > k * h) & (step <= (k + 1) * h))
            ahead = rows.select("unique_id", "ds", *self.future) if self.future else None
            yield (pl.concat([self.train, seen]) if k else self.train), ahead

    def before(self, horizons: int) -> Task:
        """The window so many horizons before the official one, held out of the training part.

        Of series that keep more than two seasons and a row, and six rows; from one origin.
        """
        if not horizons:
            return self
        left = pl.len().over("unique_id") - pl.int_range(pl.len()).over("unique_id")
        h, least = self.prediction_length, max(2 * self.season_length + 1, 6)
        long = pl.len().over("unique_id") > horizons * h + least
        kept = self.train.filter(long).with_columns(left=left)
        train = kept.filter(pl.col("left") > horizons * h).drop("left")
        test = kept.filter(pl.col("left").is_between((horizons - 1) * h + 1, horizons * h))
        step = pl.int_range(1, pl.len() + 1).over("unique_id")
        test = test.drop("left").with_columns(step=step)
        return replace(self, train=train, test=test, origins=1)

    def last(self) -> Task:
        """The same with the rows after the last origin alone, for their scores."""
        begin = (self.origins - 1) * self.prediction_length
        return replace(self, test=self.test.filter(pl.col("step") > begin))

    def few(self, series: int | None, origins: int | None) -> Task:
        """So many series, evenly spaced, and the first origins: for quick looks."""
        made = self
        if series is not None:
            names = self.train["unique_id"].unique(maintain_order=True)
            kept = names.gather_every(max(len(names) // series, 1)).head(series).to_list()
            of_kept = pl.col("unique_id").is_in(kept)
            made = replace(made, train=self.train.filter(of_kept), test=self.test.filter(of_kept))
        if origins is not None and origins < self.origins:
            rows = made.test.filter(pl.col("step") <= origins * self.prediction_length)
            made = replace(made, test=rows, origins=origins)
        return made


def load(name: str) -> Task:
    """Return a set of `PARTS`.

    A competition's test part is the official one. Of a general set, the last rows of each series
    are held out, more of them if it has few series; of one with drivers, the last `DAYS` days.
    """
    data = datasets.load(name)
    one = pl.lit(name).alias("unique_id")
    series = pl.col(data.series).alias("unique_id") if data.series else one
    columns = [series, pl.col(data.time).alias("ds"), pl.col(data.target).alias("y"), *data.future]
    table, h, origins = data.table.select(columns), data.prediction_length, 1
    if data.test is not None:
        train, test = table, data.test.select(columns)
    else:
        rows = pl.len().over("unique_id") - pl.int_range(pl.len()).over("unique_id")
        kept = table if data.future else table.filter(rows <= ROWS)
        origins = DAYS if data.future else _origins(kept, h)
        held_out = rows <= origins * h
        train, test = kept.filter(~held_out), kept.filter(held_out)
    test = test.with_columns(step=pl.int_range(1, pl.len() + 1).over("unique_id"))
    return Task(name, train, test, h, data.season_length or 1, data.future, origins)


def _origins(table: pl.DataFrame, h: int) -> int:
    """Origins of a general set."""
    rows = table.group_by("unique_id").len()["len"]
    shortest = rows.min()
    if len(rows) > FEW_SERIES or not isinstance(shortest, int):
        return 1
    return min(REFIT, max(1, int(HELD_OUT * shortest / h)))
