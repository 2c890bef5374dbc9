"""The LSTM as PyTorch modules: `LSTM`, `LSTMCell`, `accelerate`, `init`, `masks`.

    lstm.py        LSTM, a torch.nn.LSTM: chooses a path per call, composes layers and directions
    cell.py        LSTMCell, a torch.nn.LSTMCell
    accelerate.py  turns the LSTMs of an existing model into native ones
    core.py        what a module keeps from call to call, and how a call is cut for the core
    native.py      layers on the native core, as an autograd function
    ops.py         the same as operators, for torch.compile and torch.export
    engine.py      packed weights, kept from call to call
    spec.py        what some layers are for the core, apart from their numbers
    noise.py       masks as the core takes them
    composite.py   any cell as differentiable PyTorch operations: the slow path, same numbers
    paths.py       which path a call can take
    arguments.py   whether a call's arguments have the shapes that an LSTM takes
    variants.py    what LSTM and LSTMCell share about cells other than PyTorch's
    ragged.py      lengths of rows, checked and packed
    masks.py       what recurrent dropout, zoneout and weight dropout draw
    whole.py       a name that older pickles refer to
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
