import numpy as np
import polars as pl
import pytest

from gatewise.forecast.data.table import choose_columns, read_panel
from gatewise.forecast.models.window import windows
from gatewise.forecast.models.window.encoder import fit_encoder

from .conftest import SHOPS


def encoded(table, wanted="auto", **roles):
    panel = read_panel(table, choose_columns(table, **roles))
    return fit_encoder(panel, wanted).encode(panel)


def counting(n=30, **columns):
    return pl.DataFrame({"ds": range(n), "y": np.arange(n, dtype=float) ** 2, **columns})


def at(rows_of, ends, T=6, h=3, **options):
    ends = np.array(ends)
    return windows.assemble(rows_of, np.zeros_like(ends), ends, T, h, **options)


def test_a_window_reads_the_rows_before_its_end_and_labels_from_it_on():
    rows_of = encoded(counting(), "difference")
    w = at(rows_of, [10])
    changes = np.diff(np.arange(30.0) ** 2)
    scale = np.sqrt(np.mean(changes[3:9] ** 2))
    np.testing.assert_allclose(w.context[:, 0, 0], changes[3:9] / scale, rtol=1e-6)
    np.testing.assert_allclose(
        w.base[:, None] + w.spread * w.labels, [[100.0, 121.0, 144.0]], rtol=1e-6
    )
    assert w.base[0] == 81.0


def test_levels_are_centred_on_the_context():
    w = at(encoded(counting(), "none"), [10])
    context = np.arange(4.0, 10.0) ** 2
    assert w.base[0] == pytest.approx(context.mean())
    np.testing.assert_allclose(w.spread[0], context.std())


def test_rows_before_the_series_are_padding():
    w = at(encoded(counting(), "difference"), [4])
    assert (w.context[:2] == 0).all()
    assert w.context[3:, 0, 1].tolist() == [1.0, 1.0, 1.0]


def test_a_constant_window_divides_by_no_zero():
    y = np.concatenate([np.full(20, 5.0), np.arange(10.0)])
    for wanted in ("difference", "none"):
        w = at(encoded(counting(y=y), wanted), [15, 25])
        assert np.isfinite(w.context).all()
        assert (w.spread > 0).all()


def test_missing_values_are_zero_with_a_flag():
    y = np.arange(30.0) ** 2
    y[7] = np.nan
    w = at(encoded(counting(y=y), "none"), [10])
    assert w.context[3, 0].tolist() == [0.0, 0.0]
    assert at(encoded(counting(y=y), "none"), [6]).weights.tolist() == [[1.0, 0.0, 1.0]]


def test_labels_stop_at_the_limit_and_at_the_end():
    rows_of = encoded(counting(), "difference")
    assert at(rows_of, [10], limits=np.array([11])).weights.tolist() == [[1.0, 0.0, 0.0]]
    assert at(rows_of, [29]).weights.tolist() == [[1.0, 0.0, 0.0]]
    assert at(rows_of, [30]).weights.tolist() == [[0.0, 0.0, 0.0]]


def test_no_row_after_the_end_moves_a_window(shops):
    changed = shops.with_columns(
        sales=pl.when(pl.int_range(pl.len()).over("shop") < 40).then("sales").otherwise(1e3),
        visits=pl.when(pl.int_range(pl.len()).over("shop") < 40).then("visits").otherwise(-7.0),
    )
    panel = [read_panel(t, choose_columns(t, **SHOPS)) for t in (shops, changed)]
    encoder = fit_encoder(panel[0])
    series, ends = np.arange(3), np.full(3, 40)
    a, b = (windows.assemble(encoder.encode(p), series, ends, 12, 6) for p in panel)
    for name in ("context", "ahead", "static", "lagged", "base", "spread"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes()


def test_series_do_not_run_into_each_other(shops):
    panel = read_panel(shops, choose_columns(shops, **SHOPS))
    encoder = fit_encoder(panel)
    together = windows.assemble(encoder.encode(panel), np.array([1]), np.array([5]), 12, 6)
    alone = shops.filter(pl.col("shop") == "s1")
    panel = read_panel(alone, choose_columns(alone, **SHOPS))
    single = windows.assemble(encoder.encode(panel), np.array([0]), np.array([5]), 12, 6)
    for name in ("context", "ahead", "lagged", "base", "spread", "labels"):
        assert getattr(together, name).tobytes() == getattr(single, name).tobytes()


def test_training_labels_end_where_validation_labels_begin():
    parts = windows.split(encoded(counting(100)), 5, 6)
    held = 15
    assert (parts.train[2] == 100 - held).all()
    assert parts.train[1].max() == 100 - held - 1
    assert parts.validation[1].min() == 100 - held
    assert parts.validation[1].max() + 5 == 100


def test_a_series_too_short_to_hold_out_is_only_learnt_from():
    parts = windows.split(encoded(counting(13)), 5, 6)
    assert len(parts.validation[0]) == 0
    assert parts.train[1].tolist() == list(range(4, 13))


def test_known_future_drivers_reach_the_window():
    x = np.random.default_rng(0).normal(size=30)
    w = at(encoded(counting(x=x), "difference", future=["x"]), [10])
    location, scale = x[4:10].mean(), x[4:10].std()
    z = np.clip((x[10:13] - location) / scale, -8, 8)
    np.testing.assert_allclose(w.ahead[0, :, 0], z, rtol=1e-5)
    np.testing.assert_allclose(w.ahead[0, :, 1], np.cumsum(z) / np.sqrt([1, 2, 3]), rtol=1e-5)
    assert w.ahead[0, :, 2].tolist() == [1.0, 1.0, 1.0]


def hourly(days, **columns):
    time = np.datetime64("2024-01-01", "us") + np.arange(24 * days) * np.timedelta64(1, "h")
    return pl.DataFrame({"ds": time, "y": np.arange(24.0 * days) % 100, **columns})


def test_lags_are_the_rows_whole_seasons_before():
    rows_of = encoded(hourly(30), "none")
    assert rows_of.seasons == (24, 168)
    y, end, h = rows_of.working, 400, 26
    w = at(rows_of, [end], T=168, h=h)
    k = np.arange(1, h + 1)
    expected = {
        0: y[end + k - 1 - 24 * np.where(k > 24, 2, 1)],
        1: np.full(h, y[end - 1 - 24]),
        2: y[end + k - 1 - 168],
        3: np.full(h, y[end - 1 - 168]),
        4: y[end + k - 1 - 24 * np.where(k > 24, 3, 2)],
        5: np.full(h, y[end - 24 : end].mean()),
    }
    assert w.lagged.shape == (1, h, len(expected))
    for column, levels in expected.items():
        made = w.base[0] + w.spread[0] * w.lagged[0, :, column]
        np.testing.assert_allclose(made, levels, rtol=1e-4, atol=1e-4)


def test_lags_before_the_series_begins_are_zero():
    w = at(encoded(hourly(30), "none"), [10], T=168, h=3)
    assert (w.lagged[0, :, :4] == 0).all()


def test_a_window_reads_no_row_before_its_reach():
    rows = windows.reach((24, 168), 168)
    rows_of, later = encoded(hourly(60), "none"), encoded(hourly(60).slice(400 - rows), "none")
    a, b = at(rows_of, [400], T=168), at(later, [rows], T=168)
    for name in ("context", "ahead", "lagged", "base", "spread"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes()
