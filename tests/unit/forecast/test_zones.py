"""Times in every zone, against pandas' own calendar of that zone."""

import contextlib
import datetime as dt
import zoneinfo

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from gatewise.errors import TableError
from gatewise.forecast import Forecaster
from gatewise.forecast.data.timestamps import parse, render

ODD = ["America/New_York", "America/Port-au-Prince", "Etc/GMT+5", "Etc/GMT-14", "EST5EDT", "UTC"]
ZONES = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
PARTS = [ZONES[i::12] for i in range(12)]
FIXED = [dt.timezone(dt.timedelta(hours=5, minutes=30)), dt.timezone(-dt.timedelta(hours=3))]


def days(zone, start="2024-02-20 12:00", count=300):
    """Noon of each day, across both changes of the clocks of either hemisphere."""
    naive = pd.date_range(start, periods=count, freq="D")
    return naive.tz_localize(zone)


def tables(times):
    """The same column in each library that can hold it."""
    frame = pd.DataFrame({"t": times})
    yield "pandas", frame
    yield "pyarrow", pa.Table.from_pandas(frame)
    with contextlib.suppress(pl.exceptions.ComputeError):  # some old names are unknown to polars
        yield "polars", pl.from_pandas(frame)


def column_of(table):
    return nw.from_native(table, eager_only=True)["t"]


@pytest.mark.parametrize("zones", PARTS, ids=lambda part: part[0])
def test_a_column_of_any_zone_is_wall_time_and_comes_back(zones):
    for zone in zones:
        times = days(zone)
        for kind, table in tables(times):
            read = parse(column_of(table))
            wall, instant, style = read.wall, read.instant, read.style
            assert style.zone == zone
            np.testing.assert_array_equal(wall, times.tz_localize(None).to_numpy())
            np.testing.assert_array_equal(instant, times.tz_convert("UTC").tz_localize(None))
            again = render(wall, style, "t", kind)
            assert again.to_native().equals(column_of(table).to_native()), (zone, kind)


@pytest.mark.parametrize("zone", [*ODD, *FIXED], ids=str)
def test_forecasts_go_on_in_the_callers_zone(zone):
    times = days(zone, count=60)
    values = 50 + np.cumsum(np.random.default_rng(0).normal(size=60))
    known = pd.DataFrame({"ds": times[:40], "y": values[:40]})
    given = {"pandas": known, "pyarrow": pa.Table.from_pandas(known)}
    if zone in ODD:
        given["polars"] = pl.from_pandas(known)
    f = Forecaster(20, max_epochs=0, ensemble_size=1)
    for kind, table in given.items():
        made = f.fit(table).predict()
        native = made if kind == "pandas" else made.to_pandas()
        found = pd.DatetimeIndex(native["ds"])
        assert (found == times[40:]).all()
        types = [t.schema.field("ds").type if kind == "pyarrow" else t["ds"].dtype
                 for t in (made, table)]  # fmt: skip
        assert types[0] == types[1]


def test_units_of_pandas_come_back():
    for unit in ("s", "ms", "us", "ns"):
        column = pd.DataFrame({"t": days("America/New_York").as_unit(unit)})["t"]
        read = parse(column_of(column.to_frame()))
        wall, style = read.wall, read.style
        assert render(wall, style, "t", "pandas").to_native().dtype == column.dtype


def test_python_s_own_datetimes_keep_their_zone():
    zone = zoneinfo.ZoneInfo("America/New_York")
    values = [dt.datetime(2024, 3, 9 + i, 12, tzinfo=zone) for i in range(3)]
    column = column_of(pd.DataFrame({"t": pd.Series(values, dtype=object)}))
    read = parse(column)
    wall, instant, style = read.wall, read.instant, read.style
    assert style.zone == "America/New_York"
    assert [str(t)[11:13] for t in wall] == ["12", "12", "12"]
    assert [str(t)[11:13] for t in instant] == ["17", "16", "16"]
    mixed = [*values, dt.datetime(2024, 4, 1, tzinfo=dt.UTC)]
    with pytest.raises(TableError, match=r"several zones \(America/New_York, UTC\)"):
        parse(column_of(pd.DataFrame({"t": pd.Series(mixed, dtype=object)})))


def test_a_zone_of_dateutil_keeps_its_days_or_is_refused():
    tz = pytest.importorskip("dateutil.tz")
    times = days("UTC").tz_convert(tz.gettz("America/New_York"))
    try:
        read = parse(column_of(pd.DataFrame({"t": times})))
        wall, style = read.wall, read.style
    except TableError as error:
        assert "which has no name" in str(error)  # noqa: PT017  (either is right)
    else:
        assert style.zone == "America/New_York"
        np.testing.assert_array_equal(wall, times.tz_convert(style.zone).tz_localize(None))


def test_a_zone_without_a_name_is_refused():
    class Nameless(dt.tzinfo):
        def utcoffset(self, when):
            return None if when is None else dt.timedelta(hours=1)

    values = pd.Series([dt.datetime(2024, 1, 1 + i, tzinfo=Nameless()) for i in range(3)])
    with pytest.raises(TableError, match="which has no name"):
        parse(column_of(pd.DataFrame({"t": values.astype(object)})))
