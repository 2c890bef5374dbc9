"""The forecasts that usually win: every backtest stands beside them.

All work on the working scale of the target. Each reads every row before its origin; what has to be
searched or fitted (the form of AutoETS, the weights of the linear one) is fitted as often as the
network is. AutoETS comes from statsforecast (Nixtla); the linear one is ordinary least squares per
step; the others are closed formulas (Hyndman & Athanasopoulos 2021, section 5.5).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from gatewise.errors import MissingExtraError
from gatewise.forecast.data.panel import Array, forward_fill

LAST_VALUE: Final = "last value"
MEAN: Final = "mean"
DRIFT: Final = "drift"
SEASONAL: Final = "seasonal naive"
ETS: Final = "AutoETS"
LINEAR: Final = "linear"

_CONE_ROWS: Final = 250
"""Rows whose changes make the historical volatility, a trading year."""

_ETS_ROWS: Final = 400
"""AutoETS is fitted to the last rows only: its search takes seconds on thousands, and changes
little."""

_ETS_SEASON: Final = 24
"""Longer seasons are left out of AutoETS: it takes half a minute for one of a week of hours."""

_ETS_LEAST: Final = 16
"""AutoETS refuses shorter histories; there the last value stands in."""

_LINEAR_ROWS: Final = 3000


def naive_names(unit: str) -> tuple[str, str]:
    """The two forecasts that know nothing, of which skill must beat both.

    For a target in changes: no change, and the mean change. For a stationary one: the last value,
    which is poor where values revert to their mean, and that mean.

    Args:
        unit: transform whose working scale is forecast.

    >>> naive_names("none"), naive_names("log-return")
    (('last value', 'mean'), ('last value', 'drift'))
    """
    return (LAST_VALUE, MEAN if unit == "none" else DRIFT)


def univariate(
    history: Array,
    cuts: Sequence[int],
    prediction_length: int,
    season: int,
    probabilities: Sequence[float],
    *,
    centred: bool = False,
) -> dict[str, Array]:
    """Forecast one series from its own past, from several origins after one fit.

    The intervals of the last value are the historical-volatility cone: the root mean square of
    the latest 250 changes times √k.

    Args:
        history: [n] working values; NaN are filled forward.
        cuts: [F] rows known at each origin, ascending; AutoETS is fitted at the first.
        prediction_length: h.
        season: rows per season, 1 without one.
        probabilities: quantiles to return, ascending and symmetric around 0.5.
        centred: whether the target is forecast as it is, not as a change: adds the mean.

    Returns:
        name -> [F, h, Q] quantiles on the working scale.

    >>> made = univariate(np.arange(20.0), [20], 2, 1, (0.1, 0.5, 0.9))
    >>> made["last value"][0, :, 1].tolist(), made["drift"][0, :, 1].tolist()
    ([19.0, 19.0], [20.0, 21.0])
    """
    filled = forward_fill(history)
    first = int(np.isnan(filled).sum())  # only leading ones are left
    y = filled[first:]
    known = [cut - first for cut in cuts]
    k, z = np.arange(1, prediction_length + 1), norm.ppf(probabilities)
    made: dict[str, list[Array]] = {}
    for n in known:
        for name, (point, spread) in _closed_forms(y[:n], k, season, centred).items():
            made.setdefault(name, []).append(point[:, None] + spread[:, None] * z)
    seasonal = season if 1 < season <= min(known[0] // 3, _ETS_SEASON) else 1
    quantiles = {name: np.array(values) for name, values in made.items()}
    return quantiles | {ETS: _ets(y, known, prediction_length, seasonal, probabilities)}


def _closed_forms(
    y: Array, k: NDArray[np.int_], season: int, centred: bool
) -> dict[str, tuple[Array, Array]]:
    """Point and standard deviation at each step k, both [h]."""
    n, last = len(y), y[-1]
    change = np.diff(y)
    recent = change[-_CONE_ROWS:]
    cone = np.sqrt(np.mean(recent**2)) if len(recent) else 0.0
    made = {LAST_VALUE: (np.full(len(k), last), cone * np.sqrt(k))}
    if centred:
        spread = y.std(ddof=1) if n > 1 else 0.0
        made[MEAN] = (np.full(len(k), y.mean()), np.full(len(k), spread * np.sqrt(1 + 1 / n)))
    slope = (last - y[0]) / (n - 1) if n > 1 else 0.0
    spread = change.std(ddof=1) if n > 2 else cone
    made[DRIFT] = (last + slope * k, spread * np.sqrt(k * (1 + k / max(n - 1, 1))))
    if season > 1:
        made[SEASONAL] = made[LAST_VALUE]  # too short for a season: every row needs a forecast
        if 3 * season <= n:
            point = y[n - season + (k - 1) % season]
            spread = np.sqrt(np.mean((y[season:] - y[:-season]) ** 2))
            made[SEASONAL] = (point, spread * np.sqrt((k - 1) // season + 1))
    return made


def _ets(
    y: Array, known: Sequence[int], h: int, season: int, probabilities: Sequence[float]
) -> Array:
    """[F, h, Q]: form and parameters found at the first origin, the states run on from there."""
    try:
        from statsforecast import models
    except ImportError:
        raise MissingExtraError("A backtest", "forecast") from None
    start, first = max(known[0] - _ETS_ROWS, 0), known[0]
    levels: list[Any] = sorted(_level(p) for p in probabilities if p < 0.5)
    quantiles = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of constant or very short histories
        model = models.AutoETS(season_length=season) if first >= _ETS_LEAST else models.Naive()
        model.fit(y[start:first])
        for n in known:
            if n > first and y[first:n].min() <= 0 < y[start:first].min():
                model.fit(y[start:n])  # a multiplicative form does not hold any longer
                first = n
            seen = y[start:n]
            ahead = model.predict(h, level=levels) if n == first else None
            quantiles.append(_columns(ahead or model.forward(seen, h, level=levels), probabilities))
    return np.array(quantiles)


def linear(
    inputs: Array,
    working: Array,
    ends: Sequence[int],
    *,
    prediction_length: int,
    centred: bool,
    future: int,
    season: int,
    probabilities: Sequence[float],
) -> Array:
    """Least squares per step on lags of the target and the drivers, and known-future drivers.

    Args:
        inputs: [n, C] rows of one series: target first, known-future drivers last.
        working: [n] the target on its working scale.
        ends: [F] rows known at each origin, ascending. The weights are fitted to labels before the
            first; of the rows after an origin only the known-future drivers are read.
        prediction_length: h.
        centred: whether the target is forecast as it is, not as a change.
        future: number of known-future columns.
        season: rows per season; its lags are used.
        probabilities: quantiles to return.

    Returns:
        [F, h, Q] quantiles on the working scale; the spread is that of the residuals.
    """
    x, last, fitted = np.nan_to_num(inputs), forward_fill(working), ends[0]
    ahead = x[:, x.shape[1] - future :]
    lags = min(max(3, season + 1), 25, max(fitted - 1, 1))
    first = max(lags, fitted - _LINEAR_ROWS)
    # Row r of the design describes an origin: what was known before it. The last F are forecast.
    origins = np.concatenate([np.arange(first, fitted), ends])
    count = len(origins) - len(ends)
    design = [np.ones(len(origins)), *(x[origins - lag, 0] for lag in range(1, lags + 1))]
    for column in range(1, x.shape[1]):
        design += [x[origins - lag, column] for lag in range(1, min(2, lags) + 1)]
    if centred:
        design.append(np.nan_to_num(last[origins - 1]))
    base = np.column_stack(design)
    start = np.zeros(len(origins)) if centred else last[origins - 1]
    totals = np.vstack([np.zeros(future), np.cumsum(ahead, axis=0)])
    z = norm.ppf(probabilities)
    made = np.empty((len(ends), prediction_length, len(z)))
    for k in range(prediction_length):
        features = base
        row = np.minimum(origins + k, len(x) - 1)
        if future:
            features = np.column_stack([base, ahead[row], totals[row + 1] - totals[origins]])
        learnt = slice(0, max(count - k, 0))  # labels at or after the first origin are not known
        label = (working[row] - start)[learnt]
        usable = np.isfinite(label)
        if usable.sum() <= 2 * features.shape[1]:
            features = features[:, :1]
        fit, rest = features[learnt][usable], label[usable]
        if len(rest) < 2:
            made[:, k] = (np.zeros(len(ends)) if centred else start[count:])[:, None]
            continue
        weights = _least_squares(fit, rest)
        spread = np.sqrt(((rest - fit @ weights) ** 2).sum() / max(len(rest) - fit.shape[1], 1))
        made[:, k] = (start[count:] + features[count:] @ weights)[:, None] + spread * z
    return made


def _least_squares(features: Array, label: Array) -> Array:
    """Least squares from the normal equations of scaled columns: thousands of rows, few columns."""
    size = np.sqrt((features**2).sum(0))
    size = np.where(size > 0, size, 1.0)
    scaled = features / size
    # One product for both sides: that of a matrix and a vector depends on the number of threads.
    both = np.column_stack([scaled, label])
    sums = both.T @ both
    return np.linalg.lstsq(sums[:-1, :-1], sums[:-1, -1], rcond=1e-12)[0] / size


def _columns(made: dict[str, NDArray[Any]], probabilities: Sequence[float]) -> Array:
    columns = []
    for p in probabilities:
        if p == 0.5:
            columns.append(made["mean"])
        else:
            columns.append(made[f"{'lo' if p < 0.5 else 'hi'}-{_level(p)}"])
    quantiles = np.column_stack(columns).astype(np.float64)
    return np.where(np.isfinite(quantiles), quantiles, quantiles[:, [len(columns) // 2]])


def _level(probability: float) -> int | float:
    """The central interval, in percent, that has a quantile as its edge."""
    level = round(abs(100 - 200 * probability), 6)
    return int(level) if level == int(level) else level
