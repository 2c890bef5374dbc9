"""Every gate of an LSTM at every step: what to look at, and how to draw it."""

import tempfile
from pathlib import Path

import torch

from gatewise import trace
from gatewise.nn import LSTM

torch.manual_seed(0)
lstm = LSTM(input_size=1, hidden_size=8)
x = torch.sin(torch.linspace(0, 12, 60)).reshape(60, 1, 1)

recorded = trace.record(lstm, x)
print(recorded.data)  # an xarray.Dataset: layer, direction, time, batch, hidden

forget = recorded.data["forget_gate"].isel(layer=0, direction=0, batch=0)
print("mean forget gate per unit:", forget.mean("time").values.round(2))
print("memory in steps:", trace.memory(recorded).values.ravel().round(1))
print("time at the candidate's ends:", float(trace.saturation(recorded, "candidate").mean()))

with tempfile.TemporaryDirectory() as folder:
    trace.plot_gates(recorded).savefig(Path(folder) / "gates.png")
    trace.plot_operating_points(recorded).savefig(Path(folder) / "curves.png")
