"""LSTMs in the state_dict of a model, found by the names and shapes of their parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from gatewise.errors import GatewiseError, ModelFileError, shortened
from gatewise.weights.config import INITIAL_STATE_NAMES, LSTMConfig
from gatewise.weights.modules import LSTMWeights

_NAME: Final = re.compile(r"^(?:(.*)\.)?((?:weight|bias)_(?:ih|hh|hr)_l(\d+)(_reverse)?)$")
_VARIANT: Final = re.compile(
    r"^(?:(.*)\.)?((?:weight_peephole|norm_(?:ih|hh|c))_l\d+(?:_reverse)?"
    rf"|{'|'.join(INITIAL_STATE_NAMES)})$"
)
"""What a gatewise.nn.LSTM may have beyond PyTorch's parameters."""

_DEEP: Final = 4


def lstms_of(content: Any) -> dict[str, LSTMWeights]:
    """Return the LSTMs of a state_dict, by their names in the model ("" for the model itself).

    A state_dict holds neither the activations of a cell nor `batch_first` nor zoneout: what is
    returned has those of a plain `torch.nn.LSTM`. `save_lstm` and `load_lstm` keep everything.

    Args:
        content: a state_dict, or a dict that holds one (as checkpoints of trainers do).

    Raises:
        ModelFileError: there is none; or one has peepholes, layer norm or learnt initial states,
            which no plain LSTM has.

    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.LSTM(3, 4, bidirectional=True), torch.nn.Linear(8, 1))
    >>> found = lstms_of(model.state_dict())
    >>> list(found), found["0"].config.bidirectional
    (['0'], True)
    """
    found: dict[str, dict[str, Any]] = {}
    beyond: dict[str, str] = {}
    for key, value in _tensors(content, _DEEP).items():
        if match := _NAME.match(key):
            found.setdefault(match[1] or "", {})[match[2]] = value
        elif match := _VARIANT.match(key):
            beyond.setdefault(match[1] or "", key)
    made = {}
    for name, parameters in found.items():
        weights = _weights(parameters)
        if weights is None:
            continue
        if name in beyond:
            raise ModelFileError(
                f"The checkpoint holds {shortened(beyond[name])}, which no plain LSTM has: "
                "expected the parameters of a torch.nn.LSTM. A state_dict does not tell which cell "
                "it is of: save the LSTM with gatewise.weights.save_lstm, and read it with "
                "load_lstm."
            )
        made[name] = weights
    if not made:
        raise ModelFileError(
            "There is no LSTM in the checkpoint: expected a state_dict with parameters such as "
            "weight_ih_l0 of four gates. Save model.state_dict()."
        )
    return made


def _tensors(content: Any, depth: int) -> dict[str, Any]:
    """The tensors of nested dicts: of trainers', the one with most."""
    if not isinstance(content, Mapping) or not depth:
        return {}
    own = {str(k): v for k, v in content.items() if hasattr(v, "detach")}
    inner = [_tensors(v, depth - 1) for v in content.values()]
    return max([own, *inner], key=len)


def _weights(parameters: dict[str, Any]) -> LSTMWeights | None:
    """The LSTM of these parameters; None if they are of a GRU, an RNN, or incomplete."""
    try:
        arrays = {name: _array(value) for name, value in parameters.items()}
        rows, inputs = arrays["weight_ih_l0"].shape
        if rows % 4:
            return None
        projected = "weight_hr_l0" in arrays
        config = LSTMConfig(
            int(inputs),
            rows // 4,
            1 + max(int(m[3]) for k in arrays if (m := _NAME.match(k))),
            "bias_ih_l0" in arrays,
            False,
            "weight_ih_l0_reverse" in arrays,
            int(arrays["weight_hr_l0"].shape[0]) if projected else 0,
        )
        weights = LSTMWeights(config, arrays)
        weights.check()
    except (GatewiseError, KeyError, ValueError, TypeError, RuntimeError):  # meta, quantized
        return None
    return weights


def _array(value: Any) -> np.ndarray[Any, Any]:
    """A tensor's numbers; float32 of what the core does not compute in."""
    tensor = value.detach().cpu()
    known = str(tensor.dtype) in ("torch.float32", "torch.float64")
    if not tensor.dtype.is_floating_point:
        raise TypeError(tensor.dtype)
    return np.array((tensor if known else tensor.float()).numpy())
