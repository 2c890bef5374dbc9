"""Files as people and programs write them: read right, or refused with the option that mends it."""

import datetime as dt
import gzip
import io

import polars as pl
import pytest

from gatewise.errors import ConfigError, MissingExtraError, TableError
from gatewise.forecast import read_table
from gatewise.forecast.data.dialects import Dialect

DAYS = [dt.date(2021, 12, 30), dt.date(2021, 12, 31)]
TEXT = ["30.12.2021", "31.12.2021"]
LATIN, UTF16 = (
    "tag;umsatz_ä\n2021-12-30;1,5\n2021-12-31;2,5\n",
    "ds,y\n2021-12-30,1.5\n2021-12-31,2.5\n",
)


def rows(first, second, days=DAYS):
    return [(days[0], first), (days[1], second)]


READ = {
    "comma": (b"ds,y\n2021-12-30,1.5\n2021-12-31,2.5\n", {}, rows(1.5, 2.5)),
    "semicolon": (b"ds;y\n2021-12-30;1.5\n2021-12-31;2.5\n", {}, rows(1.5, 2.5)),
    "tab": (b"ds\ty\n2021-12-30\t1.5\n2021-12-31\t2.5\n", {}, rows(1.5, 2.5)),
    "pipe": (b"ds|y\n2021-12-30|1.5\n2021-12-31|2.5\n", {}, rows(1.5, 2.5)),
    "CRLF": (b"ds,y\r\n2021-12-30,1.5\r\n2021-12-31,2.5\r\n", {}, rows(1.5, 2.5)),
    "no last line end": (b"ds,y\n2021-12-30,1.5\n2021-12-31,2.5", {}, rows(1.5, 2.5)),
    "blank lines": (b"ds,y\r\n2021-12-30,1\r\n2021-12-31,2\r\n\r\n\r\n", {}, rows(1, 2)),
    "a comment": (b"# made on Monday\nds,y\n2021-12-30,1\n2021-12-31,2\n", {}, rows(1, 2)),
    "blanks": (b" ds , y \n2021-12-30, 1.5\n2021-12-31, 2.5\n", {}, rows(1.5, 2.5)),
    "quotes": (b'"ds","y"\n"2021-12-30","1.5"\n"2021-12-31","2.5"\n', {}, rows(1.5, 2.5)),
    "a comma in quotes": (b'ds,y\n2021-12-30,"a, b"\n2021-12-31,c\n', {}, rows("a, b", "c")),
    "a mark of UTF-8": (b"\xef\xbb\xbfds,y\n2021-12-30,1\n2021-12-31,2\n", {}, rows(1, 2)),
    "UTF-16": (UTF16.encode("utf-16"), {}, rows(1.5, 2.5)),
    "UTF-16 without a mark": (UTF16.encode("utf-16-le"), {"encoding": "utf-16-le"}, rows(1.5, 2.5)),
    "Latin-1": (LATIN.encode("latin-1"), {"encoding": "latin-1"}, rows(1.5, 2.5)),
    "Windows": (LATIN.encode("cp1252"), {"encoding": "cp1252"}, rows(1.5, 2.5)),
    "decimal comma": (b"ds;y\n2021-12-30;1,5\n2021-12-31;2\n", {}, rows(1.5, 2.0)),
    "decimal comma, tab": (b"ds\ty\n2021-12-30\t1,5\n2021-12-31\t2,25\n", {}, rows(1.5, 2.25)),
    "decimal comma, quoted": (b'ds,y\n2021-12-30,"1,5"\n2021-12-31,"2,5"\n', {}, rows(1.5, 2.5)),
    "German": (b"ds;y\n30.12.2021;1.234,5\n31.12.2021;2,5\n", {}, rows(1234.5, 2.5, TEXT)),
    "American": (b'ds,y\n2021-12-30,"1,234.5"\n2021-12-31,2.5\n', {}, rows(1234.5, 2.5)),
    "millions": (b'ds,y\n2021-12-30,"1,234,567.0"\n2021-12-31,1\n', {}, rows(1234567.0, 1.0)),
    "French": ("ds;y\n2021-12-30;1\u202f234,5\n2021-12-31;2,5\n".encode(), {}, rows(1234.5, 2.5)),
    "Swiss": (b"ds;y\n2021-12-30;1'234.5\n2021-12-31;2.5\n", {}, rows(1234.5, 2.5)),
    "thousands, comma named": (
        b"ds;y\n2021-12-30;1,234\n2021-12-31;2,345\n", {"decimal": ","}, rows(1.234, 2.345)
    ),
    "thousands, dot named": (
        b"ds;y\n2021-12-30;1,234\n2021-12-31;2,345\n", {"decimal": "."}, rows(1234, 2345)
    ),
    "what looks like 1.234": (
        b"ds;y\n2021-12-30;1.234\n2021-12-31;2.345\n", {"decimal": ","}, rows(1234, 2345)
    ),
    "thousands with dots stay text, too": (
        b"ds;y\n2021-12-30;1.234\n2021-12-31;2.345\n", {}, rows("1.234", "2.345")
    ),
    "a number that is no thousand tells": (
        b"ds;y\n2021-12-30;1.234\n2021-12-31;0.5\n", {}, rows(1.234, 0.5)
    ),
    "powers": (b"ds,y\n2021-12-30,1e3\n2021-12-31,2.5E-1\n", {}, rows(1000.0, 0.25)),
    "thousands or decimals stay text": (
        b"ds;y\n2021-12-30;1,234\n2021-12-31;2,345\n", {}, rows("1,234", "2,345")
    ),
    "numbers that are names": (
        b"ds,sku,y\n2021-12-30,001.002.003,1.234\n2021-12-31,1.002.003,1.5\n", {},
        [(DAYS[0], "001.002.003", 1.234), (DAYS[1], "1.002.003", 1.5)],
    ),
    "a name with a number sign": (b"id,y\n#A,1\nB,2\n", {}, [("#A", 1), ("B", 2)]),
    "a header with a number sign": (b"#id,y\nA,1\nB,2\n", {}, [("A", 1), ("B", 2)]),
    "ISO by its short name": (
        b"ds,y\n2021-12-30,1\n2021-12-31,2\n", {"date_format": "%F"}, rows(1, 2)
    ),
    "ISO weeks": (b"ds,y\n2021-W52-4,1\n2021-W52-5,2\n", {"date_format": "%G-W%V-%u"}, rows(1, 2)),
    "parts of a second": (
        b"ds,y\n30.12.2021 10:00:00.5,1\n31.12.2021 10:00:00.25,2\n",
        {"date_format": "%d.%m.%Y %H:%M:%S.%f"},
        rows(1, 2, [dt.datetime(2021, 12, 30, 10, 0, 0, 500_000),
                    dt.datetime(2021, 12, 31, 10, 0, 0, 250_000)]),
    ),
    "a target that looks like months": (
        b"ds,y\n2021/11,202102\n2021/12,202103\n", {"date_format": "%Y/%m"},
        rows(202102, 202103, [dt.date(2021, 11, 1), dt.date(2021, 12, 1)])
    ),
    "signs": (b"ds,y\n2021-12-30,-1.5\n2021-12-31,+2.5\n", {}, rows(-1.5, 2.5)),
    "missing": (b"ds,y\n2021-12-30,NA\n2021-12-31,2.5\n", {}, rows(None, 2.5)),
    "N/A": (b"ds,y\n2021-12-30,N/A\n2021-12-31,-\n2021-12-31,2\n", {},
            [(DAYS[0], None), (DAYS[1], None), (DAYS[1], 2)]),
    "a delimiter named": (
        b"ds:y\n2021-12-30:1\n2021-12-31:2\n", {"delimiter": ":"}, rows(1, 2)
    ),
    "tab by its name": (b"ds\ty\n2021-12-30\t1\n2021-12-31\t2\n", {"delimiter": "tab"}, rows(1, 2)),
    "day first": (
        b"ds,y\n30/12/2021,1\n31/12/2021,2\n", {"date_format": "%d/%m/%Y"}, rows(1, 2)
    ),
    "month first": (
        b"ds,y\n12/30/2021,1\n12/31/2021,2\n", {"date_format": "%m/%d/%Y"}, rows(1, 2)
    ),
    "two digits of a year": (
        b"ds,y\n30.12.21,1\n31.12.21,2\n", {"date_format": "%d.%m.%y"}, rows(1, 2)
    ),
    "digits": (b"ds,y\n20211230,1\n20211231,2\n", {"date_format": "%Y%m%d"}, rows(1, 2)),
    "months": (b"ds,y\n2021/11,1\n2021/12,2\n", {"date_format": "%Y/%m"},
               rows(1, 2, [dt.date(2021, 11, 1), dt.date(2021, 12, 1)])),
    "a clock": (
        b"ds,y\n30/12/2021 9:30 PM,1\n31/12/2021 9:30 AM,2\n",
        {"date_format": "%d/%m/%Y %I:%M %p"},
        rows(1, 2, [dt.datetime(2021, 12, 30, 21, 30), dt.datetime(2021, 12, 31, 9, 30)]),
    ),
    "ISO with a T": (
        b"ds,y\n2021-12-30T09:30:00,1\n2021-12-31T09:30:00.5,2\n", {},
        rows(1, 2, [dt.datetime(2021, 12, 30, 9, 30),
                    dt.datetime(2021, 12, 31, 9, 30, 0, 500_000)]),
    ),
    "ISO with offsets": (
        b"ds,y\n2021-12-30T09:30+02:00,1\n2021-12-31T09:30+02:00,2\n", {},
        rows(1, 2, ["2021-12-30T09:30+02:00", "2021-12-31T09:30+02:00"]),
    ),
    "gzip": (gzip.compress(b"ds,y\n2021-12-30,1.5\n2021-12-31,2.5\n"), {}, rows(1.5, 2.5)),
}  # fmt: skip

