import datetime as dt

import numpy as np
import polars as pl
import pytest

from gatewise.errors import ConfigError, MissingExtraError, TableError
from gatewise.forecast import datasets, read_table

TABLE = pl.DataFrame({"day": [dt.date(2024, 1, 1), dt.date(2024, 1, 2)], "y": [1.5, None]})


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_is_read_with_its_dates(tmp_path, separator):
    TABLE.write_csv(tmp_path / "t.csv", separator=separator)
    assert read_table(tmp_path / "t.csv").equals(TABLE)


def test_parquet_is_recognised_by_its_content(tmp_path):
    TABLE.write_parquet(tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv").equals(TABLE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b"day,y\n", "has no rows"),
        (b"\x00\x01\x02", "is binary"),
        (b"PAR1 but no more", "is not a table"),
        (b"hello\nworld\n", "one column 'hello'"),
        (b"a,b\n1,2\n1,2,3\n", "3 fields in line 3"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(tmp_path, content, message):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(TableError, match=message) as caught:
        read_table(tmp_path / "t")
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(TableError, match="does not exist"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(TableError, match="is a folder"):
        read_table(tmp_path)


def test_missing_extras_are_named(monkeypatch, tmp_path):
    import sys

    from gatewise.forecast.data.table import open_table
    from gatewise.forecast.evaluation.baselines import univariate

    for name in ("polars", "narwhals", "arch.data", "statsforecast"):
        monkeypatch.setitem(sys.modules, name, None)
    for call in (
        lambda: read_table(__file__),
        lambda: open_table(TABLE),
        lambda: datasets.load("sp500"),
        lambda: univariate(np.ones(1), [1], 1, (), (0.5,)),
    ):
        with pytest.raises(MissingExtraError, match=r"pip install 'gatewise\[forecast\]'"):
            call()


def test_the_sp500_comes_with_drivers_that_stay_missing_where_they_are():
    d = datasets.load("sp500")
    assert d.table.columns == ["date", "close", "nasdaq", "wti", "vix"]
    assert d.columns["past"] == ("nasdaq", "wti", "vix")
    assert d.table["close"].null_count() == 0
    assert d.table["wti"].null_count() > 0
    assert d.table["vix"][0] is None
    assert d.table["date"][-1] == dt.date(2018, 12, 31)
    with pytest.raises(ConfigError, match="Did you mean 'sp500'"):
        datasets.load("sp5000")
