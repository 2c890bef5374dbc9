"""Times with a zone over both changes of the clocks, against pandas' own date_range."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from gatewise.errors import TableError
from gatewise.forecast import Forecaster
from gatewise.forecast.data.calendar import observe_all
from gatewise.forecast.data.future_rows import rows_ahead
from gatewise.forecast.data.table import choose_columns, read_panel
from gatewise.forecast.data.timestamps import render

NEW_YORK, BERLIN, HOBART, INDIA = (
    "America/New_York", "Europe/Berlin", "Australia/Hobart", "Asia/Kolkata",
)  # fmt: skip
CASES = [
    (start, freq, zone)
    for start, zone in (
        ("2024-02-25", NEW_YORK), ("2024-10-18", NEW_YORK), ("2024-03-17", BERLIN),
        ("2024-10-12", BERLIN), ("2024-03-24", HOBART), ("2024-09-22", HOBART),
        ("2024-03-01", INDIA), ("2024-03-01", "Etc/GMT+5"), ("2024-03-01", "+05:30"),
    )
    for freq in ("h", "30min", "4h", "D")
]  # fmt: skip


def ahead(table, h):
    """The next times of a table, written as the table's are."""
    panel = read_panel(table, choose_columns(table))
    calendars = observe_all([s.time for s in panel.series], zone=panel.zone)
    (time,), _ = rows_ahead(panel, calendars, h, panel, {})
    return render(time, panel.style, "ds", panel.kind).to_native()


@pytest.mark.parametrize("kind", ["pandas", "polars"])
@pytest.mark.parametrize(("start", "freq", "zone"), CASES)
def test_steps_are_those_of_pandas_over_a_change_of_the_clocks(start, freq, zone, kind):
    if kind == "polars" and zone[0] == "+":
        pytest.skip("polars has no fixed offsets")
    n, h = {"h": (300, 400), "30min": (600, 800), "4h": (75, 100), "D": (14, 20)}[freq]
    times = pd.date_range(start, periods=n + h, freq=freq, tz=zone)
    known = pd.DataFrame({"ds": times[:n], "y": np.arange(n) % 7.0})
    made = ahead(known if kind == "pandas" else pl.from_pandas(known), h)
    found = pd.DatetimeIndex(made if kind == "pandas" else made.to_pandas())
    assert found.is_unique
    assert (found == times[n:]).all()


@pytest.mark.parametrize("start", ["2024-02-20", "2024-10-15"])
def test_opening_hours_stay_on_the_local_clock(start):
    days = pd.bdate_range(start, periods=30)
    hours = [d + pd.Timedelta(hours=10 + k) for d in days for k in range(6)]
    times = pd.DatetimeIndex(hours).tz_localize(NEW_YORK)
    known = pd.DataFrame({"ds": times[:72], "y": np.arange(72) % 7.0})
    assert (pd.DatetimeIndex(ahead(known, 108)) == times[72:]).all()


def test_text_keeps_its_offset():
    texts = [f"2024-03-10T{k:02}:00:00-05:00" for k in range(24)]
    made = ahead(pl.DataFrame({"ds": texts, "y": np.arange(24) % 5.0}), 2)
    assert made.to_list() == ["2024-03-11T00:00:00-05:00", "2024-03-11T01:00:00-05:00"]


def test_text_of_several_offsets_goes_on_in_utc_and_says_so_or_asks_for_the_zone():
    hours = pd.date_range("2024-03-09 20:00", periods=24, freq="h", tz=NEW_YORK)
    table = pl.DataFrame({"ds": [t.isoformat() for t in hours], "y": np.arange(24) % 5.0})
    panel = read_panel(table, choose_columns(table))
    assert "several offsets (-05:00, -04:00)" in panel.notes[0]
    assert ahead(table, 1).to_list() == ["2024-03-11T01:00:00+00:00"]
    days = pd.date_range("2024-03-05", periods=24, freq="D", tz=NEW_YORK)
    table = table.with_columns(ds=pl.Series([t.isoformat() for t in days]))
    with pytest.raises(TableError, match=r"several offsets \(-05:00, -04:00\)"):
        read_panel(table, choose_columns(table))


def test_a_forecaster_with_a_zone_is_saved_and_reads_other_zones(tmp_path):
    times = pd.date_range("2024-10-30", periods=120, freq="h", tz=NEW_YORK)
    table = pd.DataFrame({"ds": times[:96], "y": 5 + np.arange(96) % 24.0})
    f = Forecaster(24, max_epochs=0, ensemble_size=1).fit(table)
    f.save(tmp_path / "m")
    loaded = Forecaster.load(tmp_path / "m")
    for made in (f.predict(), loaded.predict(), loaded.predict(history=table)):
        assert (pd.DatetimeIndex(made["ds"]) == times[96:]).all()
    in_utc = table.assign(ds=table["ds"].dt.tz_convert("UTC"))
    made = loaded.predict(history=in_utc)
    assert (pd.DatetimeIndex(made["ds"]) == times[96:]).all()
    naive = table.assign(ds=table["ds"].dt.tz_localize(None))
    with pytest.raises(TableError, match="no zone, and the forecaster was fitted on times in Am"):
        loaded.predict(history=naive.drop_duplicates("ds"))


def test_labels_are_of_the_local_clock():
    times = pd.date_range("2024-03-09", periods=72, freq="h", tz=NEW_YORK)
    table = pd.DataFrame({"ds": times, "y": np.arange(72) % 7.0})
    panel = read_panel(table, choose_columns(table))
    local = times.tz_localize(None).to_numpy()
    np.testing.assert_array_equal(panel.clock(panel.series[0].time), local)
