"""The LSTM as PyTorch modules: `LSTM`, `LSTMCell`, `accelerate`, `init`, `masks`.

    lstm.py        LSTM, a torch.nn.LSTM: chooses a path per call, composes layers and directions
    cell.py        LSTMCell, a torch.nn.LSTMCell
    accelerate.py  turns the LSTMs of an existing model into native ones
    whole.py       a module on the native core: its parameters, its packed weights, ragged batches
    native.py      layers on the native core, as an autograd function
    ops.py         the same as operators, for torch.compile and torch.export
    engine.py      packed weights, kept from call to call
    noise.py       masks as the core takes them
    composite.py   any cell as differentiable PyTorch operations: the slow path, same numbers
    paths.py       which path a call can take
    variants.py    what LSTM and LSTMCell share about cells other than PyTorch's
    ragged.py      lengths of rows, checked and packed
    masks.py       what recurrent dropout, zoneout and weight dropout draw
    init.py        initialisers, in place: gatewise.nn.init.chrono_(lstm, T_max=100)

May import torch; knows nothing of traces, tables or files.
"""

from gatewise.errors import MissingExtraError

try:
    import torch  # noqa: F401
except ImportError:
    raise MissingExtraError("gatewise.nn", "torch") from None

from gatewise.nn import init, masks
from gatewise.nn.accelerate import accelerate
from gatewise.nn.cell import LSTMCell
from gatewise.nn.lstm import LSTM

__all__ = ["LSTM", "LSTMCell", "accelerate", "init", "masks"]
