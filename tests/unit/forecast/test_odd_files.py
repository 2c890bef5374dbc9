"""Files with lines that are no rows, and with more than one reading: read right, or refused."""

import datetime as dt
import gzip

import polars as pl
import pytest

from gatewise.errors import TableError
from gatewise.forecast import Forecaster, read_table
from gatewise.forecast.data import readers

DAYS = [dt.date(2021, 12, 30), dt.date(2021, 12, 31)]
ROWS = [(DAYS[0], 1.5), (DAYS[1], 2.5)]

READ = {
    "a comment between rows": ("ds,y\n2021-12-30,1.5\n# hello\n2021-12-31,2.5\n", ROWS),
    "a comment at the end": ("ds;y\n2021-12-30;1,5\n2021-12-31;2,5\n# total 4,0\n", ROWS),
    "no comment but a text": (
        'ds,y\n2021-12-30,"a\n# b"\n2021-12-31,c\n', [(DAYS[0], "a\n# b"), (DAYS[1], "c")]
    ),
    "separators at the ends": ("ds,y,,\n2021-12-30,1.5,,\n2021-12-31,2.5,,\n", ROWS),
    "Excel's line": ("sep=;\nds;y\n2021-12-30;1,5\n2021-12-31;2,5\n", ROWS),
    "Excel's line, CRLF": ("sep=;\r\nds;y\r\n2021-12-30;1,5\r\n2021-12-31;2,5\r\n", ROWS),
    "carriage returns alone": ("ds,y\r2021-12-30,1.5\r2021-12-31,2.5\r", ROWS),
    "blank lines at the start": ("\n\nds,y\n2021-12-30,1.5\n2021-12-31,2.5\n", ROWS),
    "blanks at dates": ("ds ; y\n2021-12-30 ; 1,5\n2021-12-31 ; 2,5\n", ROWS),
    "the other minus": (
        "ds,y\n2021-12-30,\u22121.5\n2021-12-31,2.5\n", [(DAYS[0], -1.5), (DAYS[1], 2.5)]
    ),
    "no digit before the point": (
        "ds,y\n2021-12-30,.5\n2021-12-31,-.25\n", [(DAYS[0], 0.5), (DAYS[1], -0.25)]
    ),
    "no digit before the comma": (
        "ds;y\n2021-12-30;,5\n2021-12-31;-,25\n", [(DAYS[0], 0.5), (DAYS[1], -0.25)]
    ),
    "commas in the names": ("ds;net, in EUR, of tax\n2021-12-30;1,5\n2021-12-31;2,5\n", ROWS),
    "a quoted comma in a name": ('ds;"a, b, c"\n2021-12-30;1,5\n2021-12-31;2,5\n', ROWS),
    "thousands beside a plain point": (
        "ds;a;y\n2021-12-30;1.234;1.5\n2021-12-31;2.345;2.5\n",
        [(DAYS[0], 1.234, 1.5), (DAYS[1], 2.345, 2.5)],
    ),
    "three digits beside commas": (
        "ds,y\n2021-12-30,1.234\n2021-12-31,2.345\n", [(DAYS[0], 1.234), (DAYS[1], 2.345)]
    ),
    "three digits of less than one": (
        "ds;y\n2021-12-30;0.234\n2021-12-31;2.345\n", [(DAYS[0], 0.234), (DAYS[1], 2.345)]
    ),
    "names that are numbers": ("0,1\n2021-12-30,1.5\n2021-12-31,2.5\n", ROWS),
    "a name that is a year": ("ds,2021\n2021-12-30,1.5\n2021-12-31,2.5\n", ROWS),
}  # fmt: skip

