import numpy as np
import pytest

from gatewise.forecast.data.table import choose_columns, read_panel
from gatewise.forecast.models.window import ridge, windows
from gatewise.forecast.models.window.encoder import fit_encoder

from .simulated import autoregression, random_walk, table

T, H = 32, 3


def parts_of(data, **roles):
    panel = read_panel(data, choose_columns(data, **roles))
    rows_of = fit_encoder(panel).encode(panel)
    parts = windows.split(rows_of, H, 16)

    def made(part):
        series, ends, limits = part
        return windows.assemble(rows_of, series, ends, T, H, limits=limits)

    return made(parts.train), made(parts.validation), rows_of.inputs.shape[1]


def fit(data, **roles):
    learnt, held, values = parts_of(data, **roles)
    return ridge.fit_ridge(lambda: iter([learnt]), held, values), held


def driven(rows=600):
    x = np.random.default_rng(0).normal(size=rows)
    return table(3 + 2 * x + 0.1 * np.random.default_rng(1).normal(size=rows), x=x)


def test_a_driver_known_ahead_is_used_and_trusted():
    (judged, final), held = fit(driven(), future=["x"])
    left = held.labels - judged(held)
    assert np.abs(left).mean() < 0.2 * np.abs(held.labels).mean()
    assert (judged.error < 0.3).all()
    assert not np.array_equal(judged.weights, final.weights)
    np.testing.assert_allclose(judged.weights, final.weights, atol=0.1)


def test_changes_that_follow_the_last_one_are_seen():
    (judged, _), held = fit(autoregression(0, rows=2000, phi=0.7))
    last = held.context[-1, :, 0]
    expected = 0.7 * last
    np.testing.assert_allclose(judged(held)[:, 0], expected, atol=0.3)


@pytest.mark.parametrize("seed", range(4))
def test_on_a_random_walk_it_stays_at_the_base(seed):
    (judged, _), held = fit(random_walk(seed, 400))
    bold = np.abs(judged(held)).mean() / np.abs(held.labels).mean()
    assert bold < 0.25


def test_a_forecast_has_the_same_bits_in_any_batch():
    (judged, _), held = fit(driven(), future=["x"])
    fields = ("context", "ahead", "static", "lagged", "base", "spread", "labels", "weights")

    def one(i):
        return windows.Windows(
            *(
                getattr(held, f)[:, i : i + 1] if f == "context" else getattr(held, f)[i : i + 1]
                for f in fields
            )
        )

    alone = np.concatenate([judged(one(i)) for i in range(10)])
    assert alone.tobytes() == judged(held)[:10].tobytes()


def test_a_perfect_fit_leaves_a_positive_error():
    x = np.random.default_rng(0).normal(size=200)
    (judged, _), held = fit(table(x, x=x), future=["x"])
    assert (judged.error > 0).all()
    assert np.isfinite(judged(held)).all()
