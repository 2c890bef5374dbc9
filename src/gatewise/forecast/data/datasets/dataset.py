"""A table with what is known about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, eq=False)
class Dataset:
    """A table with the roles of its columns; ``f.fit(d.table, **d.columns)`` fits it.

    Attributes:
        name: as given to `load`.
        table: a polars table.
        time, target, series: column names; `series` is None for one series.
        past, future, static: column names.
        description: what it is and where it comes from.
        test: the rows after the table's end that a competition held back, a polars table of the
            same columns; None if there are none.
        ahead: rows after the table's end with the drivers known ahead and no target, for
            ``f.predict(future=d.ahead)``; None without such drivers.
        season_length: rows per season, 1 without one; None leaves it to the calendar.
        prediction_length: rows that are usually forecast; of a competition, those of `test`.
    """

    name: str
    table: Any = field(repr=False)
    time: str
    target: str
    past: tuple[str, ...] = ()
    future: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    series: str | None = None
    description: str = ""
    test: Any = field(default=None, repr=False)
    ahead: Any = field(default=None, repr=False)
    season_length: int | None = None
    prediction_length: int = 18

    @property
    def columns(self) -> dict[str, Any]:
        """The column arguments of `Forecaster.fit` and `backtest`."""
        names = ("time", "target", "series", "past", "future", "static")
        return {name: getattr(self, name) for name in names}
