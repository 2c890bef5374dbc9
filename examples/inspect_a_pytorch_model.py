"""Look into a PyTorch model while it runs: ten lines, no change to the model."""

import torch

from gatewise import trace

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.LSTM(8, 16))
x = torch.randn(120, 1, 3)

with trace.recording(model) as traces:
    model(x)

recorded = traces["2"]  # the LSTM's name inside the model
print(recorded.data)  # an xarray.Dataset of every gate and state
for finding in trace.findings(recorded):
    print("-", finding.sentence)
