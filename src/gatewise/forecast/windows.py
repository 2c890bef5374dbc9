"""Windows: what the network reads at an origin, scaled from the window's own past only.

A window is a series and an `end`, the row after its last known one: it reads the rows
end - T <= row < end (T = context_length) and forecasts end <= row < end + h
(h = prediction_length). Training, backtest, forecast and the leak checks all come through
`assemble`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gatewise.forecast.features import Encoded
from gatewise.forecast.panel import Array

Single = NDArray[np.float32]

MIN_CONTEXT: Final = 4
"""Rows that a series must have before a window of it is worth training on."""

_CLIP: Final = 8.0
"""Inputs beyond this many window-sigmas are cut off: one outlier must not saturate the gates."""

_FLOOR: Final = 1e-3
"""Smallest scale of a window, as a share of the mean size of the values in it."""


@dataclass(frozen=True, eq=False)
class Windows:
    """B windows as arrays. T context rows, h horizon, F features, G future features, D static.

    Attributes:
        context: [T, B, F] float32: values, then observed flags, then calendar features.
        ahead: [B, h, G] float32: per known-future driver its value, running sum / sqrt(k) and
            observed flag; then calendar features.
        static: [B, D] float32.
        base: [B] working scale: where the forecast starts.
        spread: [B, h] working scale per unit of the network's output.
        labels: [B, h] float32 in units of spread; 0 where not to be learnt from.
        weights: [B, h] float32: 1 where the label counts.
    """

    context: Single
    ahead: Single
    static: Single
    base: Array
    spread: Array
    labels: Single
    weights: Single

    def __len__(self) -> int:
        return len(self.base)


def context_rows(ends: NDArray[np.intp], context_length: int) -> NDArray[np.intp]:
    """[B, T] rows that the windows read: the T rows before each end.

    >>> context_rows(np.array([5]), 3)
    array([[2, 3, 4]])
    """
    return ends[:, None] - context_length + np.arange(context_length)


def window_statistics(
    inputs: Array, rows: NDArray[np.intp], inside: NDArray[np.bool_], centred: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Location and scale of each column of each window, from the rows of its context alone.

    Changes keep location 0 and scale by their root mean square; levels are centred on their mean
    and scale by their standard deviation.

    Args:
        inputs: [N, C] all rows.
        rows: [B, T] the context.
        inside: [B, T] False where the context reaches back before the series begins.
        centred: [C] whether the column is centred.

    Returns:
        [B, C] location and [B, C] scale; the scale is positive, also if the window is constant.

    >>> inputs, rows = np.array([[1.0], [3.0], [99.0]]), np.array([[0, 1]])
    >>> window_statistics(inputs, rows, rows >= 0, np.array([True]))
    (array([[2.]]), array([[1.]]))
    """
    values = inputs[np.maximum(rows, 0)]
    seen = inside[:, :, None] & ~np.isnan(values)
    values = np.where(seen, values, 0.0)
    count = np.maximum(seen.sum(1), 1)
    location = np.where(centred, values.sum(1) / count, 0.0)
    deviation = np.where(seen, values - location[:, None], 0.0)
    size = np.abs(values).sum(1) / count
    scale = np.sqrt((deviation**2).sum(1) / count)
    floor = _FLOOR * np.where(centred, size, 0.0)
    scale = np.maximum(scale, np.maximum(floor, 1e-12))
    return location, np.where((scale <= 1e-12) | (seen.sum(1) == 0), 1.0, scale)


