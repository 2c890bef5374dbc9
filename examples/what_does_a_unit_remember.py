"""What a cell state is made of: exact attention over the steps that it has read."""

import numpy as np
import torch

from gatewise import trace

torch.manual_seed(0)
lstm = torch.nn.LSTM(1, 4, dtype=torch.float64)
with torch.no_grad():  # forget biases from short to long memory
    lstm.bias_ih_l0[4:8] = torch.tensor([-1.0, 1.0, 3.0, 6.0])
x = torch.randn(200, 1, 1, dtype=torch.float64)

recorded = trace.record(lstm, x)
held = trace.attention(recorded)  # c_t = sum over source of weight * candidate (+ initial * c_0)
c = np.einsum("tsh,sh->th", held["weight"], recorded.data["candidate"].values[0, 0, :, 0])
print("differs from c by", float(np.abs(c - recorded.data["cell_state"].values[0, 0, :, 0]).max()))

last = held["weight"].isel(time=-1)
for unit in range(4):
    own = last.isel(hidden=unit)
    half = int((own.values[::-1] < own.values[-1] / 2).argmax()) or len(x)
    life = float(trace.half_life(recorded)[0, 0, unit])
    print(f"unit {unit}: a step's weight has halved after {half} steps; half-life {life:.1f}")

trace.plot_attention(recorded).savefig("attention.png")
