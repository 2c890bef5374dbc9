"""The LSTM as PyTorch modules: `LSTM`, `LSTMCell`, `accelerate`."""
import torch
from gatewise.cell import Cell


class LSTM(torch.nn.LSTM):
    """Placeholder until the native core lands (same signature)."""

    def __init__(self, *args, cell: Cell = Cell(), **kwargs):
        super().__init__(*args, **kwargs)
        self.cell = cell
