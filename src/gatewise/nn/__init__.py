"""The LSTM as PyTorch modules: `LSTM`, `LSTMCell`, `accelerate`, `init`, `masks`.

    lstm.py          LSTM, a torch.nn.LSTM: chooses a path per call
    cell.py          LSTMCell, a torch.nn.LSTMCell
    group.py         LSTMGroup: many small LSTMs in one call
    accelerate.py    turns the LSTMs of an existing model into native ones, and back
    paths.py         which path a call can take, and why
    arguments.py     a call's arguments: their shapes and their layout
    explanation.py   what LSTM.explain tells
    ragged.py        lengths of rows, checked and packed

    core.py          what a module keeps from call to call, and how a call is cut for the core
    spec.py          what some layers are for the core, apart from their numbers
    engine.py        packed weights, kept from call to call
    options.py       how a call of the core runs
    usual.py         the usual call, made quick
    native.py        layers on the native core, as an autograd function
    differentiable.py   their backward by PyTorch operations, where the core's will not do
    ops.py           the same as operators, for torch.compile, torch.export and modes
    autocast.py      the core under torch.autocast, where PyTorch cannot
    noise.py         masks as the core takes them

    stepwise.py      a module as PyTorch operations: the slow path, same numbers
    composite.py     those operations, for any cell
    masks.py         what recurrent dropout, zoneout and weight dropout draw

    init.py          initialisers, in place: gatewise.nn.init.chrono_(lstm, T_max=100)
    variants.py      what LSTM and LSTMCell share about cells other than PyTorch's
    callers.py       whose line a warning names
    compiler.py      marks for torch.compile, without importing it
    tools.py         how both meet torch.fx, torch.jit and quantisers
    whole.py         a name that older pickles refer to

May import torch; knows nothing of traces, tables or files.
"""

from gatewise.errors import MissingExtraError

try:
    import torch  # noqa: F401
except ImportError:
    raise MissingExtraError("gatewise.nn", "torch") from None

from gatewise.nn import init, masks
from gatewise.nn.accelerate import accelerate, accelerated, restore
from gatewise.nn.cell import LSTMCell
from gatewise.nn.group import LSTMGroup
from gatewise.nn.lstm import LSTM

__all__ = ["LSTM", "LSTMCell", "LSTMGroup", "accelerate", "accelerated", "init", "masks", "restore"]