REFUSED = {
    "Latin-1": (LATIN.encode("latin-1"), {}, "--encoding"),
    "UTF-16 without a mark": (UTF16.encode("utf-16-le"), {}, "binary"),
    "the wrong encoding": (b"ds,y\n2021-12-30,\xff\n", {"encoding": "ascii"}, "--encoding"),
    "no delimiter": (b"ds y\n2021-12-30 1\n", {}, "--delimiter"),
    "another format": (b"ds,y\n30/12/2021,1\n", {"date_format": "%Y-%m-%d"}, "--date-format"),
    "two columns of the format": (b"ds,y\n202101,202102\n", {"date_format": "%Y%m"}, "--time"),
    "no format": (b"ds,y\n30/12/2021,1\n", {"date_format": "day"}, "--date-format"),
    "half a gzip": (gzip.compress(b"ds,y\n" * 1000)[:-20], {}, "damaged"),
}


@pytest.mark.parametrize("name", READ)
def test_a_dialect_is_read(tmp_path, name):
    content, options, expected = READ[name]
    (tmp_path / "t.csv").write_bytes(content)
    assert read_table(tmp_path / "t.csv", **options).rows() == expected


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused(tmp_path, name):
    content, options, told = REFUSED[name]
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(TableError, match=told):
        read_table(tmp_path / "t.csv", **options)


