"""Data that installed packages bring along; none is part of this project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from gatewise.errors import ConfigError, MissingExtraError, nearest


@dataclass(frozen=True, eq=False)
class Dataset:
    """A table with the roles of its columns; ``f.fit(d.table, **d.columns)`` fits it.

    Attributes:
        name: as given to `load`.
        table: a polars table.
        time, target, series: column names; `series` is None for one series.
        past, future, static: column names.
        description: what it is and where it comes from.
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

    @property
    def columns(self) -> dict[str, Any]:
        """The column arguments of `Forecaster.fit` and `backtest`."""
        names = ("time", "target", "series", "past", "future", "static")
        return {name: getattr(self, name) for name in names}


def load(name: str) -> Dataset:
    """Load a data set by name.

    Args:
        name: "sp500": daily closes of the S&P 500, 1999-01-04 to 2018-12-31 (5,031 trading days),
            with the NASDAQ, WTI oil and VIX closes as drivers known only in the past. WTI and VIX
            stay missing where they were not quoted (VIX before 2014).

    Raises:
        ConfigError: there is no such data set.
        MissingExtraError: the package that holds it is not installed.

    >>> load("sp500").table.shape
    (5031, 5)
    """
    if name not in _LOADERS:
        raise ConfigError(f"There is no data set {name!r}. {nearest(name, list(_LOADERS))}")
    return _LOADERS[name]()


def names() -> list[str]:
    """Names that `load` knows."""
    return list(_LOADERS)


def _sp500() -> Dataset:
    try:
        import polars as pl
        from arch.data import nasdaq, sp500, vix, wti
    except ImportError:
        raise MissingExtraError("The S&P 500 data set", "forecast") from None
    rows = sp500.load()[["Close"]].copy()
    rows.columns = ["close"]
    rows["nasdaq"] = nasdaq.load()["Close"]  # aligned on the S&P's trading days
    rows["wti"] = wti.load()["DCOILWTICO"]
    rows["vix"] = vix.load()["vix"]
    columns = {"date": pl.Series(rows.index.to_numpy()).cast(pl.Date)}
    columns |= {c: pl.Series(list(rows[c])).fill_nan(None) for c in rows.columns}
    return Dataset(
        "sp500",
        pl.DataFrame(columns),
        time="date",
        target="close",
        past=("nasdaq", "wti", "vix"),
        description="S&P 500 daily close with NASDAQ, WTI and VIX closes, 1999-2018, "
        "from the arch package",
    )


_LOADERS: Final[dict[str, Callable[[], Dataset]]] = {"sp500": _sp500}
