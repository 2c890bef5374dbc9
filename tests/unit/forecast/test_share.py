"""How much of a forecast is an LSTM's, against forecasters whose LSTMs have weights of zero."""

from copy import deepcopy

import numpy as np
import polars as pl
import pytest
import torch

from gatewise.forecast import Forecaster
from gatewise.forecast.explain.share import LstmShare, lstm_share

ROWS = 160


def table():
    rng, t = np.random.default_rng(0), np.arange(ROWS)
    y, d = 50 + 5 * np.sin(t / 2) + 0.1 * t + rng.standard_normal(ROWS), rng.standard_normal(ROWS)
    return pl.DataFrame({"ds": t, "y": y + np.r_[0, d[:-1]], "d": d})


def emptied(model, which):
    """The same with zero weights in some LSTMs, whose h is then 0 at all steps."""
    copy = deepcopy(model)
    lstms = [lstm for n in copy.networks for lstm in getattr(n, "layers", [n.lstm])]
    with torch.no_grad():
        for lstm in lstms[which]:
            for parameter in lstm.parameters():
                parameter.zero_()
    return copy


@pytest.mark.parametrize("kind", ["pretrained", "with a driver"])
def test_it_is_the_distance_to_a_forecast_without(kind):
    if kind == "pretrained":
        made = Forecaster.pretrained(12).fit(table().drop("d"))
    else:
        made = Forecaster(4, max_epochs=4).fit(table(), past=["d"])
    data, share, model = table(), lstm_share(made), made.fitted.model
    panel, middle = made.fitted.panel, len(made.config.probabilities) // 2

    def points(model):
        return model.forecast(panel, [0], [ROWS])[0][:, middle]

    whole = points(model)
    for found, which in ((share.one, slice(1)), (share.all, slice(None))):
        expected = np.abs(whole - points(emptied(model, which))).mean()
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)
    assert share.way == pytest.approx(np.abs(whole - data["y"][-1]).mean())
    assert share.networks == len(model.networks)
    assert share.all > 0


def test_known_drivers_are_read_where_they_are_known():
    made = Forecaster(4, max_epochs=4).fit(table(), future=["d"])
    assert lstm_share(made).rows == 4
    cut = table().with_columns(pl.when(pl.col("ds") < ROWS - 4).then("y").otherwise(0.0).alias("y"))
    assert lstm_share(made, cut).all == lstm_share(made, table()).all  # the future is not looked at


def test_the_forecaster_is_left_as_it_was():
    made = Forecaster.pretrained(4).fit(table().drop("d"))
    before = made.predict()
    lstm_share(made)
    assert before.equals(made.predict())


def test_sentences():
    one = LstmShare(networks=1, layers=1, rows=4, one=0.5, all=0.5, way=2.0)
    assert one.sentence == (
        "The pictures show the LSTM of the network. With its outputs h set to 0, the forecast of "
        "the 4 rows moves by 0.5 (25.0% of its distance from the last value), on average."
    )
    many = LstmShare(networks=3, layers=2, rows=4, one=0.25, all=0.5, way=0.0)
    assert many.sentence == (
        "The pictures show network 1 of 3: the first of 2 LSTMs of it. The forecast is the median "
        "of all 3 networks. With its outputs h set to 0, the forecast of the 4 rows moves by 0.25; "
        "with the outputs of all LSTMs set to 0, by 0.5, on average."
    )
