"""Series whose truth is known: random walks, autoregressions, planted drivers."""

import numpy as np
import polars as pl


def table(y, **drivers):
    return pl.DataFrame({"ds": np.arange(len(y)), "y": y, **drivers})


def random_walk(seed, rows=None):
    """No change can be forecast; prices for even seeds, plain sums for odd ones."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(size=rows or int(rng.integers(300, 501))))
    return table(np.exp(4 + walk / 100) if seed % 2 == 0 else walk)


def planted(seed, rows=None, share=0.3):
    """A price driven by yesterday's `up` (positively) and `down`; `noise` does nothing."""
    rng = np.random.default_rng(1000 + seed)
    n = rows or int(rng.integers(600, 1001))
    up, down, noise = rng.normal(size=(3, n))
    signal = np.concatenate([[0.0], (up - down)[:-1]]) / np.sqrt(2)
    change = np.sqrt(share) * signal + np.sqrt(1 - share) * rng.normal(size=n)
    levels = [100 + np.cumsum(x) for x in (up, down, noise)]
    return table(np.exp(4 + np.cumsum(change) / 100), up=levels[0], down=levels[1], noise=levels[2])


def threshold(seed, rows=700):
    """Tomorrow's change has the sign of a product of two drivers: no linear model sees it."""
    rng = np.random.default_rng(2000 + seed)
    a, b = rng.normal(size=(2, rows))
    change = 1.5 * np.sign(np.concatenate([[0.0], (a * b)[:-1]])) + 0.5 * rng.normal(size=rows)
    return table(np.cumsum(change), a=a, b=b)


def autoregression(seed, rows=400, phi=0.7):
    """Changes that follow the last one."""
    rng = np.random.default_rng(3000 + seed)
    change = np.zeros(rows)
    for t in range(1, rows):
        change[t] = phi * change[t - 1] + rng.normal()
    return table(np.cumsum(change))


def stationary(seed, rows=5000, phi=0.3):
    """A first-order autoregression: linear is the truth, the mean is hard to beat."""
    rng = np.random.default_rng(7000 + seed)
    y = rng.normal(size=rows + 100)
    for t in range(1, len(y)):
        y[t] += phi * y[t - 1]
    return table(y[100:])


def hourly_prices(seed, days=70):
    """Prices with spikes; a load with a daily cycle raises them, a wind lowers them."""
    rng = np.random.default_rng(4000 + seed)
    t = np.arange(24 * days)
    slow = np.repeat(rng.normal(size=(2, days)), 24, axis=1)
    load = 50 + 6 * np.sin(2 * np.pi * t / 24) + 4 * slow[0] + rng.normal(size=len(t))
    wind = 20 + 5 * slow[1] + rng.normal(size=len(t))
    price = 40 + 1.5 * (load - 50) - 0.5 * (wind - 20) + 1.5 * rng.normal(size=len(t))
    price[rng.integers(0, len(t), 6)] += 80
    time = np.datetime64("2024-01-01", "us") + t * np.timedelta64(1, "h")
    return pl.DataFrame({"ds": time, "y": price, "load": load, "wind": wind})
