"""The networks that come with the package: small, known, and better than the naive forecast."""

from importlib.resources import files

import numpy as np
import polars as pl
import pytest

from gatewise.errors import ConfigError, ModelFileError
from gatewise.forecast import Forecaster
from gatewise.forecast.models.residual import pretrained

from .panels import seasonal


def table(targets):
    parts = [
        pl.DataFrame({"unique_id": [f"s{i}"] * len(y), "ds": np.arange(len(y)), "y": y})
        for i, y in enumerate(targets)
    ]
    return pl.concat(parts)


@pytest.mark.parametrize("season_length", [1, 4, 7, 12])
def test_they_beat_the_seasonal_naive_on_series_they_never_saw(season_length):
    h = 6
    whole = seasonal(30, 84, season_length, seed=7)
    f = Forecaster.pretrained(h, season_length=season_length).fit(table([y[:-h] for y in whole]))
    made = f.predict()["forecast"].to_numpy().reshape(30, h)
    actual = np.array([y[-h:] for y in whole])
    naive = np.array([np.resize(y[-h - season_length : -h], h) for y in whole])
    assert np.abs(actual - made).mean() < np.abs(actual - naive).mean()
    assert f.fitted.training.windows[0] == 0


def test_the_file_is_small_and_says_what_it_learnt_from():
    content = (
        files("gatewise.forecast.models.residual").joinpath("pretrained.safetensors").read_bytes()
    )
    assert len(content) < 300_000
    assert "m3-monthly" in pretrained.header()["sets"]
    assert pretrained.header()["seed"] == 2026


def test_a_table_with_negative_values_and_one_series_will_do(tmp_path):
    y = 10 * np.sin(2 * np.pi * np.arange(60) / 12)
    f = Forecaster.pretrained(12).fit(table([y]))
    assert np.abs(f.predict()["forecast"].to_numpy() - y[:12]).mean() < 1.5
    f.save(tmp_path / "m")
    assert Forecaster.load(tmp_path / "m").predict().equals(f.predict())


def test_drivers_and_other_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match='model="pretrained" takes no drivers'):
        Forecaster.pretrained(2).fit(table(seasonal(1)).with_columns(x=pl.col("y")), past=["x"])
    with pytest.raises(ModelFileError, match="no model file"):
        Forecaster.pretrained(2, tmp_path / "none").fit(table(seasonal(1)))
    (tmp_path / "other").write_bytes(b"x" * 100)
    with pytest.raises(ModelFileError, match="holds no pretrained networks"):
        Forecaster.pretrained(2, tmp_path / "other").fit(table(seasonal(1)))
