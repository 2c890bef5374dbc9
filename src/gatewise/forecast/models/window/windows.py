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

from gatewise.forecast.data.panel import Array
from gatewise.forecast.models.window.encoder import Encoded

Single = NDArray[np.float32]

MIN_CONTEXT: Final = 4
"""Values that a window must hold to be worth training on."""

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
        lagged: [B, h, K] float32: the target and the known-future drivers one season and more
            before each row to forecast, and where the last season stood, in window units.
        base: [B] working scale: where the forecast starts.
        spread: [B, h] working scale per unit of the network's output.
        labels: [B, h] float32, distance from the base in units of spread; 0 where not to be
            learnt from.
        weights: [B, h] float32: 1 where the label counts.
    """

    context: Single
    ahead: Single
    static: Single
    lagged: Single
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
    ends, begin = ends + first, rows_of.begin[series]
    limits = stop if limits is None else np.minimum(limits + first, stop)
    rows = context_rows(ends, context_length)
    inside = (rows >= begin[:, None]) & (rows < stop[:, None])
    rows = np.clip(rows, 0, len(rows_of.working) - 1)
    location, scale = window_statistics(rows_of.inputs, rows, inside, rows_of.centred)

    values, flags = _scaled(rows_of.inputs[rows], inside, location, scale)
    C = values.shape[2]
    context = np.empty((context_length, len(ends), 2 * C + rows_of.phases.shape[1]), np.float32)
    context[:, :, :C] = values.transpose(1, 0, 2)
    context[:, :, C : 2 * C] = flags.transpose(1, 0, 2)
    context[:, :, 2 * C :] = rows_of.phases[rows.T]
    context[~inside.T, 2 * C :] = 0.0

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

    reference = np.where(rows_of.centred, location, rows_of.levels[rows[:, -1]])
    growth = np.where(rows_of.centred, 1.0, np.sqrt(k)[:, None])
    units = scale[:, None] * growth
    if not rows_of.centred[0]:  # the base is older than the last row, if that has no value
        units[:, :, 0] = scale[:, :1] * np.sqrt(k + rows_of.stale[rows[:, -1]][:, None])
    base, spread = reference[:, 0], units[:, :, 0]
    actual = np.where(horizon < limits[:, None], rows_of.working[horizon], np.nan)
    labels = (actual - base[:, None]) / spread
    counts = np.isfinite(labels) & exists
    return Windows(
        context,
        ahead.astype(np.float32),
        rows_of.static[series].astype(np.float32),
        _lagged(rows_of, ends, begin, reference, units).astype(np.float32),
        base,
        spread,
        np.where(counts, np.clip(labels, -30, 30), 0.0).astype(np.float32),
        counts.astype(np.float32),
    )


def reach(seasons: tuple[int, ...], context_length: int) -> int:
    """Rows before its end that a window reads, the lags included.

    >>> reach((24, 168), 96), reach((), 32)
    (169, 32)
    """
    return max([context_length, *(2 * m for m in seasons[:1]), *(m + 1 for m in seasons)])


def _lagged(
    rows_of: Encoded,
    ends: NDArray[np.intp],
    begin: NDArray[np.intp],
    reference: Array,
    units: Array,
) -> Array:
    """[B, h, K] levels of earlier rows, less the reference [B, C], in units [B, h, C].

    Of the target and of each known-future driver: the row a whole number of seasons before the one
    to forecast, for each season; and for the shortest the mean of the last one. Of the target also
    the row one more season back, and the one a season before the last known row. What lies before
    the series begins is 0.
    """
    h, C = units.shape[1:]
    columns = np.array([0, *range(C - rows_of.future, C)])

    def levels(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Array:
        """[B, R, columns] less the reference; 0 where there is none."""
        values = rows_of.levels[np.maximum(rows, 0)][:, :, columns] - reference[:, None, columns]
        return np.where((rows >= begin[:, None])[:, :, None] & ~np.isnan(values), values, 0.0)

    k = np.arange(1, h + 1)
    made: list[tuple[Array, NDArray[np.intp]]] = []
    for m in rows_of.seasons:
        made.append((levels(ends[:, None] + k - 1 - m * -(-k // m), columns), columns))
        made.append((levels(ends[:, None] - 1 - m, columns[:1]), columns[:1]))
    for m in rows_of.seasons[:1]:
        before = ends[:, None] + k - 1 - m * (1 + -(-k // m))
        made.append((levels(before, columns[:1]), columns[:1]))
        last = levels(context_rows(ends, m), columns)
        made.append((last.mean(axis=1, keepdims=True), columns))
    if not made:
        return np.empty((len(ends), h, 0))
    return np.concatenate(
        [np.clip(values / units[:, :, of], -_CLIP, _CLIP) for values, of in made], axis=2
    )


def _scaled(
    values: Array, inside: NDArray[np.bool_], location: Array, scale: Array
) -> tuple[Array, Array]:
    """Scaled values with 0 for what is missing, and the flags that tell which was observed."""
    seen = inside[:, :, None] & ~np.isnan(values)
    scaled = (np.where(seen, values, 0.0) - location[:, None]) / scale[:, None]
    return np.where(seen, np.clip(scaled, -_CLIP, _CLIP), 0.0), seen.astype(np.float64)


Part = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]
"""Windows: their series, ends and label limits, [B]."""


@dataclass(frozen=True, eq=False)
class Split:
    """Training and validation windows of an encoded panel."""

    train: Part
    validation: Part


def split(rows_of: Encoded, prediction_length: int, context_length: int) -> Split:
    """Split windows so that no training label lies in a validation label's row or after it.

    Validation labels lie in the last rows of each series: the horizon, or 15 % of a long series.
    A series too short for both gives training windows only. Rows after the last observed target
    hold no label, so they count for neither; nor does a window of fewer than `MIN_CONTEXT` values,
    for which there is no scale, unless all are such.
    """
    h = prediction_length
    train: list[NDArray[np.intp]] = []
    validation: list[NDArray[np.intp]] = []
    for s, (first, stop) in enumerate(zip(rows_of.first, rows_of.stop, strict=True)):
        known = np.isfinite(rows_of.working[first:stop])
        seen = np.flatnonzero(known)
        n = seen[-1] + 1 if len(seen) else 0
        held = max(h, round(0.15 * n)) if n >= MIN_CONTEXT + 2 * h else 0
        limit = n - held
        begin = rows_of.begin[s] - first
        ends = _with_values(np.arange(begin + MIN_CONTEXT, limit), known, context_length)
        train.append(np.stack([np.full_like(ends, s), ends, np.full_like(ends, limit)]))
        if held:
            ends = _with_values(np.arange(limit, n - h + 1), known, context_length)
            validation.append(np.stack([np.full_like(ends, s), ends, np.full_like(ends, n)]))
    empty = np.empty((3, 0), dtype=np.intp)
    learnt, checked = (np.concatenate([empty, *part], axis=1) for part in (train, validation))
    return Split((learnt[0], learnt[1], learnt[2]), (checked[0], checked[1], checked[2]))


def _with_values(
    ends: NDArray[np.intp], known: NDArray[np.bool_], context_length: int
) -> NDArray[np.intp]:
    """The ends whose context holds `MIN_CONTEXT` values; all if none does."""
    before = np.concatenate([[0], np.cumsum(known)])
    enough = before[ends] - before[np.maximum(ends - context_length, 0)] >= MIN_CONTEXT
    return ends[enough] if enough.any() else ends
