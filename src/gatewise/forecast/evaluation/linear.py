"""Least squares on lags and drivers: the baseline that reads what the network reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.stats import norm

from gatewise.forecast.data.panel import Array, forward_fill
from gatewise.forecast.evaluation.baselines import MEAN, BaselineForecast

LINEAR: Final = "linear"
_ROWS: Final = 3000
"""Rows that it is fitted to, at most."""


def linear(
    inputs: Array,
    working: Array,
    ends: Sequence[int],
    *,
    prediction_length: int,
    centred: bool,
    future: int,
    season_length: int,
    probabilities: Sequence[float],
) -> BaselineForecast:
    """Least squares per step on lags of the target and the drivers, and known-future drivers.

    Args:
        inputs: [n, C] rows of one series: target first, known-future drivers last.
        working: [n] the target on its working scale.
        ends: [F] rows known at each origin, ascending. The weights are fitted to labels before the
            first; of the rows after an origin only the known-future drivers are read.
        prediction_length: h.
        centred: whether the target is forecast as it is, not as a change.
        future: number of known-future columns.
        season_length: rows per season; its lags are used.
        probabilities: quantiles to return.

    Returns:
        What was made; the spread is that of the residuals. A history too short for its columns
        leaves the mean, or the mean change.
    """
    x, last, fitted = np.nan_to_num(inputs), forward_fill(working), ends[0]
    ahead = x[:, x.shape[1] - future :]
    lags = min(max(3, season_length + 1), 25, max(fitted - 1, 1))
    first = max(lags, fitted - _ROWS)
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
    made, mean_alone = np.empty((len(ends), prediction_length, len(z))), 0
    for k in range(prediction_length):
        features = base
        row = np.minimum(origins + k, len(x) - 1)
        if future:
            features = np.column_stack([base, ahead[row], totals[row + 1] - totals[origins]])
        learnt = slice(0, max(count - k, 0))  # labels at or after the first origin are not known
        label = (working[row] - start)[learnt]
        usable = np.isfinite(label)
        if usable.sum() <= 2 * features.shape[1]:
            features, mean_alone = features[:, :1], mean_alone + 1
        fit, rest = features[learnt][usable], label[usable]
        if len(rest) < 2:
            made[:, k] = (np.zeros(len(ends)) if centred else start[count:])[:, None]
            continue
        weights = _least_squares(fit, rest)
        spread = np.sqrt(((rest - fit @ weights) ** 2).sum() / max(len(rest) - fit.shape[1], 1))
        made[:, k] = (start[count:] + features[count:] @ weights)[:, None] + spread * z
    by = MEAN if centred else "mean change"
    if mean_alone < prediction_length:
        by = f"{LINEAR}, the {by} for its last steps" if mean_alone else ""
    return BaselineForecast(made, np.full(len(ends), mean_alone > 0), by)


def _least_squares(features: Array, label: Array) -> Array:
    """Least squares from the normal equations of scaled columns: thousands of rows, few columns."""
    size = np.sqrt((features**2).sum(0))
    size = np.where(size > 0, size, 1.0)
    scaled = features / size
    # One product for both sides: that of a matrix and a vector depends on the number of threads.
    both = np.column_stack([scaled, label])
    sums = both.T @ both
    return np.linalg.lstsq(sums[:-1, :-1], sums[:-1, -1], rcond=1e-12)[0] / size
