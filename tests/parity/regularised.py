"""A whole LSTM with drawn masks by the reference: outputs and every gradient."""

import numpy as np

from gatewise import reference
from gatewise.weights import PARAMETER_NAMES, parameter_suffix


def by_reference(lstm, x, h0, c0, grads, drawn, lengths=None):
    """Outputs, and gradients by name, of all layers and directions.

    Args:
        lstm: the module; its parameters are read.
        x, h0, c0: [T, B, I] and the states [L*D, B, *] as arrays.
        grads: of y, h_n, c_n.
        drawn: a `Masks` of tensors for each layer and direction.
        lengths: [B] valid steps of each row.
    """
    L, D = lstm.num_layers, lstm.directions
    runs = []
    for layer in range(L):
        for d in range(D):
            k = layer * D + d
            own = {n: v.detach().numpy() for n, v in vars(lstm.layer_weights(layer, d)).items()
                   if v is not None}  # fmt: skip
            if drawn[k].weight is not None:
                own["w_hh"] = own["w_hh"] * drawn[k].weight.numpy()
            runs.append(
                reference.forward(
                    x, reference.weights(**own), h0[k], c0[k], lstm.cell,
                    recurrent_mask=drawn[k].recurrent, zoneout=drawn[k].zoneout, lengths=lengths,
                    reverse=d == 1,
                )
            )  # fmt: skip
        x = np.concatenate([run.y for run in runs[-D:]], axis=2)
    found = {"y": x, "h_n": np.stack([r.h for r in runs]), "c_n": np.stack([r.c for r in runs])}
    found |= {"dh0": np.empty_like(h0), "dc0": np.empty_like(c0)}
    dy, dh, dc = grads
    for layer in reversed(range(L)):
        below = 0.0
        for d in range(D):
            k = layer * D + d
            P = dy.shape[2] // D
            back = reference.backward(runs[k], dy[:, :, d * P : (d + 1) * P], dh[k], dc[k])
            below = below + back.x
            found["dh0"][k], found["dc0"][k] = back.h0, back.c0
            for name, value in vars(back.weights).items():
                if value is not None:
                    if name == "w_hh" and drawn[k].weight is not None:
                        value = value * drawn[k].weight.numpy()  # noqa: PLW2901
                    found[PARAMETER_NAMES[name] + parameter_suffix(layer, d)] = value
        dy = below
    return found | {"dx": dy}
