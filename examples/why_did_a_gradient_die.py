"""Where a gradient goes on its way back: the LSTM's in parts, and a plain tanh RNN's beside it."""

import numpy as np
import torch

from gatewise import reference, trace

torch.manual_seed(0)
T, H = 100, 16
x = torch.randn(T, 1, 4, dtype=torch.float64)
dy = np.zeros((T, 1, H))
dy[-1] = 1.0  # a loss that looks at the last output alone


def norm(states):
    return float(np.linalg.norm(states))


for bias in (0.0, 1.0, 4.0):
    lstm = torch.nn.LSTM(4, H, dtype=torch.float64)
    with torch.no_grad():
        lstm.bias_ih_l0[H : 2 * H] = bias
    flow = trace.gradient_flow(lstm, x, dy).isel(layer=0, direction=0, batch=0)
    parts = {part: norm(flow[part].isel(time=T // 2)) for part in trace.flow.PARTS}
    main = max(parts, key=parts.get)
    start = norm(flow["cell_state"].isel(time=-1))
    kept, alone = (norm(flow[name].isel(time=0)) / start for name in ("cell_state", "carousel"))
    print(f"LSTM, forget bias {bias}: {kept:.1e} of the gradient is left, {alone:.1e} through")
    print(f"  forget gates alone; a step in the middle hands on most by {main}")

rnn = torch.nn.RNN(4, H, dtype=torch.float64)
w_ih, w_hh = rnn.weight_ih_l0.detach().numpy(), rnn.weight_hh_l0.detach().numpy()
dh = reference.rnn_backward(reference.rnn_forward(x.numpy(), w_ih, w_hh), dy)
print(f"plain tanh RNN: {norm(dh[0]) / norm(dh[-1]):.1e} is left")

trace.plot_gradient(trace.gradient_flow(lstm, x, dy), beside=dh[:, 0]).savefig("gradient.png")
