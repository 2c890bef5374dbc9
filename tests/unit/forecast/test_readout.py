"""What a forecast makes of its LSTM's state, against the network itself."""

import numpy as np
import polars as pl
import pytest
import torch

from gatewise.forecast import Forecaster, datasets
from gatewise.forecast.explain.readout import lstm_readout
from gatewise.forecast.models.window.network import outputs


@pytest.fixture(scope="module")
def fitted():
    given = datasets.load("sp500")
    table = given.table.tail(400)
    return Forecaster(5, max_epochs=2, seed=1).fit(table, **given.columns)


def test_at_the_last_step_it_says_what_the_network_says(fitted):
    read, window = lstm_readout(fitted), fitted.lstm_input()
    network, model = fitted.fitted.network, fitted.fitted.model
    with torch.no_grad():
        network.quantiles.weight.copy_(torch.randn_like(network.quantiles.weight))
        network.confidence.copy_(torch.tensor([0.5, 1, 1, 1, 0.25]))
    read = lstm_readout(fitted)
    panel = fitted.fitted.panel or fitted.fitted.tail
    said = outputs(network, model.windows(panel, [0], [len(panel.series[0])]))[0]
    with torch.no_grad():
        h = network.lstm(torch.from_numpy(window.x))[0][-1, 0].numpy()
    middle = said.shape[1] // 2
    assert read.shrinkage * read(h) == pytest.approx(said[[0, -1], middle], abs=1e-5)
    assert read.names == ["the next row", "5 rows ahead"]
    assert np.ptp(said[:, middle]) > 0


def test_a_network_of_two_lstms_has_none():
    table = pl.DataFrame({"ds": range(80), "y": [20.0 + t % 12 for t in range(80)]})
    assert lstm_readout(Forecaster.pretrained(3).fit(table)) is None