def test_one_column_that_is_plain_tells_of_those_that_are_not(tmp_path):
    (tmp_path / "t.csv").write_text("ds;a;b\n2021-12-30;1,5;1.234\n2021-12-31;2,5;2.345\n")
    assert read_table(tmp_path / "t.csv").rows() == [(DAYS[0], 1.5, 1234), (DAYS[1], 2.5, 2345)]


def test_a_decimal_sign_that_is_named_is_the_only_one(tmp_path):
    (tmp_path / "t.csv").write_text("ds;y\n2021-12-30;1,5\n2021-12-31;2,5\n")
    assert read_table(tmp_path / "t.csv", decimal=".").rows() == rows("1,5", "2,5")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"delimiter": "::"}, "one character"),
        ({"decimal": ";"}, "expected '.' or ','"),
        ({"delimiter": ",", "decimal": ","}, "expected two"),
        ({"encoding": "klingon"}, "latin-1"),
    ],
)
def test_an_option_without_sense_is_refused_before_the_file_is_looked_at(options, told):
    with pytest.raises(ConfigError, match=told):
        Dialect(**options)
    with pytest.raises(ConfigError):
        read_table("none.csv", **options)


def test_the_standard_input_is_a_file(monkeypatch):
    given = io.TextIOWrapper(io.BytesIO(b"ds,y\n2021-12-30,1\n2021-12-31,2\n"))
    monkeypatch.setattr("sys.stdin", given)
    assert read_table("-").rows() == rows(1, 2)


def test_the_first_sheet_of_an_excel_file_is_read(tmp_path, monkeypatch):
    table = pl.DataFrame({"ds": DAYS, "y": [1.5, 2.5]})
    table.write_excel(tmp_path / "t.xlsx")
    assert read_table(tmp_path / "t.xlsx").equals(table)
    (tmp_path / "t.zip").write_bytes(b"PK\x03\x04" + bytes(40))
    with pytest.raises(TableError, match="is no Excel table"):
        read_table(tmp_path / "t.zip")
    monkeypatch.setitem(__import__("sys").modules, "fastexcel", None)
    with pytest.raises(MissingExtraError, match="excel"):
        read_table(tmp_path / "t.xlsx")
