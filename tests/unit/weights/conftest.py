"""A saved LSTM."""

import pytest

from gatewise.nn import LSTM
from gatewise.weights import save_lstm


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "m.safetensors"
    save_lstm(LSTM(4, 6, num_layers=2), path)
    return path
