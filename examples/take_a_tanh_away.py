"""What happens without a tanh: the same weights, one squash taken away."""

import torch

from gatewise import trace

torch.manual_seed(0)
lstm, x = torch.nn.LSTM(1, 8), torch.full((300, 1, 1), 2.0)
with torch.no_grad():
    lstm.bias_ih_l0[8:16] = 5.0  # it forgets little

plain = trace.record(lstm, x)
for site in ("candidate", "cell_output"):
    edited = trace.run_on(lstm, x, trace.Edit(site, "identity"))
    c, h = (float(abs(edited.data[k]).max()) for k in ("cell_state", "hidden_state"))
    print(f"without the tanh at {site}: |c| up to {c:.1f}, |h| up to {h:.1f}")
c, h = (float(abs(plain.data[k]).max()) for k in ("cell_state", "hidden_state"))
print(f"as it is: |c| up to {c:.1f}, |h| up to {h:.1f}")

later = trace.run_on(lstm, x, trace.Edit("cell_output", "identity", steps=slice(150, None)))
trace.plot_intervention(plain, later, labels=["no tanh from 150 on"]).savefig("without.png")
