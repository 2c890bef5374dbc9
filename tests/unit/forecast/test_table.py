import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from gatewise.errors import ConfigError, TableError
from gatewise.forecast.data.table import choose_columns, open_table, read_panel, write_table


def read(table, **roles):
    return read_panel(table, choose_columns(table, **roles))


def frame(n=10, **columns):
    return pl.DataFrame({"ds": list(range(n)), "y": [float(i % 4) for i in range(n)], **columns})


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_every_kind_of_table_gives_the_same_panel(kind, shops):
    table = {"pandas": shops.to_pandas, "polars": lambda: shops, "pyarrow": shops.to_arrow}[kind]()
    panel = read(table, time="month", target="sales", series="shop", past=["visits"])
    assert panel.kind == kind
    assert [s.name for s in panel.series] == ["s0", "s1", "s2"]
    assert [len(s) for s in panel.series] == [70, 60, 50]
    assert panel.series[1].time[0] == np.datetime64("2010-02-01")
    np.testing.assert_array_equal(panel.series[0].target, shops["sales"].to_numpy()[:70])


def test_missing_values_stay_as_rows():
    panel = read(frame(4, x=[None, 1, 2, None]), past=["x"])
    np.testing.assert_array_equal(panel.series[0].past[:, 0], [np.nan, 1, 2, np.nan])


def test_missing_values_of_nullable_pandas_columns():
    table = pd.DataFrame({"ds": range(3), "y": pd.array([1, None, 3], dtype="Int64")})
    np.testing.assert_array_equal(read(table).series[0].target, [1, np.nan, 3])


def test_numbers_in_object_columns_are_read():
    table = pd.DataFrame({"ds": range(3), "y": np.array([1, None, 2.5], dtype=object)})
    np.testing.assert_array_equal(read(table).series[0].target, [1, np.nan, 2.5])


def test_unsorted_time_is_sorted_with_a_note():
    panel = read(frame(5).reverse())
    assert panel.series[0].time.tolist() == [0, 1, 2, 3, 4]
    assert panel.notes == ("Time was not in order: the rows were sorted.",)


@pytest.mark.parametrize(
    ("table", "roles", "message"),
    [
        (frame(), {"target": "yy"}, r"no column 'yy' \(target\). Did you mean 'y'"),
        (frame(), {"series": "shop"}, r"no column 'shop' \(series\)"),
        (frame(y2=["a"] * 10), {"target": "y2"}, "holds 'a' in row 0: expected"),
        (pl.DataFrame({"ds": [1, 2], "y": [None, None]}), {}, "no number in any row"),
        (frame().with_columns(ds=pl.lit(1)), {}, "stands in two rows"),
        (frame().with_columns(y=pl.lit(2.0)), {}, "is 2 in every row"),
        (frame().with_columns(y=pl.lit(float("inf"))), {}, "infinite in row 0"),
        (frame(x=[None] * 10), {"past": ["x"]}, "Driver 'x' is missing in every row"),
        (frame(day=["soon"] * 10), {"time": "day"}, "'soon' in row 0: expected a date"),
        (frame(day=[None] * 10), {"time": "day"}, "no value in row 0"),
        (frame(s=[None] * 10), {"series": "s"}, "Series column 's' has no value in row 0"),
        (frame(s=[dt.date(2024, 1, 1)] * 10), {"series": "s"}, "expected text or numbers"),
        (frame(size=range(10)), {"static": ["size"]}, "changes within series"),
        (frame().head(0), {}, "no rows"),
        (
            pl.DataFrame({"unique_id": ["a", "b"], "ds": [1, 1], "y": [1.0, None]}),
            {},
            "of series 'b' has no value",
        ),
        (
            pl.DataFrame({"unique_id": ["a", "a"], "ds": [1, 1], "y": [1.0, 2.0]}),
            {},
            "of series 'a' stands in two rows",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(table, roles, message):
    with pytest.raises(TableError, match=message) as caught:
        read(table, **roles)
    assert "\n" not in str(caught.value)


def test_a_column_with_two_roles_is_refused():
    with pytest.raises(ConfigError, match="as target and as past"):
        choose_columns(frame(), past=["y"])
    with pytest.raises(ConfigError, match="expected a list of columns"):
        choose_columns(frame(), past="y")


def test_what_is_no_table_is_refused():
    with pytest.raises(TableError, match="Got list: expected a pandas, polars or pyarrow table"):
        open_table([1, 2])
    with pytest.raises(TableError, match="Collect a lazy frame"):
        open_table(frame().lazy())


def test_future_tables_need_no_target():
    columns = choose_columns(frame(x=range(10)), future=["x"])
    panel = read_panel(pl.DataFrame({"ds": [10], "x": [1.0]}), columns, with_target=False)
    assert panel.series[0].future.tolist() == [[1.0]]
    with pytest.raises(TableError, match="no column 'x'"):
        read_panel(pl.DataFrame({"ds": [10]}), columns, with_target=False)


@pytest.mark.parametrize(("kind", "of"), [("pandas", pd.DataFrame), ("pyarrow", pa.Table)])
def test_tables_are_written_in_the_callers_kind(kind, of):
    assert isinstance(write_table({"a": [1, 2], "b": np.array([0.5, 1.5])}, kind), of)


def test_static_columns_may_be_missing():
    table = frame(size=[None] * 10, kind=[None] * 10).with_columns(
        pl.col("size").cast(pl.Float64), pl.col("kind").cast(pl.String)
    )
    size, kind = read(table, static=["size", "kind"]).series[0].static
    assert np.isnan(size)
    assert kind == ""


def test_dates_of_python_in_an_object_column():
    days = [dt.date(2024, 1, 1), dt.date(2024, 1, 2)]
    panel = read(pd.DataFrame({"ds": days, "y": [1.0, 2.0]}))
    assert panel.series[0].time[1] == np.datetime64("2024-01-02")


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("names", [["b", "a", "c"], [3, 1, 2], [2.5, 1.5, 0.5]])
def test_series_keep_the_order_of_their_first_rows(kind, names):
    table = pl.DataFrame({"unique_id": names * 4, "ds": [3] * 3 + [1] * 3 + [0] * 3 + [2] * 3})
    table = table.with_columns(y=10.0 * pl.col("ds") + pl.int_range(12) % 3)
    panel = read({"pandas": table.to_pandas, "pyarrow": table.to_arrow}.get(kind, lambda: table)())
    assert [s.name for s in panel.series] == names
    assert [s.target.tolist() for s in panel.series] == [
        [i, 10 + i, 20 + i, 30 + i] for i in range(3)
    ]
    assert panel.notes == ("Time was not in order in 3 of 3 series: the rows were sorted.",)


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_row_without_a_series_is_named(value):
    table = frame(3, s=pl.Series([1.0, 2.0, value], strict=False))
    with pytest.raises(TableError, match="no value in row 2"):
        read(table, series="s")
    with pytest.raises(TableError, match="no value in row 2"):
        read(table.to_pandas(), series="s")


def test_a_table_may_change_after_it_was_read():
    table = frame(4).to_pandas()
    panel = read(table)
    table.loc[:, "y"] = 9.0
    assert panel.series[0].target.tolist() == [0, 1, 2, 3]


def test_a_static_text_that_changes_is_shown():
    table = frame(4, s=["a", "b"] * 2, town=["Ulm", "Bonn", "Ulm", None])
    with pytest.raises(TableError, match=r"within series 'b' \('Bonn', then ''\)"):
        read(table, series="s", static=["town"])
