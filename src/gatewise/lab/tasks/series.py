"""Series with a driver: planted, and the returns of real indices; a ramp that goes on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gatewise.lab.tasks.batch import Batch, Loss


@dataclass(frozen=True)
class PlantedDriver:
    """A series that follows its driver a step later, with a correlation that is known.

    y_t = ρ d_{t-1} + √(1 - ρ²) e_t with d and e independent standard normal. Read are d_t and y_t,
    the target is y_{t+1}: the best forecast is ρ d_t, whose R² is ρ². Answering 0 gives 1.

    Args:
        rho: the correlation, in (-1, 1).
        T: the length.
    """

    rho: float = 0.5
    T: int = 40
    inputs: int = 2
    outputs: int = 1
    loss: Loss = "squared"
    trivial: float = 1.0

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw series."""
        d, e = rng.standard_normal((2, self.T + 1, size))
        y = np.sqrt(1 - self.rho**2) * e
        y[1:] += self.rho * d[:-1]
        x = np.stack([d[:-1], y[:-1]], axis=-1).astype(np.float32)
        counts = np.ones((self.T, size), bool)
        return Batch(x, y[1:, :, None].astype(np.float32), counts, np.full(size, self.T))

    def correct(self, output: NDArray[Any], batch: Batch) -> NDArray[np.bool_]:
        """Whether the sequence's R² is positive."""
        return _r2_is_positive(output, batch)


@dataclass(frozen=True)
class IndexReturns:
    """Tomorrow's return of the S&P 500 from its own and a driver's returns up to today.

    Daily log returns of closes, from the arch package, in standard deviations of the learning
    part. With "nasdaq" the years 1999 to 2012 are learnt from and 2013 to 2018 judge; with "vix",
    which begins in 2014, the years to 2016 and 2017 to 2018. Answering 0 is the random walk.

    Args:
        driver: which other index.
        part: "train" or "test".
        T: days that are read at a time.
    """

    driver: Literal["nasdaq", "vix"] = "nasdaq"
    part: Literal["train", "test"] = "train"
    T: int = 40
    inputs: int = 2
    outputs: int = 1
    loss: Loss = "squared"

    @property
    def trivial(self) -> float:
        """Mean square of the returns."""
        return float((self.returns()[:, 0] ** 2).mean())

    def returns(self) -> NDArray[np.float64]:
        """Return [days, 2]: of the index and the driver, standardised, of this part."""
        train, test = _returns(self.driver)
        return train if self.part == "train" else test

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw pieces of the learning part."""
        starts = rng.integers(len(self.returns()) - self.T, size=size)
        return self._windows(starts)

    def whole(self) -> Batch:
        """Return all days in pieces one after the other, the last days that fill none left out."""
        return self._windows(np.arange(0, len(self.returns()) - self.T, self.T))

    def _windows(self, starts: NDArray[np.int64]) -> Batch:
        values = self.returns()
        at = starts + np.arange(self.T)[:, None]
        x, y = values[at].astype(np.float32), values[at + 1, :1].astype(np.float32)
        size = len(starts)
        return Batch(x, y, np.ones((self.T, size), bool), np.full(size, self.T))

    def correct(self, output: NDArray[Any], batch: Batch) -> NDArray[np.bool_]:
        """Whether the piece's R² is positive."""
        return _r2_is_positive(output, batch)


@cache
def _returns(driver: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    import polars as pl

    from gatewise.forecast.data.datasets import load

    table = load("sp500").table.select("date", "close", driver).drop_nulls()
    dates = table["date"].to_list()[1:]
    moves = np.diff(np.log(table.select("close", driver).cast(pl.Float64).to_numpy()), axis=0)
    last = 2012 if driver == "nasdaq" else 2016
    first_test = sum(date.year <= last for date in dates)
    train, test = moves[:first_test], moves[first_test:]
    mean, scale = train.mean(axis=0), train.std(axis=0)
    return (train - mean) / scale, (test - mean) / scale


@dataclass(frozen=True)
class Ramp:
    """A straight line that goes on: y_t = scale (a + b t / T), and the next value is asked for.

    a is uniform on [-½, ½], b on [½, 1] with either sign, so learnt values lie within 1.5 scales of
    zero. `longer` goes on beyond the T steps that were learnt. Answering with 0 gives about
    scale² / 4.

    Args:
        scale: of input and target.
        T: steps that are learnt.
        longer: steps beyond them.
    """

    scale: float = 1.0
    T: int = 30
    longer: int = 0
    inputs: int = 1
    outputs: int = 1
    loss: Loss = "squared"

    @property
    def trivial(self) -> float:
        """E y² = scale² (1/12 + 7/12 · E s²) with s = t / T."""
        s = np.arange(1, self.T + self.longer + 1) / self.T
        return float(self.scale**2 * (1 / 12 + 7 / 12 * (s**2).mean()))

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw lines."""
        T = self.T + self.longer
        a, b = rng.uniform(-0.5, 0.5, size), rng.uniform(0.5, 1, size) * rng.choice([-1, 1], size)
        y = self.scale * (a + b * np.arange(T + 1)[:, None] / self.T)
        lines = y[..., None].astype(np.float32)
        return Batch(lines[:-1], lines[1:], np.ones((T, size), bool), np.full(size, T))

    def correct(self, output: NDArray[Any], batch: Batch) -> NDArray[np.bool_]:
        """Whether the last value is within 10 % of the scale."""
        error = np.abs(output[-1, :, 0] - batch.target[-1, :, 0])
        return np.asarray(error < 0.1 * self.scale)


def _r2_is_positive(output: NDArray[Any], batch: Batch) -> NDArray[np.bool_]:
    error = ((output - batch.target) ** 2).sum(axis=(0, 2))
    return np.asarray(error < (batch.target**2).sum(axis=(0, 2)))
