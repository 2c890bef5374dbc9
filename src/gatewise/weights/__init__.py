"""What an LSTM is, its parameters by name, and both in and out of safetensors files.

    config.py   LSTMConfig, the parameters' names and shapes
    modules.py  LSTMWeights, and those of a PyTorch module
    storage.py  save_lstm, load_lstm
    keras.py    from_keras
    checkpoints.py   lstms_of: the LSTMs of a state_dict

Knows PyTorch's names and layout but not PyTorch: modules are read through their attributes and
`state_dict`.
"""

from gatewise.weights.checkpoints import lstms_of
from gatewise.weights.config import (
    INITIAL_STATE_NAMES,
    PARAMETER_NAMES,
    LSTMConfig,
    expected_shapes,
    parameter_suffix,
    variant_shapes,
)
from gatewise.weights.keras import from_keras
from gatewise.weights.modules import LSTMWeights, from_module
from gatewise.weights.storage import FORMAT, VERSION, load_lstm, save_lstm

__all__ = [
    "FORMAT",
    "INITIAL_STATE_NAMES",
    "PARAMETER_NAMES",
    "VERSION",
    "LSTMConfig",
    "LSTMWeights",
    "expected_shapes",
    "from_keras",
    "from_module",
    "load_lstm",
    "lstms_of",
    "parameter_suffix",
    "save_lstm",
    "variant_shapes",
]
