import datetime as dt

import narwhals as nw
import numpy as np
import polars as pl
import pytest

from gatewise.forecast.data.timestamps import parse, render

ZONED = pl.datetime_range(
    dt.datetime(2024, 3, 30), dt.datetime(2024, 4, 2), "1d", time_zone="Europe/Berlin", eager=True
)


@pytest.mark.parametrize(
    "values",
    [
        pl.Series("t", [1, 2, 5]),
        pl.Series("t", [dt.date(2024, 2, 28), dt.date(2024, 2, 29)]),
        pl.Series("t", [dt.datetime(2024, 2, 28, 9, 30)]),
        pl.Series("t", ["2024-02-28", "2024-02-29"]),
        pl.Series("t", ["2024-02-28 09:30:00"]),
        ZONED.alias("t"),
    ],
    ids=["integer", "date", "datetime", "text-date", "text-datetime", "zoned"],
)
@pytest.mark.parametrize("kind", ["polars", "pandas", "pyarrow"])
def test_what_is_parsed_is_written_the_same_way(values, kind):
    table = {
        "polars": lambda f: f,
        "pandas": pl.DataFrame.to_pandas,
        "pyarrow": pl.DataFrame.to_arrow,
    }
    column = nw.from_native(table[kind](values.to_frame()), eager_only=True)["t"]
    read = parse(column)
    again = render(read.kept(), read.style, "t", kind)
    assert again.name == "t"
    assert [str(a) for a in again.to_list()] == [str(a) for a in column.to_list()]


def test_zones_are_read_as_wall_time_and_sorted_by_instant():
    read = parse(nw.from_native(ZONED, series_only=True))
    wall, instant, style = read.wall, read.instant, read.style
    assert (wall.astype("datetime64[h]").astype(int) % 24 == 0).all()
    assert set(np.diff(instant).astype("timedelta64[h]").astype(int)) == {23, 24}
    assert style.zone == "Europe/Berlin"
