"""The forecasts that usually win: every backtest stands beside them.

All are fitted on the working scale of the target, at each origin, on the rows before it. Classical
models come from statsforecast (Nixtla); the linear one is ordinary least squares per step.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from gatewise.errors import MissingExtraError
from gatewise.forecast.panel import Array, forward_fill

LAST_VALUE: Final = "last value"
LINEAR: Final = "linear"

_ETS_ROWS: Final = 400
"""AutoETS sees the last rows only: its search costs seconds on thousands, and changes little."""

_ETS_LEAST: Final = 16
"""AutoETS refuses shorter histories; there the last value stands in."""

_LINEAR_ROWS: Final = 3000


def univariate(
    history: Array, prediction_length: int, season: int, probabilities: Sequence[float]
) -> dict[str, Array]:
    """Last value, drift, seasonal naive (with a season) and AutoETS.

    Args:
        history: [n] observed working values up to the origin; NaN are filled forward.
        prediction_length: h.
        season: rows per season, 1 without one.
        probabilities: quantiles to return, ascending and symmetric around 0.5.

    Returns:
        name -> [h, Q] quantiles on the working scale.

    >>> made = univariate(np.arange(20.0), 2, 1, (0.1, 0.5, 0.9))
    >>> made["last value"][:, 1].tolist(), made["drift"][:, 1].tolist()
    ([19.0, 19.0], [20.0, 21.0])
    """
    try:
        from statsforecast import models
    except ImportError:
        raise MissingExtraError("A backtest", "forecast") from None
    y = forward_fill(history)
    y = y[~np.isnan(y)]
    seasonal = season if 1 < season <= len(y) // 3 else 1
    chosen: dict[str, tuple[Any, Array]] = {
        LAST_VALUE: (models.Naive(), y),
        "drift": (models.RandomWalkWithDrift(), y),
    }
    if seasonal > 1:
        chosen["seasonal naive"] = (models.SeasonalNaive(season_length=seasonal), y)
    enough = len(y) >= _ETS_LEAST
    ets = models.AutoETS(season_length=seasonal) if enough else models.Naive()
    chosen["AutoETS"] = (ets, y[-_ETS_ROWS:])
    made = {
        name: _quantiles(model, values, prediction_length, probabilities)
        for name, (model, values) in chosen.items()
    }
    if "seasonal naive" not in made and season > 1:  # too short for a season: every row needs one
        made["seasonal naive"] = made[LAST_VALUE]
    return made


def linear(
    inputs: Array,
    working: Array,
    end: int,
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
        end: rows before this one are known; of later ones only the known-future drivers are read.
        prediction_length: h.
        centred: whether the target is forecast as it is, not as a change.
        future: number of known-future columns.
        season: rows per season; its lags are used.
        probabilities: quantiles to return.

    Returns:
        [h, Q] quantiles on the working scale; the spread is that of the residuals.
    """
    known = np.arange(len(inputs)) < end
    x = np.nan_to_num(inputs)
    ahead = x[:, x.shape[1] - future :]
    x = np.where(known[:, None], x, 0.0)
    last = forward_fill(np.where(known, working, np.nan))
    lags = min(max(3, season + 1), 25, max(end - 1, 1))
    first = max(lags, end - _LINEAR_ROWS)
    origins = np.arange(first, end + 1)
    # Row r of the design describes the origin r: what was known before row r.
    design = [np.ones(len(origins)), *(x[origins - lag, 0] for lag in range(1, lags + 1))]
    for column in range(1, x.shape[1]):
        design += [x[origins - lag, column] for lag in range(1, min(2, lags) + 1)]
    if centred:
        design.append(np.nan_to_num(last[origins - 1]))
    base = np.column_stack(design)
    start = np.zeros(len(origins)) if centred else last[origins - 1]
    totals = np.vstack([np.zeros(future), np.cumsum(ahead, axis=0)])
    z = norm.ppf(probabilities)
    made = np.empty((prediction_length, len(z)))
    for k in range(1, prediction_length + 1):
        features = base
        row = np.minimum(origins + k - 1, len(x) - 1)
        if future:
            features = np.column_stack([base, ahead[row], totals[row + 1] - totals[origins]])
        label = np.where(origins + k - 1 < end, working[row] - start, np.nan)
        usable = np.isfinite(label)
        if usable.sum() <= 2 * features.shape[1]:
            features = features[:, :1]
        fit, rest = features[usable], label[usable]
        if len(rest) < 2:
            made[k - 1] = (0.0 if centred else start[-1]) + np.zeros(len(z))
            continue
        weights = _least_squares(fit, rest)
        spread = np.sqrt(((rest - fit @ weights) ** 2).sum() / max(len(rest) - fit.shape[1], 1))
        made[k - 1] = start[-1] + features[-1] @ weights + spread * z
    return made


def _least_squares(features: Array, label: Array) -> Array:
    """Least squares from the normal equations of scaled columns: thousands of rows, few columns."""
    size = np.sqrt((features**2).sum(0))
    size = np.where(size > 0, size, 1.0)
    scaled = features / size
    return np.linalg.lstsq(scaled.T @ scaled, scaled.T @ label, rcond=1e-12)[0] / size


def _quantiles(model: Any, y: Array, h: int, probabilities: Sequence[float]) -> Array:
    levels = [_level(p) for p in probabilities if p < 0.5]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of constant or very short histories
        made: dict[str, NDArray[Any]] = model.forecast(y, h, level=sorted(levels))
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