def assemble(
    rows_of: Encoded,
    series: NDArray[np.intp],
    ends: NDArray[np.intp],
    context_length: int,
    prediction_length: int,
    *,
    limits: NDArray[np.intp] | None = None,
) -> Windows:
    """Build windows.

    Args:
        rows_of: the encoded panel.
        series: [B] which series.
        ends: [B] row after the last known one, counted within the series.
        context_length: T.
        prediction_length: h.
        limits: [B] labels at or after this row (within the series) are not learnt from;
            default the series' end.
    """
    first, stop = rows_of.first[series], rows_of.stop[series]
    ends = ends + first
    limits = stop if limits is None else np.minimum(limits + first, stop)
    rows = context_rows(ends, context_length)
    inside = (rows >= first[:, None]) & (rows < stop[:, None])
    rows = np.clip(rows, 0, len(rows_of.working) - 1)
    location, scale = window_statistics(rows_of.inputs, rows, inside, rows_of.centred)

    values, flags = _scaled(rows_of.inputs[rows], inside, location, scale)
    phases = np.where(inside[:, :, None], rows_of.phases[rows], 0.0)
    context = np.concatenate([values, flags, phases], axis=2)

    k = np.arange(1, prediction_length + 1)
    horizon = ends[:, None] + k - 1
    exists = horizon < stop[:, None]
    horizon = np.minimum(horizon, len(rows_of.working) - 1)
    ahead = rows_of.phases[horizon] * exists[:, :, None]
    if rows_of.future:
        known = slice(-rows_of.future, None)
        value, flag = _scaled(
            rows_of.inputs[horizon][:, :, known], exists, location[:, known], scale[:, known]
        )
        running = np.cumsum(value, axis=1) / np.sqrt(k)[:, None]
        ahead = np.concatenate([value, running, flag, ahead], axis=2)

    if rows_of.centred[0]:
        base, spread = location[:, 0], np.repeat(scale[:, :1], prediction_length, axis=1)
    else:
        base, spread = rows_of.last[rows[:, -1]], scale[:, :1] * np.sqrt(k)
    actual = np.where(horizon < limits[:, None], rows_of.working[horizon], np.nan)
    labels = (actual - base[:, None]) / spread
    counts = np.isfinite(labels) & exists
    return Windows(
        np.ascontiguousarray(context.transpose(1, 0, 2), dtype=np.float32),
        ahead.astype(np.float32),
        rows_of.static[series].astype(np.float32),
        base,
        spread,
        np.where(counts, np.clip(labels, -30, 30), 0.0).astype(np.float32),
        counts.astype(np.float32),
    )


def _scaled(
    values: Array, inside: NDArray[np.bool_], location: Array, scale: Array
) -> tuple[Array, Array]:
    """Scaled values with 0 for what is missing, and the flags that tell which was observed."""
    seen = inside[:, :, None] & ~np.isnan(values)
    scaled = (np.where(seen, values, 0.0) - location[:, None]) / scale[:, None]
    return np.where(seen, np.clip(scaled, -_CLIP, _CLIP), 0.0), seen.astype(np.float64)


@dataclass(frozen=True, eq=False)
class Split:
    """Training and validation windows of an encoded panel: series, ends and label limits, [B]."""

    train: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]
    validation: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]


def split(rows_of: Encoded, prediction_length: int) -> Split:
    """Split windows so that no training label lies in a validation label's row or after it.

    Validation labels lie in the last rows of each series: the horizon, or 15 % of a long series.
    A series too short for both gives training windows only. Rows after the last observed target
    hold no label, so they count for neither.
    """
    h = prediction_length
    train: list[NDArray[np.intp]] = []
    validation: list[NDArray[np.intp]] = []
    for s, (first, stop) in enumerate(zip(rows_of.first, rows_of.stop, strict=True)):
        seen = np.flatnonzero(np.isfinite(rows_of.working[first:stop]))
        n = seen[-1] + 1 if len(seen) else 0
        held = max(h, round(0.15 * n)) if n >= MIN_CONTEXT + 2 * h else 0
        limit = n - held
        ends = np.arange(MIN_CONTEXT, limit)
        train.append(np.stack([np.full_like(ends, s), ends, np.full_like(ends, limit)]))
        if held:
            ends = np.arange(limit, n - h + 1)
            validation.append(np.stack([np.full_like(ends, s), ends, np.full_like(ends, n)]))
    empty = np.empty((3, 0), dtype=np.intp)
    learnt, checked = (np.concatenate([empty, *part], axis=1) for part in (train, validation))
    return Split((learnt[0], learnt[1], learnt[2]), (checked[0], checked[1], checked[2]))
