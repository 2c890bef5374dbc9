"""Daily closes, from the arch package."""

from __future__ import annotations

from gatewise.errors import MissingExtraError
from gatewise.forecast.data.datasets.dataset import Dataset


def sp500() -> Dataset:
    """Daily closes of the S&P 500 with three drivers known only in the past.

    Raises:
        MissingExtraError: arch or polars is not installed.

    >>> sp500().table.columns
    ['date', 'close', 'nasdaq', 'wti', 'vix']
    """
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
        prediction_length=20,
    )
