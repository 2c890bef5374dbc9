"""Gross outliers: a value far outside of all others, once. They are cut, so that the rest shows.

A typing error of 1e6 in sales of 100 hides a season: it is most of any mean and of any variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.ndimage import median_filter

from gatewise.forecast.data.panel import Array

if TYPE_CHECKING:
    from jaxtyping import Float

_GROSS: Final = 20.0
"""Median distances from the running median beyond which a value may be a gross outlier: 13 standard
deviations, if values were normal."""

_ERROR: Final = 100.0
"""So many times farther out than usual, a value is an error of the data."""

_WIDEST: Final = 25
"""Rows of the running median, at most."""


def cut_outliers(
    windows: Float[Array, "n L"], season_length: int, *, last: bool = False
) -> Float[Array, "n L"]:
    """Put the running median in the place of gross outliers.

    A Hampel filter (Hampel 1974; Pearson 2002) that spares seasons: what comes back every season, a
    December, is usual. So a value is cut beyond 20 times the median distance, or twice what one row
    in two seasons exceeds, if that is more. Levels that change and stay are not outliers: the
    running median goes along.

    Args:
        windows: [n, L] values, oldest first, without gaps.
        season_length: rows per season; 1 without one.
        last: whether to cut any outlier in the last row. Default False: it may be a level that
            stays, unless it is so far out that it can only be an error (see `find_usual`).

    Returns:
        [n, L]; the same array if there is nothing to cut.

    >>> y = np.tile([1.0, 2.0, 3.0, 2.0], 6)[None]
    >>> y[0, 9] = 1e6
    >>> float(cut_outliers(y, 4).max())
    3.0
    """
    L = windows.shape[1]
    if L < 5:
        return windows
    change = np.abs(np.diff(windows, axis=1))
    usual = np.median(change, axis=1)
    doubtful = np.flatnonzero((usual > 0) & (change.max(1) > _GROSS * usual))
    if not len(doubtful):
        return windows
    rows = min(season_length + 1 - season_length % 2, _WIDEST) if season_length > 4 else 5
    given = windows[doubtful]
    centre = median_filter(given, size=(1, rows), mode="mirror" if last else "nearest")
    away, rare = np.abs(given - centre), _rare(season_length)
    reach = np.maximum(_GROSS * np.median(away, axis=1), 2 * np.quantile(away, rare, axis=1))
    made = windows.copy()
    if not last:
        middle = np.median(given, axis=1, keepdims=True)
        usual = np.quantile(np.abs(given - middle), rare, axis=1)
        error = np.abs(given[:, -1] - middle[:, 0]) > _ERROR * usual
        centre[error, -1] = np.median(given[error, -rows:], axis=1)
        away = np.abs(given - centre)
    made[doubtful] = np.where(away > reach[:, None], centre, given)
    return made


@dataclass(frozen=True, slots=True)
class Usual:
    """Where the values of a column lie; what is outside is an error of the data.

    Attributes:
        low, high: the bounds.
    """

    low: float
    high: float

    def only(self, values: Float[Array, " n"]) -> Float[Array, " n"]:
        """The values of a series, NaN for those outside.

        A series of which most values are outside is on another level, and stays as it is.

        >>> usual = Usual(0.0, 9.0)
        >>> usual.only(np.array([1.0, 2.0, 1e6])), usual.only(np.array([50.0, 51.0]))
        (array([ 1.,  2., nan]), array([50., 51.]))
        """
        outside = (values < self.low) | (values > self.high)
        if not outside.any() or 2 * outside.sum() > np.isfinite(values).sum():
            return values
        return np.where(outside, np.nan, values)


def find_usual(columns: Sequence[Array], season_length: int) -> Usual | None:
    """Find the bounds of a column, given its values in each series; None if none is outside.

    Those of a series are 100 times as far from its median as one row in two seasons is: spikes that
    happen, of prices say, are inside. Series may lie far apart: the bounds hold those of each.

    >>> y = np.append(np.tile([1.0, 2.0, 3.0], 20), 1e6)
    >>> find_usual([y], 3), find_usual([y[:-1]], 3), find_usual([y[:-1], 1e6 + y[:-1]], 3)
    (Usual(low=-98.0, high=102.0), None, None)
    """
    low, high = np.inf, -np.inf
    for column in columns:
        values = column[~np.isnan(column)]
        if not len(values):
            continue
        centre = float(np.median(values))
        distances = np.abs(values - centre)
        reach = _ERROR * float(np.quantile(distances, _rare(season_length)))
        if len(values) < 5 or reach <= 0:  # too few to tell, or most of them the same
            reach = float(distances.max())
        low, high = min(low, centre - reach), max(high, centre + reach)
    usual = Usual(low, high)
    return usual if any((usual.only(column) is not column) for column in columns) else None


def without_errors(missed: Array) -> Array:
    """What forecasts missed by, NaN where that is 100 times what all but a twentieth are below.

    Those are errors of the data. A series that mostly stands still and jumps at times keeps its
    jumps.

    >>> without_errors(np.append(np.tile([1.0, -2.0], 20), 1e6))[-3:]
    array([ 1., -2., nan])
    """
    sizes = np.abs(missed[np.isfinite(missed)])
    usual = float(np.quantile(sizes, 0.95)) if len(sizes) else 0.0
    return np.where(np.abs(missed) > _ERROR * usual, np.nan, missed) if usual > 0 else missed


def _rare(season_length: int) -> float:
    """Share of rows that are no farther out than one row in two seasons is."""
    return 1 - 1 / (2 * max(season_length, 4))


def capped(sizes: Float[Array, "n L"]) -> Float[Array, "n L"]:
    """Sizes, none of them above 20 times the median of its row; rows of median 0 stay.

    >>> capped(np.array([[1.0, 2.0, 3.0, 1e6], [0.0, 0.0, 0.0, 5.0]])).tolist()
    [[1.0, 2.0, 3.0, 50.0], [0.0, 0.0, 0.0, 5.0]]
    """
    if not sizes.shape[1]:
        return sizes
    middle = np.median(sizes, axis=1, keepdims=True)
    return np.where(middle > 0, np.minimum(sizes, _GROSS * middle), sizes)
