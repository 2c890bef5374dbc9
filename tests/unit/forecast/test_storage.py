import json
import os
import struct

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file, save_file

from gatewise.errors import ConfigError, ModelFileError
from gatewise.forecast import Forecaster, driver_effects

from .simulated import hourly_prices


@pytest.fixture
def saved(walk_forecaster, tmp_path):
    path = tmp_path / "model.safetensors"
    walk_forecaster.save(path)
    return path


def test_a_loaded_forecaster_gives_the_same_bits(saved, walk_forecaster, walk_table):
    loaded = Forecaster.load(saved)
    assert loaded.predict().equals(walk_forecaster.predict())
    assert loaded.predict(history=walk_table).equals(walk_forecaster.predict())
    assert loaded.config == walk_forecaster.config
    assert loaded.fitted.training == walk_forecaster.fitted.training
    assert loaded.fitted.notes == walk_forecaster.fitted.notes


def test_every_kind_of_column_is_kept(shop_forecaster, shops_known, tmp_path):
    shop_forecaster.save(tmp_path / "m")
    loaded = Forecaster.load(tmp_path / "m")
    future = shops_known[1]
    assert loaded.predict(future=future).equals(shop_forecaster.predict(future=future))
    with pytest.raises(ConfigError, match="holds no table"):
        driver_effects(loaded)
    a, b = driver_effects(loaded, shops_known[0]), driver_effects(shop_forecaster)
    assert a == b


def test_the_season_is_kept_where_the_last_rows_are_too_few_to_show_it(tmp_path):
    time = np.arange("2024-01-01", "2024-02-01", dtype="datetime64[h]")
    load = 10 + np.sin(2 * np.pi * np.arange(len(time)) / 24)
    table = pl.DataFrame({"ds": time.astype("datetime64[us]"), "y": load})
    f = Forecaster(prediction_length=3, max_epochs=1).fit(table)
    assert f.fitted.model.season_length == 24
    phases = f.lstm_input().x[:, 0, 2:]
    assert np.ptp(phases, axis=0).min() > 1
    f.save(tmp_path / "m")
    loaded = Forecaster.load(tmp_path / "m")
    assert loaded.predict().equals(f.predict())
    np.testing.assert_array_equal(loaded.lstm_input().x, f.lstm_input().x)
    assert loaded.predict(history=table.tail(30)).height == 3


def test_tamed_spikes_and_lags_of_a_week_are_kept(tmp_path):
    data = hourly_prices(0, days=30)
    known, ahead = data[:-24], data[-24:].drop("y")
    f = Forecaster(prediction_length=24, max_epochs=1).fit(known, future=["load", "wind"])
    f.save(tmp_path / "m")
    loaded = Forecaster.load(tmp_path / "m")
    made = f.predict(future=ahead)
    assert loaded.predict(future=ahead).equals(made)
    assert loaded.predict(future=ahead, history=known).equals(made)
    assert loaded.fitted.model.encoder == f.fitted.model.encoder
    assert f.fitted.model.encoder.spikes is not None


def test_a_file_that_is_cut_short_is_refused(saved):
    content = saved.read_bytes()
    for keep in (0, 4, 100, len(content) - 1):
        saved.write_bytes(content[:keep])
        with pytest.raises(ModelFileError, match="not a readable safetensors file") as caught:
            Forecaster.load(saved)
        assert "\n" not in str(caught.value)


def test_an_altered_tensor_or_header_is_refused(saved):
    content = bytearray(saved.read_bytes())
    content[-1] ^= 1
    saved.write_bytes(content)
    with pytest.raises(ModelFileError, match="was altered"):
        Forecaster.load(saved)


def rewrite(path, change):
    (length,) = struct.unpack("<Q", path.read_bytes()[:8])
    header = json.loads(json.loads(path.read_bytes()[8 : 8 + length])["__metadata__"][
        "gatewise-forecaster"
    ])  # fmt: skip
    arrays = load_file(path)
    text = change(header)
    save_file(arrays, path, metadata={"gatewise-forecaster": text})


def test_an_altered_header_is_refused(saved):
    rewrite(saved, lambda h: json.dumps(h | {"season_length": 7}))
    with pytest.raises(ModelFileError, match="was altered"):
        Forecaster.load(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: json.dumps(h | {"version": 99}), "format version 99: expected 7"),
        (lambda h: "{", "damaged header"),
        (lambda h: json.dumps({"version": 7}), "damaged header"),
        (lambda h: "[]", "damaged header"),
    ],
)
def test_a_header_of_another_kind_is_refused(saved, change, message):
    rewrite(saved, change)
    with pytest.raises(ModelFileError, match=message):
        Forecaster.load(saved)


def test_files_of_others_and_no_file_are_refused(saved, tmp_path):
    save_file(load_file(saved), tmp_path / "other")
    with pytest.raises(ModelFileError, match="no 'gatewise-forecaster' header"):
        Forecaster.load(tmp_path / "other")
    with pytest.raises(ModelFileError, match="no model file"):
        Forecaster.load(tmp_path / "none")


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch, walk_forecaster):
    target = tmp_path / "m"
    target.write_bytes(b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        walk_forecaster.save(target)
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_the_folder_must_exist(tmp_path, walk_forecaster):
    with pytest.raises(FileNotFoundError):
        walk_forecaster.save(tmp_path / "no" / "m")


def test_many_series_are_a_few_arrays(tmp_path):
    rng = np.random.default_rng(0)
    months = np.arange("2010-01", "2013-01", dtype="datetime64[M]").astype("datetime64[us]")
    table = pl.concat(
        pl.DataFrame({"unique_id": i, "ds": months[-n:], "y": rng.normal(size=n)})
        for i, n in enumerate([36, 30, 12] * 8)
    )
    f = Forecaster(3, ensemble_size=1, max_epochs=1).fit(table)
    f.save(tmp_path / "m")
    assert sum(name.startswith("tail.") for name in load_file(tmp_path / "m")) == 6
    loaded = Forecaster.load(tmp_path / "m")
    assert loaded.predict().equals(f.predict())
    assert loaded.fitted.calendars == f.fitted.calendars
