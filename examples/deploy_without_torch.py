"""Save an LSTM, and run it where there is no PyTorch."""

import tempfile
from pathlib import Path

import numpy as np
import torch

from gatewise import runtime, weights

torch.manual_seed(0)
lstm = torch.nn.LSTM(4, 16, num_layers=2)
x = torch.randn(50, 1, 4)

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "lstm.safetensors"
    weights.save_lstm(lstm, path)
    model = runtime.load(path)  # from here on, NumPy and the native core only

y, (h, c) = model.run(x.numpy())
print("difference to PyTorch:", np.abs(y - lstm(x)[0].detach().numpy()).max())

stream = model.stream()
for step in x[:, 0].numpy():
    latest = stream.step(step)
print("difference of streaming:", np.abs(latest - y[-1, 0]).max())