REFUSED = {
    "a decimal comma among commas": ("ds,y\n2021-12-30,1,5\n", r"line 2.*in quotes.*--delimiter"),
    "a field too many": ("ds;y\n2021-12-30;1\n2021-12-31;2;3\n", r"3 fields in line 3.*--delim"),
    "a title": ("My report\nds,y\n2021-12-30,1\n", "Remove the lines before"),
    "no header": ("2021-12-30,1\n2021-12-31,2\n", "expected the names of the columns"),
    "the wrong delimiter": ("ds y\n2021-12-30 1\n", "--delimiter"),
    "two bytes a sign": ("ds\0,\0y\0\n\0", "--encoding"),
    "nothing": ("\n \n", "empty"),
}

LATER = {
    "thousands or decimals": ("ds;y\n2021-12-30;1,234\n2021-12-31;2,345\n", "--decimal"),
    "a thousand beside semicolons": ("ds;y\n2021-12-30;1.234\n2021-12-31;2.345\n", "--decimal"),
    "both signs": ("ds;y\n2021-12-30;1.234,5\n2021-12-31;1,234.5\n", "--decimal"),
    "a year of two digits": ("ds,y\n30.12.21,1\n31.12.21,2\n", "--date-format"),
    "day or month": ("ds,y\n01/04/2021,1\n02/04/2021,2\n", "--date-format"),
    "words": ("ds,y\nfirst,1\nsecond,2\n", "--date-format"),
}


def written(folder, text):
    (folder / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / "t.csv"


@pytest.mark.parametrize("name", READ)
def test_an_odd_file_is_read(tmp_path, name):
    text, expected = READ[name]
    assert read_table(written(tmp_path, text)).rows() == expected


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_no_table_is_refused(tmp_path, name):
    text, told = REFUSED[name]
    with pytest.raises(TableError, match=told):
        read_table(written(tmp_path, text))


@pytest.mark.parametrize("name", LATER)
def test_what_stays_text_is_refused_with_the_option_that_mends_it(tmp_path, name):
    text, told = LATER[name]
    with pytest.raises(TableError, match=told):
        Forecaster(prediction_length=2).fit(read_table(written(tmp_path, text)))


def test_a_file_that_unpacks_to_absurdly_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "_SMALL", 100_000)
    monkeypatch.setattr(readers, "_BLOCK", 10_000)
    path = written(tmp_path, gzip.compress(b"ds,y\n" + b"2021-12-30,1\n" * 1_000_000))
    with pytest.raises(TableError, match="unpacks to more than"):
        read_table(path)
    assert len(read_table(written(tmp_path, gzip.compress(b"ds,y\n" + b"1,2\n" * 20_000)))) > 1


def test_texts_of_other_files_are_read_in_the_format_asked_for(tmp_path):
    table = pl.DataFrame({"ds": ["30.12.21", "31.12.21"], "y": [1.5, 2.5]})
    table.write_excel(tmp_path / "t.xlsx")
    table.write_parquet(tmp_path / "t.parquet")
    for name in ("t.xlsx", "t.parquet"):
        assert read_table(tmp_path / name, date_format="%d.%m.%y").rows() == ROWS
    table.with_columns(ds=pl.Series(DAYS), note=pl.lit("a")).write_parquet(tmp_path / "d.parquet")
    kept = read_table(tmp_path / "d.parquet", date_format="%d.%m.%y")
    assert kept["ds"].to_list() == DAYS
    with pytest.raises(TableError, match="--date-format"):
        read_table(tmp_path / "t.parquet", date_format="%Y-%m-%d")


def test_offsets_in_a_file_stay_in_the_forecast(tmp_path):
    hours = [f"2021-03-0{1 + i // 24}T{i % 24:02}:00+05:30" for i in range(48)]
    lines = "".join(f"{hour},{i % 24}\n" for i, hour in enumerate(hours))
    table = read_table(written(tmp_path, "at,y\n" + lines))
    made = Forecaster.pretrained(2).fit(table, time="at").predict()
    assert made["at"].to_list() == ["2021-03-03T00:00+05:30", "2021-03-03T01:00+05:30"]
