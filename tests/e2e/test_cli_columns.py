"""The time column is found where exactly one column reads as times; else the user is asked."""

import datetime as dt

import polars as pl
import pytest

from gatewise.cli.columns import time_column
from gatewise.cli.main import run
from gatewise.cli.source import open_source
from gatewise.errors import TableError

DAYS = [dt.date(2021, 12, 30), dt.date(2021, 12, 31)]
TEXTS = [
    ["2000-01", "2000-02"], ["1990Q1", "1990Q2"], ["31.12.2021", "01.01.2022"],
    ["01/04/2021", "02/04/2021"], ["1991 Jul", "1991 Aug"], ["2021-W01", "2021-W02"],
    ["2021-03-27T09:30+01:00", "2021-03-28T09:30+02:00"], ["2021-03-27T09:30Z", None],
]  # fmt: skip


@pytest.mark.parametrize("texts", TEXTS, ids=[str(texts[0]) for texts in TEXTS])
def test_text_that_reads_as_times_is_found(texts):
    table = pl.DataFrame({"name": ["north", "east"], "when": texts, "y": [1.0, 2.0], "n": [1, 2]})
    notes = []
    assert time_column(table, (), notes) == "when"
    assert notes == ["Time column: 'when'."]


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"Day": [1, 2]}, "Day"),
        ({"year": [1990, 1991]}, "year"),
        ({"year": ["1990", "1991"]}, "year"),
        ({"ds": [1, 2], "month": [1, 2]}, "ds"),
        ({"date": DAYS, "due": DAYS}, "date"),
        ({"date": DAYS, "month": ["2021-12", "2021-12"]}, "date"),
        ({"month": [12, 12], "at": DAYS}, "at"),
        ({"cohort": ["2020-01", "2020-01"], "at": DAYS}, "at"),
    ],
    ids=str,
)
def test_names_decide_where_values_do_not(columns, found):
    assert time_column(pl.DataFrame(columns | {"y": [1, 2]}), ("y", "cohort"), []) == found


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"a": [1, 2]}, "Cannot tell"),
        ({"start": DAYS, "end": ["2021-12", "2022-01"]}, "'start', 'end' all hold times"),
        ({"year": [1990, 1990], "month": [1, 2]}, "Cannot tell"),
        ({"a": ["north", "east"]}, "Cannot tell"),
    ],
    ids=str,
)
def test_the_user_is_asked_where_nothing_decides(columns, told):
    with pytest.raises(TableError, match=f"{told}.*--time"):
        time_column(pl.DataFrame(columns | {"y": [1, 2]}), ("y",), [])


def test_columns_with_another_role_are_no_times(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("cohort;when;umsatz\n2020-01;31.12.2021;1,5\n2020-01;01.01.2022;2,5\n")
    found = open_source(path, None, target="umsatz", series="cohort")
    assert found.columns["time"] == "when"
    assert found.table["umsatz"].to_list() == [1.5, 2.5]


def test_the_standard_input_has_a_name(tmp_path):
    table = pl.DataFrame({"ds": DAYS, "y": [1, 2]})
    assert open_source(tmp_path / "t.csv", None, lambda _: table).name == "t.csv"
    assert open_source(type(tmp_path)("-"), None, lambda _: table).name == "the standard input"


@pytest.fixture
def lstm(tmp_path):
    torch = pytest.importorskip("torch")
    from gatewise.weights import save_lstm

    save_lstm(torch.nn.LSTM(2, 3), tmp_path / "m.safetensors")
    lines = [f"{i},5;{i},25" for i in range(9)]
    (tmp_path / "t.csv").write_text("größe;b\n" + "\n".join(lines) + "\n", "latin-1")
    return tmp_path


@pytest.mark.parametrize("command", [["inspect"], ["explore", "--no-open"]], ids=str)
def test_commands_that_look_into_a_model_read_dialects_too(command, lstm, capsys):
    asked = [*command, str(lstm / "m.safetensors"), str(lstm / "t.csv"), "--out",
             str(lstm / "out.html")]  # fmt: skip
    assert run(asked) == 1
    assert "--encoding" in capsys.readouterr().err
    assert run([*asked, "--encoding", "latin-1", "--decimal", ","]) == 0
    assert (lstm / "out.html").is_file()
